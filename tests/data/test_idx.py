"""Folders in MNIST's layout, plain and gzipped, whole and damaged."""

import gzip
import tracemalloc

import numpy as np
import pytest
import torch

from neucollapse import FileFormatError
from neucollapse.data import load, load_idx_folder
from neucollapse.data._idx import read_idx

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def encode(array):
    return bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write(folder, arrays, zipped=False, prefix=""):
    for name, array in zip(NAMES, arrays, strict=False):
        content = encode(array)
        path = folder / (prefix + name + (".gz" if zipped else ""))
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (30, 5, 4), np.uint8)
    labels = np.arange(30, dtype=np.uint8) % 3
    return images[:20], labels[:20], images[20:], labels[20:]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("prefix", ["", "emnist-balanced-"])
def test_images_and_labels_come_back(tmp_path, arrays, zipped, prefix):
    data = load_idx_folder(write(tmp_path, arrays, zipped, prefix))
    inputs, labels = data.train.tensors
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, torch.from_numpy(arrays[0]).float().unsqueeze(1) / 255)
    assert torch.equal(labels, torch.from_numpy(arrays[1]).long())
    assert torch.equal(data.test.tensors[1], torch.from_numpy(arrays[3]).long())
    assert (data.name, data.num_classes, data.input_shape, data.class_names) == (tmp_path.name, 3, (1, 5, 4), None)


def test_flat_standardised_and_named(tmp_path, arrays):
    data = load(write(tmp_path, arrays), flat=True, scaling="standard", name="toy", class_names=["a", "b", "c"])
    inputs = data.train.tensors[0].double()
    assert inputs.shape == (20, 20)
    assert abs(float(inputs.mean())) < 1e-6
    assert abs(float(inputs.std(correction=0)) - 1) < 1e-6
    mean, deviation = arrays[0].mean() / 255, arrays[0].std() / 255
    expected = (torch.from_numpy(arrays[2]).double().flatten(1) / 255 - mean) / deviation
    torch.testing.assert_close(data.test.tensors[0].double(), expected, atol=1e-6, rtol=1e-6)
    assert (data.name, data.class_names) == ("toy", ("a", "b", "c"))


def test_no_test_split(tmp_path, arrays):
    assert load_idx_folder(write(tmp_path, arrays[:2])).test is None


@pytest.mark.parametrize("zipped", [False, True])
def test_truncation_at_every_byte(tmp_path, arrays, zipped):
    write(tmp_path, arrays, zipped)
    for name in NAMES[:2]:
        path = tmp_path / (name + (".gz" if zipped else ""))
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(FileFormatError):
                load_idx_folder(tmp_path)
        path.write_bytes(whole + b"\0\1\2")
        with pytest.raises(FileFormatError):
            load_idx_folder(tmp_path)
        path.write_bytes(whole)


@pytest.mark.parametrize("zipped", [False, True])
def test_bit_flips_never_escape(tmp_path, arrays, zipped):
    write(tmp_path, arrays, zipped)
    path = tmp_path / (NAMES[0] + (".gz" if zipped else ""))
    whole, random, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        content = bytearray(whole)
        content[random.integers(16 if not zipped else len(content))] ^= 1 << random.integers(8)
        path.write_bytes(content)
        try:
            load_idx_folder(tmp_path)
        except FileFormatError:
            refused += 1
    assert refused > 250


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bytes((0, 0, 13, 3)) + bytes(12), "unsigned bytes"),
        (bytes((0, 0, 8, 1)) + bytes(12), "3 axes"),
        (bytes((0, 0, 8, 3)) + b"\0\0\0\0\0\0\0\1\0\0\0\1", "no data"),
        (bytes((0, 0, 8, 3)) + b"\xff" * 12, "cannot hold"),
        (gzip.compress(bytes((0, 0, 8, 3)) + b"\xff" * 12, mtime=0), "cannot hold"),
        (b"PK\3\4" + bytes(100), "unsigned bytes"),
    ],
    ids=["floats", "one axis", "no images", "too many", "too many, zipped", "not IDX"],
)
def test_headers_that_lie(tmp_path, content, reason):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=reason):
        read_idx(path, axes=3)


def test_a_bomb_is_refused_before_it_expands(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(encode(np.zeros((70, 1000, 1000), np.uint8))))
    assert path.stat().st_size < 350_000
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="would expand"):
        read_idx(path, axes=3)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_folders_that_do_not_fit(tmp_path, arrays):
    with pytest.raises(FileFormatError, match="expected a folder with train-images"):
        load_idx_folder(tmp_path)
    with pytest.raises(FileFormatError, match="expected a folder with train-images"):
        load_idx_folder(tmp_path / "none")
    write(tmp_path, arrays)
    (tmp_path / "my-train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(FileFormatError, match="several files"):
        load_idx_folder(tmp_path)
    (tmp_path / "my-train-images-idx3-ubyte").unlink()
    with pytest.raises(FileFormatError, match="3 classes but 2 class names"):
        load_idx_folder(tmp_path, class_names=["a", "b"])
    (tmp_path / NAMES[1]).write_bytes(encode(arrays[1][:-1]))
    with pytest.raises(FileFormatError, match="19 labels for 20 images"):
        load_idx_folder(tmp_path)
    (tmp_path / NAMES[1]).unlink()
    with pytest.raises(FileFormatError, match="partner"):
        load_idx_folder(tmp_path)
