"""Data sets from one file of arrays."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neucollapse import FileFormatError
from neucollapse.data import load, load_arrays

X = np.random.default_rng(0).integers(0, 256, (12, 4, 3), np.uint8)
Y = np.arange(12) % 3


def test_bytes_become_images_between_0_and_1(tmp_path):
    np.savez(tmp_path / "toy.npz", x=X, y=Y, class_names=np.array(["a", "b", "c"]))
    data = load(tmp_path / "toy.npz")
    assert torch.equal(data.train.tensors[0], torch.from_numpy(X).float().unsqueeze(1) / 255)
    assert torch.equal(data.train.tensors[1], torch.from_numpy(Y))
    assert (data.name, data.test, data.class_names, data.num_classes) == ("toy", None, ("a", "b", "c"), 3)
    assert load(tmp_path / "toy.npz", flat=True).input_shape == (12,)


def test_floats_stay_as_they_are(tmp_path):
    x = torch.randn(12, 3, 5, 5, dtype=torch.float64)
    save_file(
        {"x": x, "y": torch.from_numpy(Y)}, tmp_path / "a.safetensors", metadata={"class_names": json.dumps(["a"] * 3)}
    )
    data = load_arrays(tmp_path / "a.safetensors")
    assert torch.equal(data.train.tensors[0], x.float())
    assert (data.input_shape, data.class_names) == ((3, 5, 5), ("a", "a", "a"))


@pytest.mark.parametrize("pattern", ["{name}_{split}", "{split}_{name}"])
def test_splits_by_name(tmp_path, pattern):
    arrays = {
        pattern.format(name=name, split=split): array[rows]
        for split, rows in {"train": slice(0, 8), "test": slice(8, 12)}.items()
        for name, array in {"x": X, "y": Y}.items()
    }
    np.savez(tmp_path / "a.npz", **arrays)
    data = load_arrays(tmp_path / "a.npz")
    assert torch.equal(data.train.tensors[1], torch.from_numpy(Y[:8]))
    assert torch.equal(data.test.tensors[0], torch.from_numpy(X[8:]).float().unsqueeze(1) / 255)


def test_splits_by_a_mask_and_other_names(tmp_path):
    mask = np.arange(12) >= 9
    np.savez(tmp_path / "a.npz", images=X, labels=Y.astype(np.int16), is_test=mask)
    data = load_arrays(tmp_path / "a.npz", x="images", y="labels", test_mask="is_test", scaling="standard")
    assert (len(data.train), len(data.test)) == (9, 3)
    assert abs(float(data.train.tensors[0].double().mean())) < 1e-6
    assert torch.equal(data.test.tensors[1], torch.from_numpy(Y[9:]))


@pytest.mark.parametrize(("label", "options"), [(-100, {}), (255, {"ignore_index": 255})])
def test_rows_of_no_class_stay_and_count_for_nothing(tmp_path, label, options):
    labels = np.where(np.arange(12) % 4 == 3, label, Y).astype(np.int64)
    np.savez(tmp_path / "a.npz", x=X, y=labels)
    data = load(tmp_path / "a.npz", **options)
    assert data.num_classes == 3
    assert data.train.tensors[1].tolist() == np.where(labels == label, -100, labels).tolist()
    np.savez(
        tmp_path / "ids.npz",
        x_train=X,
        y_train=np.where(labels == label, label, 1000 * labels),
        x_test=X,
        y_test=2000 * (Y > 0),
    )
    data = load(tmp_path / "ids.npz", renumber=True, **options)
    assert data.class_names == ("0", "1000", "2000")
    assert data.train.tensors[1].tolist() == np.where(labels == label, -100, labels).tolist()
    assert data.test.tensors[1].tolist() == (2 * (Y > 0)).tolist()
    np.savez(tmp_path / "none.npz", x=X, y=np.full(12, label))
    with pytest.raises(FileFormatError, match="label to ignore"):
        load(tmp_path / "none.npz", **options)


@pytest.mark.parametrize(
    ("arrays", "options", "reason"),
    [
        ({"images": X, "y": Y}, {}, r"no 'x' or 'x_train' in it: 'images' \(12, 4, 3\) uint8"),
        ({"x": X}, {}, "no 'y'"),
        ({"x": X, "y": Y[:3]}, {}, r"'y' is \(3,\) int64; expected integer or string labels \(12,\)"),
        ({"x": X, "y": Y / 2}, {}, "expected integer or string labels"),
        ({"x": X, "y": Y - 1}, {}, "span -1 to 1"),
        ({"x": X, "y": Y + 2**40}, {}, "expected 0 to K"),
        ({"x": X.astype(np.int64), "y": Y}, {}, "unsigned bytes or floats"),
        ({"x": X[:, 0, 0], "y": Y}, {}, "expected inputs"),
        ({"x": X, "y": Y, "class_names": np.array(["a"])}, {}, "3 classes but 1 class names"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y}, {}, "test inputs are"),
        ({"x_train": X, "y_train": Y, "x_test": X}, {}, "no 'y'"),
        ({"x": X, "y": Y}, {"test_mask": "m"}, "'m' is not in it"),
        ({"x": X, "y": Y, "m": Y}, {"test_mask": "m"}, "expected true or false"),
        ({"x": X, "y": Y, "m": Y > 5}, {"test_mask": "m"}, "empty"),
    ],
)
def test_what_does_not_fit(tmp_path, arrays, options, reason):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FileFormatError, match=reason):
        load(tmp_path / "a.npz", **options)
