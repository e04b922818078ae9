"""Classes with fewer than m samples, left out by name: everything is as if they had never been there."""

import pytest
import torch

import neucollapse
from neucollapse import ClassStatistics, InputError
from neucollapse.metrics import Decisions, collapse_metrics

COUNTS = torch.tensor([9, 1, 12, 3, 1, 7])


def problem(counts=COUNTS):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(len(counts)).repeat_interleave(counts)
    y = y[torch.randperm(len(y), generator=generator)]
    means = torch.randn(len(counts), 4, generator=generator, dtype=torch.float64)
    H = means[y] + 0.3 * torch.randn(len(y), 4, generator=generator, dtype=torch.float64)
    return H, y, torch.randn(len(counts), 4, generator=generator, dtype=torch.float64)


def measured(H, y, W, min_samples):
    counts = torch.bincount(y, minlength=len(W))
    plain, unit = ClassStatistics(len(W), 4, class_counts=counts), ClassStatistics(len(W), 4, normalize=True)
    for rows, own in zip(H.split(8), y.split(8), strict=True):
        plain.update(rows, own)
        unit.update(rows, own)
    decisions = Decisions(plain, W, min_samples=min_samples)
    decisions.update(H, y)
    before = plain.counts
    result = collapse_metrics(plain, W, torch.zeros(len(W)), unit, decisions=decisions, min_samples=min_samples)
    assert torch.equal(plain.counts, before)  # what was given is as it was
    return result


@pytest.mark.parametrize("m", [2, 4])
def test_it_is_as_if_they_had_no_samples(m):
    H, y, W = problem()
    left_out = COUNTS < m
    kept = ~left_out[y]
    result, without = measured(H, y, W, m), measured(H[kept], y[kept], W, 1)
    assert {key: result[key] for key in result} == pytest.approx(
        {key: without[key] for key in result}, rel=1e-9, abs=1e-12
    )
    (flag,) = [flag for flag in result.flags if flag.code == "few_samples"]
    assert f"fewer than {m} samples" in flag.sentence
    assert ", ".join(map(str, left_out.nonzero()[:, 0].tolist())) in flag.sentence
    lost = without.keys() - result.keys()
    assert all("left out of it afterwards" in result.absent[key] for key in lost)
    assert bool(lost) == (m > 2)  # the scatter of single samples is zero: nothing is lost with them


def test_decisions_must_be_counted_alike():
    H, y, W = problem()
    stats = ClassStatistics(6, 4)
    stats.update(H, y)
    decisions = Decisions(stats, W)
    decisions.update(H, y)
    result = collapse_metrics(stats, W, decisions=decisions, min_samples=2)
    assert "min_samples=1" in result.absent["nc4/mismatch"]
    assert "few_samples" not in {flag.code for flag in collapse_metrics(stats, W).flags}
    with pytest.raises(InputError, match="at least min_samples=99"):
        collapse_metrics(stats, min_samples=99)
    with pytest.raises(InputError, match="at least 1, got 0"):
        collapse_metrics(stats, min_samples=0)


def test_the_training_split_decides_who_is_left_out():
    H, y, W = problem()
    test = torch.arange(6).repeat(2)
    splits = {"test": (torch.randn(12, 4).double(), test), "train": (H, y)}
    result = neucollapse.measure(splits, weight=W, min_samples=2, progress=False)
    left_out = [flag for flag in result.flags if flag.code == "few_samples"]
    assert [flag.where for flag in left_out] == ["test", "train"]
    assert result["train/nc1/pinv"] > 0
    assert result["test/accuracy/ncc"] * 8 % 1 == 0  # of the eight samples of the four classes that count
    assert result["test/nc1/pinv"] > 0  # read again without the two samples of each of the others


@pytest.mark.parametrize("options", [{}, {"scatter": "class"}, {"scatter": "trace"}])
def test_a_pass_is_repeated_where_a_sum_holds_what_must_go(options):
    H, y, W = problem()
    kept = (COUNTS >= 8)[y]
    result = neucollapse.measure((H, y), weight=W, min_samples=8, progress=False, **options)
    without = neucollapse.measure((H[kept], y[kept]), weight=W, progress=False, **options)
    assert {key: result[key] for key in result} == pytest.approx({**without}, rel=1e-12, abs=1e-14)
    assert result.absent.keys() == without.absent.keys()
    (flag,) = [flag for flag in result.flags if flag.code == "few_samples"]
    assert "4 classes have fewer than 8 samples and were left out (1, 3, 4, 5)" in flag.sentence
    assert not [flag for flag in result.flags if flag.code == "missing_classes"]


def test_what_is_read_once_says_what_it_cannot_leave_out():
    H, y, _ = problem()
    model = torch.nn.Sequential(torch.nn.Linear(4, 6)).double().eval()
    batches = iter([(H, y)])
    result = neucollapse.measure(model, batches, min_samples=8, progress=False)
    assert "left out of it afterwards" in result.absent["nc1/pinv"]
    assert result["nc1/trace_ratio"] > 0
