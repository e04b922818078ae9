"""Promise P13: what defines a sum is compared wherever sums are added; and what may stand for features and labels."""

import numpy as np
import pytest
import torch

from neucollapse import ClassStatistics, InputError

X, Y = torch.arange(24.0).reshape(8, 3), torch.arange(8) % 2
DEFAULTS = {"num_classes": 2, "dim": 3, "class_counts": [4, 4]}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_classes": 3, "class_counts": [4, 4, 0]}, "num_classes=2, got num_classes=3"),
        ({"normalize": True}, "normalize=False, got normalize=True"),
        ({"ignore_index": 255}, "ignore_index=-100, got ignore_index=255"),
        ({"nan": "drop"}, "nan='raise', got nan='drop'"),
        ({"scatter": "trace", "class_counts": None}, "scatter='full', got scatter='trace'"),
        ({"class_counts": None}, "class_counts, got no class_counts"),
        ({"class_counts": [4, 5]}, r"class_counts\[1\]=4, got class_counts\[1\]=5"),
    ],
)
def test_other_settings_are_named_in_merges_and_states(setting, message):
    one, other = ClassStatistics(**DEFAULTS), ClassStatistics(**{**DEFAULTS, **setting})
    one.update(X, Y)
    with pytest.raises(InputError, match=message):
        one.merge(other)
    with pytest.raises(InputError, match=message):
        one.load_state_dict(other.state_dict())
    assert one.num_samples == 8


@pytest.mark.parametrize(
    "broken", [{"left_out": {"ignored": -1}}, {"coarsest": 99}, {"reduced": 1}, {"settings": None}]
)
def test_a_state_that_does_not_fit_changes_nothing(broken):
    stats = ClassStatistics(**DEFAULTS)
    stats.update(X, Y)
    with pytest.raises(InputError, match="expected"):
        stats.load_state_dict({**ClassStatistics(**DEFAULTS).state_dict(), **broken})
    assert stats.num_samples == 8


@pytest.mark.parametrize(
    "labels",
    [Y.to(torch.uint8), Y.to(torch.uint16), Y.to(torch.uint64), Y.numpy().astype("u2"), Y.tolist(), Y[:, None]],
)
def test_labels_of_every_kind_give_the_same_statistics(labels):
    stats, same = ClassStatistics(2, 3), ClassStatistics(2, 3)
    stats.update(X, labels)
    same.update(X, Y)
    assert torch.equal(stats.within_scatter(), same.within_scatter())


def test_a_byte_may_be_ignored_and_a_class_may_not():
    stats = ClassStatistics(4, 3, ignore_index=255)
    stats.update(X, torch.tensor([0, 1, 2, 3, 255, 255, 0, 1], dtype=torch.uint8))
    assert stats.counts.tolist() == [2, 2, 1, 1]
    assert stats.left_out["ignored"] == 2
    with pytest.raises(InputError, match="got 3, which is a class"):
        ClassStatistics(4, 3, ignore_index=3)


def test_more_classes_than_memory_holds_and_sparse_ids_get_the_cure():
    with pytest.raises(InputError, match="GB of memory"):
        ClassStatistics(10**12, 512)
    with pytest.raises(InputError, match="return_inverse"):
        ClassStatistics(4, 3).update(X, Y + 70_000)


def test_coarse_types_get_a_sentence_and_numpy_sizes_are_taken():
    with pytest.raises(InputError, match=r"got torch.float8_e4m3fn: convert them with"):
        ClassStatistics(2, 3).update(X.to(torch.float8_e4m3fn), Y)
    assert ClassStatistics(np.int64(2), np.int32(3)).num_classes == 2


class Placement:
    def __init__(self, rows):
        self.rows = rows

    def is_shard(self, dim):
        return self.rows and dim == 0


class Split(torch.Tensor):
    """Stands for a DTensor: a tensor with placements and a local part."""

    def to_local(self):
        return self.as_subclass(torch.Tensor)[:4]


@pytest.mark.parametrize("rows", [True, False])
def test_a_tensor_split_by_rows_counts_with_its_own_rows_and_another_is_refused(rows):
    features = X.as_subclass(Split)
    features.placements = (Placement(rows),)
    stats = ClassStatistics(2, 3)
    if rows:
        stats.update(features, Y[:4])
        assert stats.num_samples == 4
    else:
        with pytest.raises(InputError, match="split by rows"):
            stats.update(features, Y)
