"""Classifiers in ONNX models."""

import sys

import numpy as np
import pytest
import torch

from neucollapse import FileFormatError, MissingExtraError
from neucollapse.data import load_weight

onnx = pytest.importorskip("onnx", reason="needs the extra 'heads'")

K, D, HIDDEN = 4, 3, 5
WEIGHT = np.arange(K * D, dtype=np.float32).reshape(K, D)
BIAS = np.linspace(-1, 1, K, dtype=np.float32)


def node(kind, inputs, outputs, **attributes):
    return onnx.helper.make_node(kind, inputs, outputs, **attributes)


def constant(name, array):
    return node("Constant", [], [name], value=onnx.numpy_helper.from_array(array, name))


def write(path, nodes, initializers=None, output="y"):
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", output)]
    graph = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


BODY = [node("MatMul", ["x", "w0"], ["h0"]), node("Relu", ["h0"], ["h"])]
FIRST = {"w0": np.ones((HIDDEN, D), np.float32)}


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("form", ["initializer", "constant"])
def test_a_matmul_and_an_add(tmp_path, form, flipped):
    arrays = {"w": WEIGHT.T.copy(), "b": BIAS}
    nodes = [constant(*pair) for pair in arrays.items()] if form == "constant" else []
    added = ["b", "z"] if flipped else ["z", "b"]
    nodes += [*BODY, node("MatMul", ["h", "w"], ["z"]), node("Add", added, ["s"]), node("Softmax", ["s"], ["y"])]
    found = load_weight(write(tmp_path / "a.onnx", nodes, FIRST | (arrays if form == "initializer" else {})))
    assert found.name == "w"
    assert np.array_equal(found.weight, WEIGHT)
    assert np.array_equal(found.bias, BIAS)


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_gemm(tmp_path, turned, dtype):
    arrays = {"w": (WEIGHT if turned else WEIGHT.T.copy()).astype(dtype), "b": BIAS.astype(dtype)}
    nodes = [*BODY, node("Gemm", ["h", "w", "b"], ["y"], transB=turned)]
    found = load_weight(write(tmp_path / "a.onnx", nodes, FIRST | arrays))
    assert found.weight.dtype == getattr(torch, np.dtype(dtype).name)
    assert np.array_equal(found.weight, WEIGHT)
    assert np.array_equal(found.bias, BIAS.astype(dtype))


def test_no_bias_and_another_layer_by_name(tmp_path):
    path = write(tmp_path / "a.onnx", [*BODY, node("MatMul", ["h", "w"], ["y"])], FIRST | {"w": WEIGHT.T.copy()})
    assert load_weight(path).bias is None
    assert load_weight(path, weight="w0").weight.shape == (D, HIDDEN)


def test_two_layers_at_the_output_are_not_chosen_between(tmp_path):
    nodes = [node("MatMul", ["x", "v"], ["p"]), node("MatMul", ["x", "w"], ["q"]), node("Add", ["p", "q"], ["y"])]
    path = write(tmp_path / "a.onnx", nodes, {"v": WEIGHT.T.copy(), "w": WEIGHT.T.copy()})
    with pytest.raises(FileFormatError, match=r"not clear.*v \(4, 3\), w \(4, 3\)"):
        load_weight(path)


def test_a_layer_behind_a_convolution_is_no_classifier(tmp_path):
    nodes = [node("MatMul", ["x", "v"], ["p"]), node("MatMul", ["p", "w"], ["q"]), node("Conv", ["q", "c"], ["y"])]
    arrays = {"v": WEIGHT.T.copy(), "w": np.eye(K, dtype=np.float32), "c": np.zeros((2, 2, 1, 1), np.float32)}
    with pytest.raises(FileFormatError, match="not clear"):
        load_weight(write(tmp_path / "a.onnx", nodes, arrays))


def test_data_outside_the_model_are_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(48))
    path = write(tmp_path / "a.onnx", [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT.T.copy()})
    model = onnx.load(str(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FileFormatError, match=r"data outside the model file|no floating-point matrix"):
        load_weight(path)


def test_a_model_that_claims_terabytes(tmp_path):
    path = write(tmp_path / "a.onnx", [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT.T.copy()})
    model = onnx.load(str(path))
    model.graph.initializer[0].dims[:] = [10**6, 10**6]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FileFormatError, match="would expand"):
        load_weight(path)
    model.graph.initializer[0].dims[:] = [4, 4]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FileFormatError):
        load_weight(path)


def test_damage_never_escapes(tmp_path):
    arrays = FIRST | {"w": WEIGHT.T.copy(), "b": BIAS}
    whole = write(tmp_path / "a.onnx", [*BODY, node("Gemm", ["h", "w", "b"], ["y"])], arrays).read_bytes()
    path, random, refused = tmp_path / "b.onnx", np.random.default_rng(0), 0
    for trial in range(len(whole) + 300):
        content = bytearray(whole[:trial] if trial < len(whole) else whole)
        if trial >= len(whole):
            content[random.integers(len(content))] ^= 1 << random.integers(8)
        path.write_bytes(content)
        try:
            load_weight(path)
        except FileFormatError:
            refused += 1
    assert refused > len(whole) // 2


def test_without_the_package(tmp_path, monkeypatch):
    path = write(tmp_path / "a.onnx", [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT.T.copy()})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="heads"):
        load_weight(path)


@pytest.mark.parametrize("shape", [(1, K), (1, 1, K), (K,)])
@pytest.mark.parametrize("between", [[], ["Reshape"], ["Identity"]])
def test_a_bias_with_more_axes_and_behind_other_nodes_is_kept(tmp_path, shape, between):
    nodes, name = [*BODY, node("MatMul", ["h", "w"], ["z"])], "z"
    for number, kind in enumerate(between):
        nodes.append(node(kind, [name, *(["shape"] if kind == "Reshape" else [])], [f"p{number}"]))
        name = f"p{number}"
    nodes.append(node("Add", [name, "b"], ["y"]))
    arrays = FIRST | {"w": WEIGHT.T.copy(), "b": BIAS.reshape(shape), "shape": np.array([-1, K])}
    found = load_weight(write(tmp_path / "a.onnx", nodes, arrays))
    assert np.array_equal(found.weight, WEIGHT)
    assert np.array_equal(found.bias, BIAS)


def test_a_constant_on_the_left_has_classes_as_rows(tmp_path):
    nodes = [node("MatMul", ["w", "x"], ["z"]), node("Add", ["z", "b"], ["y"])]
    found = load_weight(write(tmp_path / "a.onnx", nodes, {"w": WEIGHT, "b": BIAS.reshape(K, 1)}))
    assert np.array_equal(found.weight, WEIGHT)
    assert np.array_equal(found.bias, BIAS)


def test_the_factors_of_a_gemm_belong_to_the_classifier(tmp_path):
    nodes = [*BODY, node("Gemm", ["h", "w", "b"], ["y"], transB=1, alpha=2.0, beta=0.5)]
    found = load_weight(write(tmp_path / "a.onnx", nodes, FIRST | {"w": WEIGHT, "b": BIAS.reshape(1, K)}))
    assert np.array_equal(found.weight, 2 * WEIGHT)
    assert np.array_equal(found.bias, BIAS / 2)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_a_constant_that_is_turned_cast_and_de_quantised(tmp_path, axis):
    scale = np.float32(0.5) if axis is None else np.linspace(0.5, 1, WEIGHT.shape[axis], dtype=np.float32)
    wide = np.expand_dims(scale, 1 - axis) if axis is not None else scale
    whole = np.array(np.abs(WEIGHT), np.uint8)
    nodes = [
        *BODY,
        node("DequantizeLinear", ["q", "scale", "zero"], ["v"], **({} if axis is None else {"axis": axis})),
        node("Cast", ["v"], ["c"], to=onnx.TensorProto.FLOAT),
        node("Transpose", ["c"], ["w"], perm=[1, 0]),
        node("MatMul", ["h", "w"], ["y"]),
    ]
    arrays = FIRST | {"q": whole, "scale": scale, "zero": np.full_like(scale, 3, dtype=np.uint8)}
    found = load_weight(write(tmp_path / "a.onnx", nodes, arrays))
    assert np.allclose(found.weight, (whole.astype(np.float32) - 3) * wide)
    assert found.bias is None


@pytest.mark.parametrize("kind", ["MatMulInteger", "QLinearMatMul", "FusedMatMul", "Conv", "MatMul"])
def test_a_head_that_is_not_read_is_never_replaced_by_the_layer_before(tmp_path, kind):
    domain = {"domain": "com.microsoft"} if kind == "FusedMatMul" else {}
    nodes = [*BODY, node(kind, ["h", "x"], ["y"], **domain)]
    with pytest.raises(FileFormatError, match=f"not clear: the outputs come from '{kind}'"):
        load_weight(write(tmp_path / "a.onnx", nodes, FIRST))


def test_two_constants_of_one_name_are_refused(tmp_path):
    path = write(tmp_path / "a.onnx", [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT.T.copy()})
    model = onnx.load(str(path))
    model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FileFormatError, match="two initializers are called 'w'"):
        load_weight(path)
