"""Promises P2 and P13: two real gloo ranks, with unequal and with no samples, give what one process gives."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from neucollapse import ClassStatistics, CollapseResult, measure

K, D, N = 4, 6, 203
PARTS = slice(0, 50), slice(50, N)

# What both ranks and the single process run; a rank's share of the samples is data[cuts[rank]:cuts[rank + 1]].
COMMON = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

K, D, N = 4, 6, 203
COUNTS = [50, 51, 51, 51]
DEFAULTS = {"num_classes": K, "dim": D, "class_counts": COUNTS}
OTHER = {
    "num_classes": {"num_classes": 5, "class_counts": [*COUNTS, 0]}, "normalize": {"normalize": True},
    "ignore_index": {"ignore_index": 255}, "nan": {"nan": "drop"}, "scatter": {"scatter": "trace", "class_counts": None},
    "class_counts": {"class_counts": COUNTS[::-1]}, "no class_counts": {"class_counts": None},
}
torch.set_num_threads(1)

def data(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(K, D, generator=generator, dtype=torch.float64) + 100
    labels = torch.randint(K, (N,), generator=generator)
    features = means[labels] + 1e-3 * torch.randn(N, D, generator=generator, dtype=torch.float64)
    features[0] *= 1 + 2e-5  # the longest of its class is on the first rank, those of the others are on the second
    return features.to(dtype), labels

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, 5), nn.Linear(5, K)).eval()

def loader(rows):
    features, labels = data(torch.float32)
    inputs = features - 100
    return DataLoader(TensorDataset(inputs[rows], labels[rows]), batch_size=16)
"""

RANK = """
import json, os, sys
import torch.distributed as dist
from neucollapse import ClassStatistics, InputError, measure

rank, folder = int(os.environ["RANK"]), sys.argv[1]
dist.init_process_group("gloo")
assert dist.get_world_size() == 2

def share(cut):
    return slice(0, cut) if rank == 0 else slice(cut, N)

for name, cut, dtype in (("unequal", 50, torch.float64), ("none", 0, torch.float64), ("float32", 50, torch.float32)):
    features, labels = data(dtype)
    stats = ClassStatistics(K, D, class_counts=labels.bincount().tolist())
    for rows, own in zip(features[share(cut)].split(20), labels[share(cut)].split(20)):
        stats.update(rows, own)
    stats.all_reduce()
    stats.save(f"{folder}/{name}-{rank}.safetensors")
    try:
        stats.all_reduce()
    except InputError as error:
        assert "reduced over all ranks already" in str(error)
    else:
        raise AssertionError("a second all_reduce was not refused")

def refusal(first, second):
    # What an all_reduce says where the ranks have other settings: both must say it, and neither may wait.
    stats = ClassStatistics(**(first, second)[rank])
    stats.update(data()[0][share(50)], data()[1][share(50)])
    try:
        stats.all_reduce()
    except InputError as error:
        assert stats.num_samples == len(data()[1][share(50)])  # nothing was added before it was refused
        return str(error)

def keep(name, result):
    result.save(f"{folder}/{name}-{rank}")

keep("file", measure(f"{folder}/features.safetensors", progress=False))
splits = {"train": loader(share(70)), "test": loader(share(0))}
keep("model", measure(model(), splits, layers=["1"], progress=False))
refusals = {name: refusal(DEFAULTS, {**DEFAULTS, **other}) for name, other in OTHER.items()}
refusals |= {f"{name}, the other way": refusal({**DEFAULTS, **other}, DEFAULTS) for name, other in OTHER.items()}
json.dump(refusals, open(f"{folder}/refusals-{rank}.json", "w"))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def common():
    """The functions both sides share."""
    scope = {}
    exec(COMMON, scope)
    return scope


@pytest.fixture(scope="module")
def folder(tmp_path_factory, common):
    """What two ranks, started as torchrun starts them, have left in a folder."""
    folder = tmp_path_factory.mktemp("ranks")
    H, y = common["data"]()
    W, b = torch.randn(K, D, generator=torch.Generator().manual_seed(5)), torch.arange(K) / 10
    save_file({"features": H, "labels": y, "weight": W, "bias": b}, folder / "features.safetensors")
    script = folder / "rank.py"
    script.write_text(COMMON + RANK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([*command, str(folder)], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-4000:]
    return folder


def relative(got, want):
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize("name", ["unequal", "none", "float32"])
@pytest.mark.parametrize("rank", [0, 1])
def test_statistics_of_two_ranks_are_those_of_one_process(name, rank, folder, common):
    dtype, tolerance = (torch.float32, 1e-6) if name == "float32" else (torch.float64, 1e-12)
    H, y = common["data"](dtype)
    one = ClassStatistics(K, D, class_counts=y.bincount().tolist())
    one.update(H, y)
    both = ClassStatistics.load(folder / f"{name}-{rank}.safetensors")
    assert torch.equal(both.counts, one.counts)
    # At an offset of 1e5 times the spread within classes: the scatter is held to the tolerance, not its rounding.
    for reading in (
        lambda stats: stats.class_means,
        lambda stats: stats.centred_means(),
        lambda stats: stats.class_variances,
        lambda stats: stats.within_scatter(),
        lambda stats: stats.within_scatter("class"),
        lambda stats: stats.between_scatter(),
        lambda stats: stats.mean_norms,
        lambda stats: stats.largest_norms,
    ):
        assert relative(reading(both), reading(one)) <= tolerance
    assert both.feature_dtype == one.feature_dtype


@pytest.mark.parametrize("rank", [0, 1])
def test_a_feature_file_is_read_in_parts_and_measured_as_a_whole(rank, folder):
    one = measure(folder / "features.safetensors", progress=False)
    both = CollapseResult.load(folder / f"file-{rank}")
    assert both.absent == one.absent
    assert "nc4/mismatch" in one
    for key, value in one.items():
        assert both[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key


@pytest.mark.parametrize("rank", [0, 1])
def test_a_model_with_a_loader_a_rank_is_measured_as_a_whole(rank, folder, common):
    loaders = {"train": common["loader"](slice(None)), "test": common["loader"](slice(None))}
    one = measure(common["model"](), loaders, layers=["1"], progress=False)
    both = CollapseResult.load(folder / f"model-{rank}")
    assert both.absent == one.absent
    assert "test/margins/min" in one
    assert torch.equal(both.arrays["test/margin_counts"], one.arrays["test/margin_counts"])
    assert "test/accuracy/ncc@layer:1" in one
    for key, value in one.items():
        assert both[key] == pytest.approx(value, rel=1e-5, abs=1e-9), key


def test_every_rank_returns_the_same(folder):
    for name in ("file", "model"):
        first, second = (CollapseResult.load(folder / f"{name}-{rank}") for rank in (0, 1))
        assert first.numbers == second.numbers
        for key, array in first.arrays.items():
            torch.testing.assert_close(second.arrays[key], array, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("way", ["", ", the other way"])
def test_other_settings_are_refused_on_every_rank(way, folder, common):
    """One sentence, which names the setting; no rank waits for the others, and nothing was added."""
    said = [json.loads((folder / f"refusals-{rank}.json").read_text()) for rank in range(2)]
    assert said[0] == said[1]
    for name in common["OTHER"]:
        sentence = said[0][name + way]
        assert sentence.startswith("expected statistics of rank 1 with "), name
        assert name.removeprefix("no ") in sentence
        assert "do not add up" in sentence


def test_the_longest_features_are_on_either_rank(common):
    """So that the largest norm over ranks is neither their sum nor that of one rank."""
    H, y = common["data"]()
    first, second = (torch.stack([H[rows][y[rows] == c].norm(dim=1).max() for c in range(K)]) for rows in PARTS)
    assert 0 < (first > second).sum() < K
