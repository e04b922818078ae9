"""Classifiers in GGUF files."""

import sys

import numpy as np
import pytest

from neucollapse import FileFormatError, MissingExtraError
from neucollapse.data import load_weight

gguf = pytest.importorskip("gguf", reason="needs the extra 'heads'")

K, D = 6, 64


def write(path, tensors, kinds=None):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.name", "toy")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
    writer.add_array("numbers", [1, 2, 3])
    for name, array in tensors.items():
        kind = (kinds or {}).get(name)
        if kind is None:
            writer.add_tensor(name, array)
        else:
            writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def weight():
    return np.random.default_rng(0).standard_normal((K, D)).astype(np.float32)


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_1"])
def test_a_quantised_matrix(tmp_path, weight, kind):
    number = gguf.GGMLQuantizationType[kind]
    path = write(
        tmp_path / "a.gguf", {"token_embd.weight": weight, "norm.weight": weight[0]}, {"token_embd.weight": number}
    )
    found = load_weight(path)
    assert found.name == "token_embd.weight (tied embedding)"
    assert np.array_equal(found.weight, gguf.dequantize(gguf.quantize(weight, number), number))
    assert np.abs(found.weight.numpy() - weight).max() < {"F32": 1e-12, "F16": 2e-3, "Q8_0": 2e-2, "Q4_1": 0.3}[kind]


def test_an_output_matrix_goes_before_the_embedding(tmp_path, weight):
    tensors = {
        "token_embd.weight": -weight,
        "blk.0.up.weight": weight[:2],
        "output.weight": weight,
        "output.bias": weight[:, 0],
    }
    found = load_weight(write(tmp_path / "a.gguf", tensors))
    assert found.name == "output.weight"
    assert np.array_equal(found.weight, weight)
    assert np.array_equal(found.bias, weight[:, 0])


def test_truncation_and_bit_flips_never_escape(tmp_path, weight):
    whole = write(tmp_path / "a.gguf", {"output.weight": weight}).read_bytes()
    path, random, refused = tmp_path / "b.gguf", np.random.default_rng(0), 0
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            load_weight(path)
    header = len(whole) - weight.nbytes
    for _ in range(400):
        content = bytearray(whole)
        content[random.integers(header)] ^= 1 << random.integers(8)
        path.write_bytes(content)
        try:
            load_weight(path)
        except FileFormatError:
            refused += 1
    assert refused > 120


def test_without_the_package(tmp_path, weight, monkeypatch):
    path = write(tmp_path / "a.gguf", {"output.weight": weight})
    for name in [name for name in sys.modules if name == "gguf" or name.startswith("gguf.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match="heads"):
        load_weight(path)
