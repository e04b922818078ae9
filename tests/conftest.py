"""What every test shares: one thread, a fixed seed, and torch defaults restored."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _reproducible():
    torch.set_num_threads(1)  # two BLAS threads make small problems many times slower
    torch.manual_seed(0)
