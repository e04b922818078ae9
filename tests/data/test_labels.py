"""Labels in files as people bring them: any integer type, one column, strings, ids; each format gives the same classes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import neucollapse as nc
from neucollapse import FileFormatError
from neucollapse.data import load, load_weight, open_features

NUMBERS = [2, 0, 1, 2, 0, 1, 200]
NAMES = ["dog", "cat", "cow", "dog", "cat", "cow", "ümlaut"]
ROWS = torch.randn(7, 3)
TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def written(folder, suffix, labels, **more):
    path, X = folder / f"features{suffix}", ROWS.numpy()
    labels = np.asarray(labels)
    if suffix == ".safetensors":
        save_file({"features": ROWS, "labels": torch.from_numpy(labels)}, path)
    elif suffix == ".npz":
        np.savez(path, features=X, labels=labels, **more)
    elif suffix == ".npy":
        np.save(folder / "labels.npy", labels)
        np.save(path, X)
    elif suffix == ".parquet":
        pq.write_table(pa.table({"features": list(X), "labels": list(labels)}), path, row_group_size=3)
    else:
        texts = labels.dtype.kind == "U"
        torch.save({"features": ROWS, "labels": labels.tolist() if texts else torch.from_numpy(labels)}, path)
    return path


def labels_of(file):
    return torch.cat([labels for _, labels in file])


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".npy", ".parquet", ".pt"])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_integer_type(tmp_path, suffix, dtype):
    numbers = np.array([*NUMBERS[:-1], 100 if dtype == "int8" else 200], dtype)
    file = open_features(written(tmp_path, suffix, numbers), batch_size=2)
    assert labels_of(file).tolist() == numbers.tolist()
    assert labels_of(file).dtype == torch.int64


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".npy", ".parquet", ".pt"])
def test_one_column(tmp_path, suffix):
    assert labels_of(open_features(written(tmp_path, suffix, np.array(NUMBERS)[:, None]))).tolist() == NUMBERS


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet", ".pt"])
def test_strings_become_class_names(tmp_path, suffix):
    file = open_features(written(tmp_path, suffix, NAMES), batch_size=2)
    assert file.class_names == ["cat", "cow", "dog", "ümlaut"]
    assert labels_of(file).tolist() == [2, 0, 1, 2, 0, 1, 3]
    assert next(file.labels())[0] == 2
    assert file.num_classes == 4
    assert labels_of(file.shard(1, 2)).tolist() == [2, 0, 1, 3]


def test_strings_measure_as_their_numbers_do(tmp_path):
    result = nc.measure(written(tmp_path, ".npz", [*NAMES[:-1], "cat"]))
    again = nc.measure((ROWS, torch.tensor([2, 0, 1, 2, 0, 1, 0])))
    assert result["nc1/cdnv"] == again["nc1/cdnv"]
    assert result.info["class_names"] == ["cat", "cow", "dog"]


def test_a_dictionary_column_of_strings_or_numbers(tmp_path):
    for values in (NAMES, NUMBERS):
        table = pa.table({"features": list(ROWS.numpy()), "labels": pa.array(values).dictionary_encode()})
        pq.write_table(table, tmp_path / "a.parquet")
        expected = [2, 0, 1, 2, 0, 1, 3] if values is NAMES else NUMBERS
        assert labels_of(open_features(tmp_path / "a.parquet")).tolist() == expected


def test_a_name_is_the_same_class_in_every_split(tmp_path):
    arrays = {"train/features": ROWS, "train/labels": NAMES, "test/features": ROWS[:2], "test/labels": ["dog", "zebra"]}
    np.savez(tmp_path / "a.npz", **arrays)
    train, test = (open_features(tmp_path / "a.npz", split=split) for split in ("train", "test"))
    assert train.class_names == test.class_names == ["cat", "cow", "dog", "zebra", "ümlaut"]
    assert labels_of(test).tolist() == [2, 3]


def test_stored_names_give_the_order(tmp_path):
    names = ["ümlaut", "dog", "cow", "cat"]
    assert labels_of(open_features(written(tmp_path, ".npz", NAMES, class_names=names))).tolist()[:3] == [1, 3, 2]
    path = written(tmp_path, ".npz", NAMES, class_names=names[1:])
    with pytest.raises(FileFormatError, match="'ümlaut' is none of the 3 class names"):
        list(open_features(path))
    with pytest.raises(FileFormatError, match="twice"):
        open_features(written(tmp_path, ".npz", NAMES, class_names=["dog", "dog"]))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.eye(7, dtype=np.int64), r"argmax\(1\)"),
        (np.arange(7.0), "expected integers.*astype"),
        (np.arange(7) > 3, "expected integers"),
        (np.zeros((1, 7), int), r"\(N,\) or \(N, 1\)|\(7, 1\)|labels for"),
        (np.array(NAMES)[:, None], r"expected class numbers \(N,\)"),
    ],
)
def test_what_are_no_labels_is_said(tmp_path, labels, reason):
    with pytest.raises(FileFormatError, match=reason):
        open_features(written(tmp_path, ".npz", labels))


def test_a_label_that_no_class_can_have_is_refused_with_the_memory_it_takes(tmp_path):
    path = written(tmp_path, ".npz", [0, 3_000_000_000, 1, 0, 1, 0, 1])
    with pytest.raises(FileFormatError, match=r"largest label is 3000000000.* take 67 GiB.*renumber=True"):
        _ = open_features(path).num_classes
    with pytest.raises(nc.InputError, match="renumber=True"):
        nc.measure(path)
    assert nc.measure(path, renumber=True).info["class_names"] == ["0", "1", "3000000000"]


@pytest.mark.parametrize("ignored", [255, -1, -100, 0])
def test_a_label_to_leave_out_is_no_class(tmp_path, ignored):
    path = written(tmp_path, ".npz", np.array([2, 1, 2, 1, 2, 1, ignored]))
    assert open_features(path, ignore_index=ignored).num_classes == 3
    if ignored:  # 0 would be a class of the statistics
        assert nc.measure(path, ignore_index=ignored).info["num_classes"] == 3


def test_one_class_and_no_class(tmp_path):
    assert open_features(written(tmp_path, ".npz", [0] * 7)).num_classes == 1
    with pytest.raises(FileFormatError, match="no row is left"):
        _ = open_features(written(tmp_path, ".npz", [-100] * 7)).num_classes


# Data sets


@pytest.mark.parametrize("dtype", [*TYPES, ">i4"])
def test_data_sets_take_every_integer_type_and_one_column(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2), np.float32), y=np.array([[2], [0], [1]], dtype))
    assert load(tmp_path / "a.npz").train.tensors[1].tolist() == [2, 0, 1]


def test_data_sets_of_strings_and_ids(tmp_path):
    arrays = {"x_train": np.zeros((3, 2)), "x_test": np.zeros((1, 2))}
    np.savez(tmp_path / "a.npz", **arrays, y_train=["b", "a", "c"], y_test=["c"])
    data = load(tmp_path / "a.npz")
    assert data.class_names == ("a", "b", "c")
    assert (data.train.tensors[1].tolist(), data.test.tensors[1].tolist()) == ([1, 0, 2], [2])
    np.savez(tmp_path / "a.npz", **arrays, y_train=[70_000_000, 5, 5], y_test=[3_000_000_000])
    with pytest.raises(FileFormatError, match="renumber=True"):
        load(tmp_path / "a.npz")
    data = load(tmp_path / "a.npz", renumber=True)
    assert data.class_names == ("5", "70000000", "3000000000")
    assert (data.train.tensors[1].tolist(), data.test.tensors[1].tolist()) == ([1, 0, 0], [2])


# Optional arrays under a damaged name


@pytest.mark.parametrize("name", ["weighu", "Weight", "weights", "bhas", "class_namfs"])
def test_an_optional_array_under_a_damaged_name_is_not_missed(tmp_path, name):
    stored = {"weight": np.ones((2, 3)), "bias": np.ones(2), "class_names": ["a", "b"]}
    meant = {"bhas": "bias", "class_namfs": "class_names"}.get(name, "weight")
    stored[name] = stored.pop(meant)
    if meant == "weight":
        stored.pop("bias")
    with pytest.raises(FileFormatError, match=f"it holds '{name}'.*call it '{meant}'"):
        open_features(written(tmp_path, ".npz", [0, 1] * 3 + [0], **stored))


def test_a_bias_in_one_row_and_a_turned_weight(tmp_path):
    path = written(tmp_path, ".npz", [0, 1] * 3 + [0], weight=np.ones((2, 3)), bias=np.ones((1, 2)))
    assert open_features(path).bias.shape == (2,)
    with pytest.raises(FileFormatError, match=r"whose columns are classes: store weight.T"):
        open_features(written(tmp_path, ".npz", [0, 1] * 3 + [0], weight=np.ones((3, 2))))
    with pytest.raises(FileFormatError, match="no 'weight'"):
        open_features(written(tmp_path, ".npz", [0, 1] * 3 + [0], bias=np.ones(2)))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.int32, torch.bool])
def test_features_of_other_types_get_a_sentence(tmp_path, dtype):
    X = ROWS.to(dtype)
    torch.save({"features": X, "labels": torch.zeros(7, dtype=torch.long)}, tmp_path / "a.pt")
    save_file({"features": X, "labels": torch.zeros(7, dtype=torch.long)}, tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        with pytest.raises(FileFormatError, match=r"expected features|not as plain numbers"):
            open_features(tmp_path / name)
        with pytest.raises(FileFormatError, match="floating-point"):
            load_weight(tmp_path / name)
