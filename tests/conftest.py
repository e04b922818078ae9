"""What every test shares: one thread, a fixed seed, and the cases that hypothesis draws."""

import os

import hypothesis
import pytest
import torch

# The same cases in every run, so that a change is to blame for what fails; `make fuzz` draws others.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("fuzz", print_blob=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def _reproducible():
    torch.set_num_threads(1)  # two BLAS threads make small problems many times slower
    torch.manual_seed(0)
