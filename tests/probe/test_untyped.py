"""What a user without executed annotations gets: InputError for wrong types, and Python's random numbers restored.

Run in an interpreter of its own, because the type checker of this test suite refuses wrong types first and draws from
Python's random generator.
"""

import os
import subprocess
import sys

import pytest

WRONG_TYPES = """
import torch
from neucollapse import InputError
from neucollapse.probe import feature_batches, find_classifier, inspect

model = torch.nn.Linear(4, 3)
for call in (
    lambda: find_classifier("resnet"),
    lambda: inspect("resnet"),
    lambda: feature_batches("resnet", []),
    lambda: feature_batches(model, 3),
    lambda: inspect(model, 3),
    lambda: inspect(model, torch.zeros(2, 4)),
    lambda: feature_batches(model, {"x": torch.zeros(2, 4)}),
    lambda: feature_batches(model, [], layers="fc"),
    lambda: feature_batches(model, [], layers=[3]),
    lambda: feature_batches(model, [], pool=3),
    lambda: feature_batches(model, [], mode=True),
    lambda: list(feature_batches(model, [3])),
):
    try:
        call()
    except InputError as error:
        assert "expected" in str(error) or "no layer" in str(error), error
    else:
        raise AssertionError("accepted")
"""

RANDOM = """
import random, warnings
import torch
from torch.utils.data import DataLoader, Dataset
from neucollapse.probe import feature_batches, find_classifier, inspect

warnings.simplefilter("ignore")

class Noisy(Dataset):
    def __len__(self):
        return 9

    def __getitem__(self, index):
        if index == 8 and random.random() < self.fails:
            raise OSError
        return torch.full((4,), random.random()), index % 3

class Model(torch.nn.Linear):
    def forward(self, x):
        random.random()
        return super().forward(x)

data = Noisy()
data.fails = 0
model, loader = Model(4, 3), DataLoader(data, batch_size=2)
random.seed(0)
before = random.getstate()
batches = feature_batches(model, loader, layers="auto")
for _ in batches:
    assert random.getstate() == before
for _ in batches:
    break
_ = feature_batches(model, loader).classifier
find_classifier(model), find_classifier(model, torch.zeros(2, 4)), inspect(model), inspect(model, loader, layers="auto")
data.fails = 1
try:
    list(feature_batches(model, loader))
except OSError:
    pass
else:
    raise AssertionError("did not fail")
assert random.getstate() == before
"""


@pytest.mark.parametrize("script", [WRONG_TYPES, RANDOM], ids=["wrong types", "random"])
def test_in_an_interpreter_of_its_own(script):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
