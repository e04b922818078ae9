"""Labels of every kind that people bring become int64 class numbers, or a sentence that names the cure."""

import numpy as np
import pytest
import torch

from neucollapse._errors import InputError
from neucollapse._labels import class_names_of, counted_labels, flat_labels, label_tensor, renumbered

TORCH = [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64]
NUMPY = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", ">i4", "<u2", ">i8"]


@pytest.mark.parametrize("dtype", TORCH)
def test_tensors_of_any_integer_type_keep_their_values(dtype):
    labels = torch.tensor([0, 3, 100, 127], dtype=dtype)
    found = label_tensor(labels)
    assert found.dtype == torch.int64
    assert found.tolist() == [0, 3, 100, 127]


def test_a_byte_of_156_is_not_the_label_to_ignore():
    labels = label_tensor(torch.tensor([156, 7], dtype=torch.uint8))
    assert counted_labels(labels, 200, -100).all()


@pytest.mark.parametrize("dtype", NUMPY)
def test_arrays_of_any_integer_type_and_byte_order_keep_their_values(dtype):
    labels = np.array([0, 3, 100, 127], dtype)
    labels.flags.writeable = False
    assert label_tensor(labels).tolist() == [0, 3, 100, 127]


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, -100],
        (2, 0, -100),
        [np.uint8(2), np.int64(0), -100],
        [torch.tensor(2), torch.tensor(0), torch.tensor(-100)],
    ],
)
def test_sequences_are_taken(labels):
    assert label_tensor(labels).tolist() == [2, 0, -100]


def test_objects_that_are_integers_are_taken():
    assert label_tensor(np.array([2, 0], object)).tolist() == [2, 0]


@pytest.mark.parametrize("labels", [[], np.array([]), torch.tensor([]), torch.empty(0, dtype=torch.bool)])
def test_no_labels_are_no_error(labels):
    assert label_tensor(labels).tolist() == []
    assert class_names_of(labels)[0].dtype == torch.int64


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(3), r"integer targets, got torch.float32.*targets\.long\(\).*argmax\(-1\)"),
        (torch.zeros(3, dtype=torch.bool), "got torch.bool"),
        (torch.zeros(3, dtype=torch.complex64), "got torch.complex64"),
        (np.zeros(3), "got float64"),
        (np.zeros(3, bool), "got bool"),
        ([0.5, 1], "got float64"),
        ([None, 1], "got objects"),
        ([True, None], "got objects"),
        ([[1], [2, 3]], "in one array"),
        (["cat", "dog"], r"strings such as 'cat'.*return_inverse"),
        ([2**63], r"below 2\*\*63, got 9223372036854775808"),
        ([2**70], r"below 2\*\*63, got 1180591620717411303424"),
        (torch.tensor([2**64 - 100], dtype=torch.uint64), r"below 2\*\*63, got 18446744073709551516"),
    ],
)
def test_what_is_no_label_gets_the_cure(labels, message):
    with pytest.raises(InputError, match=message):
        label_tensor(labels, name="targets")


def test_a_last_axis_of_one_is_taken_and_one_hot_rows_get_advice():
    rows = torch.Size([3])
    assert flat_labels(torch.tensor([[1], [0], [2]]), rows).tolist() == [1, 0, 2]
    assert flat_labels(np.array([[1], [0], [2]], np.uint16), rows).tolist() == [1, 0, 2]
    assert flat_labels(torch.zeros(2, 5, dtype=torch.int32), torch.Size([2, 5])).shape == (10,)
    with pytest.raises(InputError, match=r"labels\.argmax\(-1\)"):
        flat_labels(torch.eye(3, dtype=torch.int64), rows)
    with pytest.raises(InputError, match=r"shape \(3,\) and labels of shape \(4,\)$"):
        flat_labels([0, 1, 2, 3], rows)


def test_sparse_ids_are_refused_with_the_cure_and_renumbered_when_asked():
    sparse = torch.tensor([90_000, 12, 90_000, -100])
    with pytest.raises(InputError, match=r"got 90000 .*torch\.unique\(labels, return_inverse=True\)"):
        counted_labels(sparse, 4, -100)
    labels, ids = renumbered(sparse)
    assert labels.tolist() == [1, 0, 1, -100]
    assert ids.tolist() == [12, 90_000]
    assert renumbered([90_000], ids)[0].tolist() == [1]
    with pytest.raises(InputError, match="2 ids given, got 13"):
        renumbered([13], ids)
    assert renumbered([-100])[0].tolist() == [-100]


@pytest.mark.parametrize(
    "labels",
    [["b", "a", "b"], np.array(["b", "a", "b"]), np.array([b"b", b"a", b"b"]), np.array(["b", "a", "b"], object)],
)
def test_strings_become_numbers_and_names(labels):
    numbers, names = class_names_of(labels)
    assert numbers.tolist() == [1, 0, 1]
    assert names == ["a", "b"]


def test_numbers_have_no_names_and_mixtures_are_refused():
    assert class_names_of([1, 0])[1] is None
    assert class_names_of(torch.tensor([1, 0], dtype=torch.uint8))[0].dtype == torch.int64
    for mixed in (["a", None], ["a", 1], np.array(["a", 1], object)):
        with pytest.raises(InputError, match="among strings"):
            class_names_of(mixed)
