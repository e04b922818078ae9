"""Features from files: every format gives the same rows, twice, in shards and in parts."""

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from neucollapse import FileFormatError, InputError
from neucollapse.data import feature_splits, open_features

N, D, K = 53, 5, 4


@pytest.fixture
def features():
    return torch.randn(N, D)


@pytest.fixture
def labels():
    return torch.arange(N) * 7 % K


def write_safetensors(path, features, labels, **more):
    save_file({"features": features.contiguous(), "labels": labels.contiguous(), **more}, path)
    return path


def write_npz(path, features, labels):
    np.savez(path, features=features.numpy(), labels=labels.numpy())
    return path


def write_npz_compressed(path, features, labels):
    np.savez_compressed(path, features=features.numpy(), labels=labels.numpy())
    return path


def write_npy(path, features, labels):
    np.save(path.with_name("features.npy"), features.numpy())
    np.save(path.with_name("labels.npy"), labels.numpy())
    return path.with_name("features.npy")


def write_npy_fortran(path, features, labels):
    np.save(path.with_name("features.npy"), np.asfortranarray(features.numpy()))
    np.save(path.with_name("labels.npy"), labels.numpy())
    return path.with_name("features.npy")


def write_parquet_fixed(path, features, labels):
    values = pa.FixedSizeListArray.from_arrays(pa.array(features.numpy().reshape(-1)), features.shape[1])
    pq.write_table(pa.table({"features": values, "labels": labels.numpy()}), path, row_group_size=10)
    return path


def write_parquet_list(path, features, labels):
    table = pa.table({"features": list(features.numpy()), "labels": labels.numpy()})
    pq.write_table(table, path, row_group_size=10)
    return path


def write_parquet_columns(path, features, labels):
    columns = {f"f{i}": features[:, i].numpy() for i in range(features.shape[1])}
    pq.write_table(pa.table({**columns, "labels": labels.numpy()}), path, row_group_size=10)
    return path


def write_torch(path, features, labels):
    torch.save({"features": features, "labels": labels}, path)
    return path


def write_npz_fortran(path, features, labels):
    np.savez_compressed(path, features=np.asfortranarray(features.numpy()), labels=labels.numpy().astype(">u2"))
    return path


FORMATS = {
    "safetensors": (write_safetensors, "a.safetensors"),
    "npz": (write_npz, "a.npz"),
    "npz-compressed": (write_npz_compressed, "a.npz"),
    "npz-fortran": (write_npz_fortran, "a.npz"),
    "npy": (write_npy, "features.npy"),
    "npy-fortran": (write_npy_fortran, "features.npy"),
    "parquet-fixed": (write_parquet_fixed, "a.parquet"),
    "parquet-list": (write_parquet_list, "a.parquet"),
    "parquet-columns": (write_parquet_columns, "a.pq"),
    "torch": (write_torch, "a.pt"),
}


@pytest.fixture(params=FORMATS)
def written(request, tmp_path, features, labels):
    write, name = FORMATS[request.param]
    return write(tmp_path / name, features, labels)


def gather(file):
    batches = list(file)
    if not batches:
        return torch.empty(0, file.dim, dtype=file.dtype), torch.empty(0, dtype=torch.int64)
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


def assert_same(file, features, labels):
    found, found_labels = gather(file)
    assert found.dtype == features.dtype
    assert torch.equal(found, features)
    assert found_labels.dtype == torch.int64
    assert torch.equal(found_labels, labels)


@pytest.mark.parametrize("batch_size", [None, 1, 7, N, 1000])
def test_every_format_streams_the_same_rows_twice(written, features, labels, batch_size):
    file = open_features(written, batch_size=batch_size)
    assert (file.num_rows, file.dim, file.dtype, file.num_classes) == (N, D, torch.float32, K)
    assert_same(file, features, labels)
    assert_same(file, features, labels)
    assert all(len(x) == len(y) <= file.batch_size for x, y in file)


@pytest.mark.parametrize("world_size", [1, 2, 3, 60])
def test_parts_of_all_ranks_are_the_whole(written, features, labels, world_size):
    parts = [open_features(written, batch_size=4).shard(rank, world_size) for rank in range(world_size)]
    found = [gather(part) for part in parts]
    assert torch.equal(torch.cat([x for x, _ in found]), features)
    assert torch.equal(torch.cat([y for _, y in found]), labels)
    sizes = [part.num_rows for part in parts]
    assert sizes == [len(x) for x, _ in found]
    assert max(sizes) - min(sizes) <= 1
    assert all(part.num_classes == K for part in parts)


def test_an_open_file_survives_pickling(written, features, labels):
    assert_same(pickle.loads(pickle.dumps(open_features(written))), features, labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["safetensors", "npz", "npy", "parquet-fixed", "parquet-columns", "torch"])
def test_features_keep_their_dtype(tmp_path, features, labels, form, dtype):
    if dtype == torch.bfloat16 and form not in ("safetensors", "torch"):
        pytest.skip("this format has no bfloat16")
    write, name = FORMATS[form]
    stored = features.to(dtype)
    assert_same(open_features(write(tmp_path / name, stored, labels)), stored, labels)


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64]
)
@pytest.mark.parametrize("form", ["safetensors", "npz", "parquet-list"])
def test_any_integer_label_becomes_int64(tmp_path, features, labels, form, dtype):
    write, name = FORMATS[form]
    assert_same(open_features(write(tmp_path / name, features, labels.to(dtype))), features, labels)


def test_big_endian_arrays_are_read(tmp_path, features, labels):
    np.savez(tmp_path / "a.npz", features=features.numpy().astype(">f4"), labels=labels.numpy().astype(">i2"))
    assert_same(open_features(tmp_path / "a.npz"), features, labels)


def test_nan_and_negative_labels_pass_through(tmp_path, features, labels):
    features[3, 1], labels[5] = torch.nan, -100
    file = open_features(write_npz(tmp_path / "a.npz", features, labels))
    found, found_labels = gather(file)
    assert found[3, 1].isnan()
    assert found_labels[5] == -100
    assert file.num_classes == K


def test_other_names_and_a_file_of_labels(tmp_path, features, labels):
    np.savez(tmp_path / "a.npz", h=features.numpy(), y=labels.numpy())
    assert_same(open_features(tmp_path / "a.npz", features="h", labels="y"), features, labels)
    np.save(tmp_path / "h.npy", features.numpy())
    np.save(tmp_path / "y.npy", labels.numpy())
    assert_same(open_features(tmp_path / "h.npy", labels=tmp_path / "y.npy"), features, labels)
    assert_same(open_features(tmp_path / "h.npy", labels=str(tmp_path / "y.npy")), features, labels)
    np.savez(tmp_path / "labels.npz", labels=labels.numpy())
    assert_same(open_features(tmp_path / "h.npy", labels=tmp_path / "labels.npz"), features, labels)


@pytest.mark.parametrize("form", ["safetensors", "npz", "parquet-list", "torch"])
@pytest.mark.parametrize("opened", ["folder", "pattern"])
def test_shards_follow_each_other_in_natural_order(tmp_path, form, opened):
    write, name = FORMATS[form]
    suffix = Path(name).suffix
    features, labels = torch.randn(36, D), torch.arange(36)
    for shard in range(12):  # shard-10 must come after shard-2
        rows = slice(3 * shard, 3 * shard + 3)
        write(tmp_path / f"shard-{shard}{suffix}", features[rows], labels[rows])
    path = tmp_path if opened == "folder" else tmp_path / f"shard-*{suffix}"
    file = open_features(path, batch_size=2)
    assert len(file) == 24
    assert file.num_classes == 36
    assert_same(file, features, labels)
    assert torch.equal(torch.cat([gather(file.shard(rank, 5))[1] for rank in range(5)]), labels)


def test_a_folder_of_npy_pairs(tmp_path, features, labels):
    for shard in range(2):
        rows = slice(shard * 30, shard * 30 + 30)
        np.save(tmp_path / f"features-{shard}.npy", features[rows].numpy())
        np.save(tmp_path / f"labels-{shard}.npy", labels[rows].numpy())
    assert_same(open_features(tmp_path), features, labels)


def test_an_index_of_shards_with_numbered_names(tmp_path, features, labels):
    shards = {}
    for shard in range(2):
        rows = slice(shard * 30, shard * 30 + 30)
        name = f"run-{shard}.safetensors"
        save_file(
            {f"features.{shard}": features[rows].clone(), f"labels.{shard}": labels[rows].clone()}, tmp_path / name
        )
        shards |= {f"features.{shard}": name, f"labels.{shard}": name}
    index = tmp_path / "run.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    assert_same(open_features(index), features, labels)
    assert_same(open_features(tmp_path), features, labels)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "weight_map"),
        ('{"weight_map": {}}', "weight_map"),
        ('{"weight_map": {"a": 3}}', "weight_map"),
        ('{"weight_map": {"a": "../a.safetensors"}}', "beside the index"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "beside the index"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "missing"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_bad_index_is_refused(tmp_path, content, reason):
    (tmp_path / "a.index.json").write_text(content)
    with pytest.raises(FileFormatError, match=reason):
        open_features(tmp_path / "a.index.json")


@pytest.mark.parametrize("pattern", ["{split}/{name}", "{split}_{name}", "{name}_{split}", "{name}.{split}"])
def test_splits_by_the_names_of_arrays(tmp_path, features, labels, pattern):
    arrays = {}
    for split, rows in {"test": slice(40, N), "train": slice(0, 40)}.items():
        arrays[pattern.format(split=split, name="features")] = features[rows].clone()
        arrays[pattern.format(split=split, name="labels")] = labels[rows].clone()
    path = tmp_path / "a.safetensors"
    save_file(arrays, path)
    assert feature_splits(path) == ["train", "test"]
    assert_same(open_features(path, split="train"), features[:40], labels[:40])
    assert_same(open_features(path, split="test"), features[40:], labels[40:])
    with pytest.raises(FileFormatError, match="train, test: choose"):
        open_features(path)
    with pytest.raises(FileFormatError, match="no split 'val'"):
        open_features(path, split="val")


@pytest.mark.parametrize("layout", ["prefix", "folders"])
def test_splits_by_files(tmp_path, features, labels, layout):
    for split, rows in {"test": slice(40, N), "train": slice(0, 40)}.items():
        (tmp_path / split).mkdir()
        name = f"{split}-00000-of-00001.parquet" if layout == "prefix" else f"{split}/data.parquet"
        write_parquet_list(tmp_path / name, features[rows], labels[rows])
        if layout == "prefix":
            (tmp_path / split).rmdir()
    assert feature_splits(tmp_path) == ["train", "test"]
    assert_same(open_features(tmp_path, split="train"), features[:40], labels[:40])
    assert_same(open_features(tmp_path, split="test"), features[40:], labels[40:])
    with pytest.raises(FileFormatError, match="choose one"):
        open_features(tmp_path)


def test_one_named_split_needs_no_choice(tmp_path, features, labels):
    save_file({"train/features": features, "train/labels": labels}, tmp_path / "a.safetensors")
    assert_same(open_features(tmp_path / "a.safetensors"), features, labels)
    assert feature_splits(write_npz(tmp_path / "b.npz", features, labels)) == []


def test_classifier_and_names_stored_beside(tmp_path, features, labels):
    weight, bias, names = torch.randn(K, D), torch.randn(K), ["ant", "bee", "<img onerror=x>", "蚁"]
    path = tmp_path / "a.safetensors"
    arrays = {"features": features, "labels": labels, "weight": weight, "bias": bias}
    save_file(arrays, path, metadata={"class_names": json.dumps(names)})
    np.savez(tmp_path / "a.npz", **{k: v.numpy() for k, v in arrays.items()}, class_names=np.array(names))
    torch.save({**arrays, "class_names": names}, tmp_path / "a.pt")
    for name in ("a.safetensors", "a.npz", "a.pt"):
        file = open_features(tmp_path / name)
        assert torch.equal(file.weight, weight)
        assert torch.equal(file.bias, bias)
        assert file.class_names == names


def test_nothing_stored_beside(written):
    file = open_features(written)
    assert (file.weight, file.bias, file.class_names) == (None, None, None)


def test_class_names_in_parquet(tmp_path, features, labels):
    write_parquet_list(tmp_path / "a.parquet", features, labels)
    table = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata({"class_names": '["a", "b", "c", "d"]'})
    pq.write_table(table, tmp_path / "b.parquet")
    assert open_features(tmp_path / "b.parquet").class_names == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("rank", "world_size"), [(-1, 2), (2, 2), (0, 0)])
def test_a_rank_outside_the_world_is_refused(written, rank, world_size):
    with pytest.raises(InputError, match="rank"):
        open_features(written).shard(rank, world_size)


def test_an_empty_batch_size_is_refused(written):
    with pytest.raises(InputError, match="batch_size"):
        open_features(written, batch_size=0)
