"""Promise P14 under random damage: every file that is read, in bytes and in structure. ``NEUCOLLAPSE_FUZZ=2000`` for more.

No mutation ends in anything but a ``FileFormatError``, and where a digest stands no changed content is read.
"""

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import neucollapse as nc
from neucollapse import ClassStatistics, FileFormatError, geometry
from neucollapse._files import load_tensors, save_tensors
from neucollapse.data import load, load_idx_folder, load_weight, open_features
from neucollapse.metrics import CollapseResult

MUTATIONS = int(os.environ.get("NEUCOLLAPSE_FUZZ", "25"))
X, Y, W, B = (
    torch.arange(18.0).reshape(6, 3).sin(),
    torch.arange(6) % 2,
    torch.arange(6.0).reshape(2, 3).cos(),
    torch.ones(2),
)
ARRAYS = {"features": X, "labels": Y, "weight": W, "bias": B}
NUMPY = {name: array.numpy() for name, array in ARRAYS.items()}


@dataclass(frozen=True)
class Kind:
    """A file: how a whole one is written into a folder, how it is read to its end, and whether a digest stands in it."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    digest: bool = False
    refusal: Any = FileFormatError


def features(path: Path) -> list[Any]:
    file = open_features(path)
    rows = [part.tolist() for batch in file for part in batch]
    _ = file.num_classes
    return [rows, *(None if own is None else own.tolist() for own in (file.weight, file.bias)), file.class_names]


def weight(path: Path) -> list[Any]:
    found = load_weight(path)
    return [found.weight.tolist(), None if found.bias is None else found.bias.tolist(), found.name]


def both(path: Path) -> list[Any]:
    """As features and as a classifier; a file that neither reads is refused."""
    seen, refused = [], None
    for read in (features, weight):
        try:
            seen.append(read(path))
        except FileFormatError as error:
            seen.append(None)
            refused = error
    if seen == [None, None] and refused is not None:
        raise refused
    return seen


def npy(path: Path) -> None:
    np.save(path.with_name("features_labels.npy"), NUMPY["labels"])
    np.save(path, NUMPY["features"])


def parquet(path: Path) -> None:
    names = pa.array(["cat", "dog"] * 3).dictionary_encode()
    columns = {"features": list(NUMPY["features"]), "labels": names}
    pq.write_table(pa.table(columns), path, write_page_checksum=True)


def onnx(path: Path) -> None:
    helper, array = pytest.importorskip("onnx").helper, pytest.importorskip("onnx").numpy_helper.from_array
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Add", ["z", "b"], ["y"])]
    tensors = [array(NUMPY["weight"].T.copy(), "w"), array(NUMPY["bias"][None], "b")]
    values = [helper.make_tensor_value_info(name, 1, None) for name in "xy"]
    path.write_bytes(
        helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], tensors)).SerializeToString()
    )


def gguf(path: Path) -> None:
    writer = pytest.importorskip("gguf").GGUFWriter(path, "x")
    writer.add_tensor("output.weight", NUMPY["weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def idx(path: Path) -> None:
    head = bytes((0, 0, 8, 3)) + b"".join(size.to_bytes(4, "big") for size in (6, 2, 2))
    path.with_name("train-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 6)) + bytes([0, 1] * 3))
    path.write_bytes(gzip.compress(head + bytes(range(24)), mtime=0))


def images(path: Path) -> list[Any]:
    return [part.tolist() for part in load_idx_folder(path.parent).train.tensors]


def data_set(path: Path) -> list[Any]:
    return [part.tolist() for part in load(path).train.tensors]


def statistics(path: Path) -> None:
    stats = ClassStatistics(num_classes=2, dim=3)
    stats.update(X, Y)
    stats.save(path)


def stored_statistics(path: Path) -> str:
    return str(ClassStatistics.load(path).state_dict())


def result(path: Path) -> None:
    nc.measure((X, Y), weight=W, bias=B).save(path.parent)


def stored_result(path: Path) -> list[Any]:
    found = CollapseResult.load(path.parent)
    return [found.numbers, {name: array.tolist() for name, array in found.arrays.items()}]


def page(path: Path) -> None:
    nc.write_report(path.parent, path.parent / "page.html")


def config(path: Path) -> None:
    from neucollapse.training import TrainConfig

    TrainConfig().save(path)


def stored_config(path: Path) -> Any:
    from neucollapse.training import TrainConfig

    return TrainConfig.load(path)


def history(path: Path) -> None:
    result(path)
    columns = {"epoch": pa.array([0, 1, 2], pa.int32()), "key": ["train/loss"] * 3, "value": [2.0, 1.0, 0.5]}
    pq.write_table(pa.table(columns), path)


def checkpoint(path: Path) -> None:
    from neucollapse.training._checkpoint import SafeCheckpointIO

    SafeCheckpointIO().save_checkpoint({"epoch": 3, "state_dict": {"w": W}, "lr": [0.1, (None, "x")]}, path)


def stored_checkpoint(path: Path) -> Any:
    from neucollapse.training._checkpoint import load_checkpoint

    found = load_checkpoint(path)
    return json.dumps(found, default=lambda tensor: tensor.tolist())


def simulation(path: Path) -> None:
    if not path.parent.joinpath("simulation.json").exists():
        shutil.copytree(simulated(), path.parent, dirs_exist_ok=True)


@cache
def simulated() -> Path:
    folder = Path(tempfile.mkdtemp())
    simulate_in(folder)
    return folder


def simulate_in(folder: Path) -> None:
    from neucollapse.theory import simulate
    from neucollapse.theory.settings import SETTINGS

    settings = SETTINGS["supcon"](classes=2, dim=2, samples=2, steps=20, starts=1)
    simulate(settings, folder=folder, progress=False)


def simulation_page(path: Path) -> None:
    from neucollapse.report import write_simulation_page

    write_simulation_page(path.parent, path.parent / "page.html")


def atlas(path: Path) -> None:
    from neucollapse.geometry.atlas import Atlas, Entry

    held = Atlas()
    held.add(Entry.of(geometry.unit_rows(torch.eye(3, dtype=torch.float64)), "made here"))
    held.save(path)


def stored_atlas(path: Path) -> Any:
    from neucollapse.geometry.atlas import Atlas

    return [entry.points.tolist() for entry in Atlas.load(path)]


KINDS = [
    Kind("a.safetensors", lambda path: save_file(ARRAYS, path), both),
    Kind("a.npz", lambda path: np.savez(path, **NUMPY), both, digest=True),
    Kind("deflated.npz", lambda path: np.savez_compressed(path, **NUMPY, class_names=["a", "b"]), both, digest=True),
    Kind("features.npy", npy, features),
    Kind("a.pt", lambda path: torch.save(ARRAYS, path), both, digest=True),
    Kind("a.parquet", parquet, features),
    Kind("a.onnx", onnx, weight),
    Kind("a.gguf", gguf, weight),
    Kind("train-images-idx3-ubyte.gz", idx, images, digest=True),
    Kind("set.npz", lambda path: np.savez(path, x=NUMPY["features"], y=["a", "b"] * 3), data_set, digest=True),
    Kind("a.index.json", lambda path: sharded(path), both),
    Kind("statistics.safetensors", statistics, stored_statistics, digest=True),
    Kind("arrays.safetensors", result, stored_result, digest=True),
    Kind("result.json", result, stored_result),
    Kind("result.json page", result, page),
    Kind("history.parquet", history, page),
    Kind("config.json", config, stored_config),
    Kind("checkpoint.safetensors", checkpoint, stored_checkpoint, digest=True),
    Kind("simulation.json", simulation, simulation_page),
    Kind("atlas.safetensors", atlas, stored_atlas, digest=True),
]  # fmt: skip


def sharded(path: Path) -> None:
    save_file({"features": X, "labels": Y}, path.with_name("a-1.safetensors"))
    path.write_text(json.dumps({"weight_map": {"features": "a-1.safetensors", "labels": "a-1.safetensors"}}))


def damaged(content: bytes, random: Random) -> bytes:
    """One to three changes: a bit, a byte, a stretch cut out, doubled, zeroed or put elsewhere, the end lost."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 3))):
        if not changed:
            break
        at, length = random.randrange(len(changed)), random.choice((1, 2, 4, 8, 64))
        stretch = bytes(changed[at : at + length])
        kind = random.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[at] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = stretch * random.choice((1, 2, 50))
        elif kind == 4:
            changed[at : at + length] = bytes(len(stretch))
        elif kind == 5:
            to = random.randrange(len(changed))
            changed[to : to + length] = stretch
        else:
            del changed[at:]
    return bytes(changed)


_TREELESS = ("a.safetensors", "arrays.safetensors")
HOSTILE: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, 1e999, float("nan"), "", "x", "\ud800", "../../x", "<script>",
    "x" * 10_000, [], {}, [[]], [None], {"a": {}}, ["dict", 1], ["tensor", "none"], [1, 2, 3], {"schema": 1},
]  # fmt: skip


def hostile(tree: Any, random: Random) -> Any:
    """The tree with one node replaced, dropped or doubled."""
    if isinstance(tree, dict) and tree and random.random() < 0.9:
        key = random.choice(list(tree))
        if random.random() < 0.1:
            return {name: value for name, value in tree.items() if name != key}
        return {**tree, key: hostile(tree[key], random)}
    if isinstance(tree, list) and tree and random.random() < 0.9:
        at = random.randrange(len(tree))
        if random.random() < 0.1:
            return tree[:at] + tree[at + 1 :] + tree[at : at + 1] * 2
        return [*tree[:at], hostile(tree[at], random), *tree[at + 1 :]]
    deep: Any = []
    for _ in range(random.choice((0, 0, 0, 0, 300))):
        deep = [deep]
    return random.choice([*HOSTILE, deep])


def attempt(kind: Kind, path: Path, whole: Any, seed: object) -> bool:
    """Whether a mutation is refused."""
    try:
        seen = kind.read(path)
    except kind.refusal as refusal:
        sentence = str(refusal)
    except Exception as error:
        if type(error).__name__ == "TypeCheckError":  # the annotations, which tests alone execute, come first
            return True
        raise AssertionError(f"mutation {seed} of {kind.name}: {type(error).__name__}: {error}") from error
    else:
        assert not kind.digest or same(kind, seen, whole), f"mutation {seed} of {kind.name} is read as something else"
        return False
    assert "\n" not in sentence, (seed, sentence)
    assert len(sentence) < 2000, (seed, sentence)
    return True


def same(kind: Kind, seen: Any, whole: Any) -> bool:
    """Of a file that two readers take, either may refuse; what is read is what was written."""
    pairs = zip(seen, whole, strict=True) if kind.read is both else [(seen, whole)]
    return all(one is None or repr(one) == repr(other) for one, other in pairs)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def written(request, tmp_path_factory):
    kind = request.param
    path = tmp_path_factory.mktemp("fuzz") / kind.name.split(" ")[0]
    kind.write(path)
    return kind, path, path.read_bytes(), kind.read(path)


@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes(written):
    kind, path, content, whole = written
    refused = 0
    for seed in range(MUTATIONS):
        path.write_bytes(damaged(content, Random(seed)))
        refused += attempt(kind, path, whole, seed)
    path.write_bytes(content)
    assert refused


@pytest.mark.filterwarnings("ignore")
def test_hostile_trees(written):
    """JSON, and the metadata of tensors under a digest that fits them: what damage cannot do and another hand can."""
    kind, path, content, whole = written
    if path.suffix != ".json" and (path.suffix != ".safetensors" or path.name in _TREELESS):
        pytest.skip("it holds no tree")
    seen = replace(kind, digest=False)  # a digest over what was changed proves nothing
    for seed in range(MUTATIONS):
        random = Random(seed)
        if path.suffix == ".json":
            path.write_text(json.dumps(hostile(json.loads(content), random)))
        else:
            path.write_bytes(content)
            schema = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["schema"]
            tensors, metadata = load_tensors(path, schema=schema)
            tree = hostile(metadata, random)
            save_tensors(path, tensors, schema=schema, metadata=tree if isinstance(tree, dict) else {"tree": tree})
        attempt(seen, path, whole, seed)
    path.write_bytes(content)
