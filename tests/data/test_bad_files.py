"""Promise P14: whatever is wrong with a file ends in one FileFormatError, in bounded memory."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from neucollapse import FileFormatError
from neucollapse.data import load, load_weight, open_features

LARGEST_LABEL = 2**24


def small(path: Path) -> Path:
    """A tiny file of each format, with a classifier so that weights can be read from it too."""
    generator = torch.Generator().manual_seed(3)
    features, labels = torch.randn(6, 3, generator=generator), torch.arange(6) % 2
    arrays = {"features": features, "labels": labels}
    if path.suffix == ".safetensors":
        save_file(arrays, path)
    elif path.name == "stored.npz":
        np.savez(path, **{name: array.numpy() for name, array in arrays.items()})
    elif path.suffix == ".npz":
        np.savez_compressed(path, **{name: array.numpy() for name, array in arrays.items()})
    elif path.suffix == ".npy":
        np.save(path.with_name("features_labels.npy"), labels.numpy())
        np.save(path, features.numpy())
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"features": list(features.numpy()), "labels": labels.numpy()}), path)
    elif path.name == "legacy.pt":
        torch.save(arrays, path, _use_new_zipfile_serialization=False)
    else:
        torch.save(arrays, path)
    return path


NAMES = ["a.safetensors", "stored.npz", "deflated.npz", "features.npy", "a.parquet", "a.pt", "legacy.pt"]


def consume(path: Path) -> None:
    """Read a feature file to its end; nothing but FileFormatError may come out."""
    try:
        file = open_features(path)
        for features, labels in file:
            assert len(features) == len(labels)
            assert features.shape[1] == file.dim
        assert file.num_classes <= LARGEST_LABEL
        _ = file.class_names, file.weight, file.bias
    except FileFormatError as error:
        assert_one_sentence(str(error), path)
        raise


def assert_one_sentence(message: str, path: Path) -> None:
    assert str(path.parent) in message
    assert "\n" not in message
    assert len(message) < 1500


def damaged(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_truncation_at_every_byte(tmp_path, name):
    whole = small(tmp_path / name).read_bytes()
    # Archives are some thousand bytes long: every byte of the first and last 300, then every fifth.
    lengths = [n for n in range(len(whole)) if n < 300 or n > len(whole) - 300 or n % 5 == 0]
    for length in lengths:
        path = damaged(tmp_path, name, whole[:length])
        with pytest.raises(FileFormatError):
            consume(path)


@pytest.mark.parametrize("name", NAMES)
def test_random_bytes_are_refused(tmp_path, name):
    small(tmp_path / name)
    random = np.random.default_rng(0)
    for length in (1, 7, 8, 64, 1000, 20_000):
        with pytest.raises(FileFormatError):
            consume(damaged(tmp_path, name, random.bytes(length)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_another_format_under_the_wrong_suffix(tmp_path, name, other):
    if Path(name).suffix == Path(other).suffix:
        pytest.skip("the same format")
    content = small(tmp_path / other).read_bytes()
    small(tmp_path / name)
    with pytest.raises(FileFormatError):
        consume(damaged(tmp_path, name, content))


@pytest.mark.parametrize("name", [*NAMES, "a.bin", "a", "a.csv"])
def test_files_that_are_none(tmp_path, name):
    with pytest.raises(FileFormatError, match=r"no such file|unknown suffix"):
        consume(tmp_path / name)
    with pytest.raises(FileFormatError, match=r"empty|unknown suffix"):
        consume(damaged(tmp_path, name, b""))
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(FileFormatError, match="no file of arrays"):
        consume(tmp_path / name)


def test_odd_paths(tmp_path):
    for path in ("a\0b.npz", "x" * 5000 + ".npz", str(tmp_path / "none-*.npz")):
        with pytest.raises(FileFormatError):
            open_features(path)


def test_an_unreadable_file(tmp_path, monkeypatch):
    path = small(tmp_path / "a.safetensors")
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        pass
    else:  # the superuser reads everything: let the file system refuse instead
        monkeypatch.setattr(Path, "open", _refuse)
    with pytest.raises(FileFormatError, match="no permission"):
        open_features(path)


def _refuse(self, *arguments):
    raise PermissionError(13, "Permission denied", str(self))


ROWS = np.zeros((6, 3), np.float32)
CLASSES = np.arange(6)


@pytest.mark.parametrize(
    ("features", "labels", "reason"),
    [
        (ROWS.astype(np.int64), CLASSES, "expected features"),
        (ROWS.astype(np.complex64), CLASSES, "complex64, not as plain numbers"),
        (ROWS.astype(np.longdouble), CLASSES, "not as plain numbers"),
        (ROWS.astype(object), CLASSES, "object, not as plain numbers"),
        (ROWS[:, 0], CLASSES, "expected features"),
        (ROWS[:, :, None], CLASSES, "expected features"),
        (np.float32(3), CLASSES, "no rows"),
        (ROWS[:0], CLASSES[:0], "no rows"),
        (ROWS[:, :0], CLASSES, "no rows"),
        (ROWS, CLASSES[:5], "5 labels for 6 rows"),
        (ROWS, CLASSES.astype(np.float32), "expected integers"),
        (ROWS, CLASSES > 3, "expected integers"),
        (ROWS, np.eye(6, dtype=np.int64), "argmax"),
        (ROWS, CLASSES.astype(object), "object"),
        (ROWS, CLASSES * 0 - 100, "largest label is -100"),
        (ROWS, CLASSES * 2**40, "largest label is"),
        (ROWS, CLASSES.astype(np.uint64) + 2**63, "larger than 2"),
    ],
)
def test_arrays_of_the_wrong_kind(tmp_path, features, labels, reason):
    path = tmp_path / "a.npz"
    np.savez(path, allow_pickle=True, features=features, labels=labels)
    with pytest.raises(FileFormatError, match=reason):
        consume(path)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": ROWS, "y": CLASSES}, r"no 'features' in it; it holds 'x' \(6, 3\) float32, 'y' \(6,\) int64"),
        ({"features": ROWS, "z": CLASSES}, "no 'labels' in it; it holds"),
        (
            {"features": ROWS, "y": CLASSES},
            r"no 'labels' in it; did you mean 'y'\? Then say labels='y' \(--labels-key y\)",
        ),
        (
            {"features": ROWS, "label": CLASSES},
            r"did you mean 'label'\? Then say labels='label' \(--labels-key label\)\. It",
        ),
        (
            {"feature": ROWS, "labels": CLASSES},
            r"did you mean 'feature'\? Then say features='feature' \(--features-key",
        ),
        ({"features": ROWS, "labels": CLASSES, "weight": np.zeros((2, 4))}, r"expected a classifier \(K, 3\)"),
        ({"features": ROWS, "labels": CLASSES, "weight": np.zeros(6)}, "rename"),
        ({"features": ROWS, "labels": CLASSES, "weight": np.zeros((2, 3)), "bias": np.zeros(3)}, "'bias' is"),
        ({"features": ROWS, "labels": CLASSES, "class_names": np.arange(6)}, "class_names"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, reason):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FileFormatError, match=reason):
        consume(tmp_path / "a.npz")


def test_shards_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "a-1.npz", features=ROWS, labels=CLASSES)
    np.savez(tmp_path / "a-2.npz", features=ROWS[:, :2], labels=CLASSES)
    with pytest.raises(FileFormatError, match=r"a-2.npz.*d or dtype differ"):
        consume(tmp_path)
    small(tmp_path / "b.safetensors")
    with pytest.raises(FileFormatError, match="several kinds"):
        consume(tmp_path)


def test_features_without_labels_beside(tmp_path):
    np.save(tmp_path / "h.npy", ROWS)
    with pytest.raises(FileFormatError, match=r"h_labels\.npy"):
        consume(tmp_path / "h.npy")


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ([[1.0, 2.0], [3.0]], "lengths|length"),
        ([[1.0, 2.0], [3.0, None]], "null"),
        ([[1.0, 2.0], None], "null"),
        (pa.array([[], []], pa.list_(pa.float32())), "no rows"),
        (["a", "b"], "expected features"),
        ([[["a"]], [["b"]]], "not as plain numbers"),
    ],
)
def test_parquet_columns_of_the_wrong_kind(tmp_path, features, reason):
    pq.write_table(pa.table({"features": features, "labels": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match=reason):
        consume(tmp_path / "a.parquet")


def test_parquet_lists_that_change_their_length_midway(tmp_path):
    features = [[1.0, 2.0]] * 4 + [[1.0, 2.0, 3.0]] * 4
    pq.write_table(pa.table({"features": features, "labels": [0, 1] * 4}), tmp_path / "a.parquet", row_group_size=4)
    with pytest.raises(FileFormatError, match="length 2 of the first"):
        consume(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_shrinks_after_it_was_opened(tmp_path, name):
    if name.endswith(".pt"):
        pytest.skip("read when opened")
    path = small(tmp_path / name)
    file = open_features(path)
    if path.suffix == ".safetensors":
        save_file({"features": torch.zeros(2, 3), "labels": torch.zeros(2, dtype=torch.int64)}, path)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"features": [[1.0, 2.0, 3.0]] * 2, "labels": [0, 1]}), path)
    elif path.suffix == ".npz":
        np.savez(path, features=ROWS[:2], labels=CLASSES[:2])
    else:
        np.save(path, ROWS[:2])
    with pytest.raises(FileFormatError):
        list(file)


def test_null_labels_in_parquet(tmp_path):
    pq.write_table(pa.table({"features": [[1.0], [2.0]], "labels": [0, None]}), tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match="null"):
        consume(tmp_path / "a.parquet")


def npy_header(shape: str, dtype: str = "'<f4'") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (npy_header("(1000000000000, 1)"), "claims"),
        (npy_header("(2147483648, 2147483648, 2147483648)"), "claims"),
        (npy_header("(-6, 3)"), "impossible"),
        (npy_header("(6, 3)", "'|O'"), "object"),
        (npy_header("(6, 3)", "'|V2'"), "not as plain numbers"),
        (npy_header("(6, 3)", "[('a', '<f4')]"), "not as plain numbers"),
        (npy_header("(6, 3)", "__import__('os')"), "damaged"),
        (npy_header("'(6, 3)'"), "damaged"),
        (npy_header("(6, 3)").replace(b"\x01\x00", b"\x09\x00", 1), "version|damaged"),
    ],
)
@pytest.mark.parametrize("archive", [False, True])
def test_headers_that_lie(tmp_path, header, reason, archive):
    content = header + bytes(72)
    if archive:
        path = tmp_path / "a.npz"
        np.savez(path, labels=CLASSES)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("features.npy", content)
    else:
        path = damaged(tmp_path, "features.npy", content)
        np.save(tmp_path / "labels.npy", CLASSES)
    with pytest.raises(FileFormatError, match=reason):
        consume(path)


def test_a_pickle_is_never_run(tmp_path):
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return Path.touch, (marker,)

    array = np.array([Payload()] * 6, dtype=object)
    np.save(tmp_path / "features.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", features=array, labels=CLASSES, allow_pickle=True)
    torch.save({"features": Payload(), "labels": torch.arange(6)}, tmp_path / "a.pt")
    torch.save(Payload(), tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    np.save(tmp_path / "labels.npy", CLASSES)
    for name in ("features.npy", "a.npz", "a.pt", "b.pt"):
        with pytest.raises(FileFormatError):
            consume(tmp_path / name)
        with pytest.raises(FileFormatError):
            load_weight(tmp_path / name)
    assert not marker.exists()


def test_members_compressed_by_methods_that_expand_without_bound(tmp_path):
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as file:
            file.writestr("features.npy", npy_header("(6, 3)") + bytes(72))
        with pytest.raises(FileFormatError, match="NumPy never writes"):
            consume(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", b"")
    with pytest.raises(FileFormatError, match=r"torch\.save never does"):
        consume(tmp_path / "a.pt")


def test_a_wrong_checksum_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, features=np.full((6, 3), 7.25), labels=CLASSES)
    content = path.read_bytes()
    for array in (np.full(18, 7.25).tobytes(), CLASSES.tobytes()):
        at = content.index(array)
        changed = bytearray(content)
        changed[at + 3] ^= 1
        with pytest.raises(FileFormatError, match="CRC"):
            consume(damaged(tmp_path, "a.npz", bytes(changed)))


MEMORY = """
import resource, sys
import numpy, pyarrow.parquet, torch
from neucollapse import FileFormatError
from neucollapse.data import _idx as idx
from neucollapse.data import load_weight, open_features

torch.set_num_threads(1)
kind, path, most_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reason, rows = "", 0
try:
    if kind == "features":
        for features, _ in open_features(path, max_bytes=most_bytes):
            rows += len(features)
    elif kind == "weight":
        load_weight(path, transpose=False, max_bytes=most_bytes)
    else:
        idx.read_idx(__import__("pathlib").Path(path), axes=3, max_bytes=most_bytes)
except FileFormatError as error:
    reason = str(error)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle
print(rows, grown / 1024, reason)
"""


def measured(kind: str, path: Path, max_bytes: int) -> tuple[int, float, str]:
    """Rows, MiB of growth and the refusal of one read in a fresh process."""
    command = [sys.executable, "-c", MEMORY, kind, str(path), str(max_bytes)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    rows, grown, *reason = output.split(" ", 2)
    return int(rows), float(grown), reason[0] if reason else ""


@pytest.mark.parametrize("kind", ["features", "weight"])
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_bomb_of_200_megabytes_is_refused(tmp_path, kind, suffix):
    if (kind, suffix) == ("weight", ".parquet"):
        pytest.skip("no classifier is read from parquet")
    path = bomb(tmp_path, suffix)
    assert path.stat().st_size < 300_000
    rows, grown, reason = measured(kind, path, 64 * 2**20)
    assert "would expand" in reason
    assert rows == 0
    assert grown < 20


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_bomb_that_is_trusted_streams_in_bounded_memory(tmp_path, suffix):
    rows, grown, reason = measured("features", bomb(tmp_path, suffix), 2**30)
    assert (rows, reason) == (50_000, "")
    # 200 MB pass by in batches of 32 MiB; Arrow holds some copies of a batch while it decodes one.
    assert grown < (100 if suffix == ".npz" else 160)


def bomb(tmp_path: Path, suffix: str) -> Path:
    path, features = tmp_path / f"bomb{suffix}", np.zeros((50_000, 1000), np.float32)
    if suffix == ".npz":
        np.savez_compressed(path, features=features, labels=np.zeros(50_000, np.int64))
    else:
        values = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), 1000)
        table = pa.table({"features": values, "labels": np.zeros(50_000, np.int64)})
        pq.write_table(table, path, compression="zstd")
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".npz"])
def test_a_large_file_streams_in_bounded_memory(tmp_path, suffix):
    features, labels = np.random.default_rng(0).standard_normal((40_000, 1000), np.float32), np.zeros(40_000, np.int64)
    path = tmp_path / f"features{suffix}"
    if suffix == ".npz":
        np.savez(path, features=features, labels=labels)
    elif suffix == ".npy":
        np.save(path, features)
        np.save(tmp_path / "labels.npy", labels)
    else:
        save_file({"features": torch.from_numpy(features), "labels": torch.from_numpy(labels)}, path)
    rows, grown, reason = measured("features", path, 2**26)
    assert (rows, reason) == (40_000, "")
    assert grown < 100  # of the 160 MB on disk, two batches of 32 MiB


def test_data_sets_refuse_bad_files_too(tmp_path):
    for name in NAMES:
        whole = small(tmp_path / name).read_bytes()
        with pytest.raises(FileFormatError):
            load(damaged(tmp_path, name, whole[: len(whole) // 2]))
