"""ONNX: the linear layers of a graph, their constants turned to (K, d) rows as `nn.Linear` has them.

A linear layer is `MatMul` or `Gemm` with a constant matrix, from an initializer, a `Constant` node, or either through
nodes that only turn, cast or de-quantise it. The classifier is the one linear layer whose result reaches the outputs with
no other linear layer, convolution or quantised product between.
"""

from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import FileFormatError, MissingExtraError
from ._archive import Archive, Entry, one_line, readable_file, reading, spans

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

_KIND = "an ONNX model"
# A linear layer behind one of these is no head. So is one behind any node of another domain, unless it is harmless.
_OPAQUE = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "Einsum",
           "LSTM", "GRU", "RNN", "Loop", "If", "Scan")  # fmt: skip
_DOMAINS = ("", "ai.onnx")
_HARMLESS = ("ZipMap", "Normalizer", "LabelEncoder", "ArrayFeatureExtractor", "Scaler")
# Between a product and its bias.
_PASSED = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout")
_DTYPES = {1: torch.float32, 10: torch.float16, 11: torch.float64}  # numbers of TensorProto.DataType


class _Constant(NamedTuple):
    """A tensor known without running the graph: its entry, and how it is formed."""

    entry: Entry
    form: Callable[[], np.ndarray]


class _Linear(NamedTuple):
    """One linear layer: its constant, whether that is (d, K), its bias, and the factors of Gemm for both."""

    weight: str
    turned: bool
    bias: str | None = None
    alpha: float = 1.0
    beta: float = 1.0


class OnnxArchive(Archive):
    """The weights and biases of the linear layers in an ONNX model, and its other constant vectors."""

    rows_are_classes = True

    def __init__(self, path: Path) -> None:
        try:
            import onnx
        except ImportError:
            raise MissingExtraError("onnx", "heads", "reading an ONNX model") from None
        self.path = readable_file(path)
        try:
            # External data are files named inside the model: they are not followed.
            graph = onnx.load(str(path), load_external_data=False).graph
        except Exception as error:  # protobuf has exceptions of its own, which derive from nothing narrower
            raise FileFormatError(path, f"damaged, cut short or not {_KIND} ({one_line(error)})") from None
        self.entries, self._factors = {}, {}
        self._turned: set[str] = set()
        with reading(path, _KIND):
            self._constants = _constants(graph)
            linears = _linears(graph, self._constants)
            for linear in linears.values():
                self._add(linear)
            vectors = ((name, one.entry) for name, one in self._constants.items() if len(one.entry.shape) == 1)
            self.entries = {**dict(vectors), **self.entries}
            self.last, self.unclear = _reaching_outputs(graph, linears, self.entries)

    def _add(self, linear: _Linear) -> None:
        name, entry = linear.weight, self._constants[linear.weight].entry
        factors = (linear.turned, linear.bias, linear.alpha, linear.beta)
        if self._factors.setdefault(name, factors) != factors:
            raise ValueError(f"{name!r} is used in two ways")
        shape = entry.shape[-2:]
        if linear.turned:
            self._turned.add(name)
        self.entries[name] = Entry(shape[::-1] if linear.turned else shape, entry.dtype, entry.stored_as)
        if linear.bias is not None:
            bias = self._constants[linear.bias].entry
            self.entries[linear.bias] = Entry((prod(bias.shape),), bias.dtype, bias.stored_as)
            self.biases = {**self.biases, name: linear.bias}

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        with reading(self.path, _KIND):
            array = self._constants[name].form() * self._factor(name)
            array = (
                array.reshape(array.shape[-2:]).T if name in self._turned else array.reshape(self.entries[name].shape)
            )
            if array.shape != self.entries[name].shape:
                raise ValueError(f"{name!r} has not the shape it claims")
            for first, last in spans(start, stop, size):
                yield torch.from_numpy(np.array(array[first:last], order="C"))

    def _factor(self, name: str) -> np.ndarray:
        """What a Gemm multiplies its constant by, in the constant's own precision."""
        own = self._factors[name][2] if name in self._factors else 1.0
        as_bias = [beta for _, bias, _, beta in self._factors.values() if bias == name]
        return np.array(as_bias[0] if as_bias else own, self._constants[name].form().dtype)


def _constants(graph: "GraphProto") -> dict[str, _Constant]:
    tensors: dict[str, TensorProto] = {}
    for tensor in graph.initializer:
        if tensor.name in tensors:
            raise ValueError(f"two initializers are called {tensor.name!r}")
        tensors[tensor.name] = tensor
    for node in graph.node:
        values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
        if node.op_type == "Constant" and values and node.output:
            tensors[node.output[0]] = values[0]
    found = {name: _Constant(_entry(tensor), _stored(tensor)) for name, tensor in tensors.items()}
    for node in graph.node:  # in the order of execution, as ONNX demands
        if node.output and node.input and node.input[0] in found and (made := _made(node, found)) is not None:
            found[node.output[0]] = made
    return found


def _stored(tensor: "TensorProto") -> Callable[[], np.ndarray]:
    from onnx import numpy_helper

    return lambda: numpy_helper.to_array(tensor)


def _made(node: "NodeProto", found: dict[str, _Constant]) -> _Constant | None:
    """What a node makes of a constant, if it only renames, casts, turns or de-quantises it."""
    entry, form = found[node.input[0]]
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Identity":
        return found[node.input[0]]
    if node.op_type == "Cast" and "to" in attributes and (dtype := _DTYPES.get(attributes["to"].i)) is not None:
        numbers = torch.empty(0, dtype=dtype).numpy().dtype
        return _Constant(Entry(entry.shape, dtype, entry.stored_as), lambda: form().astype(numbers))
    if node.op_type == "Transpose" and len(entry.shape) == 2:
        axes = tuple(attributes["perm"].ints) if "perm" in attributes else (1, 0)
        if axes == (1, 0):
            return _Constant(Entry(entry.shape[::-1], entry.dtype, entry.stored_as), lambda: form().T)
        return found[node.input[0]]
    if node.op_type == "DequantizeLinear" and all(name in found for name in node.input if name):
        scale, zero = (found[name].form if name else None for name in [*node.input[1:], "", ""][:2])
        axis = attributes["axis"].i if "axis" in attributes else 1
        if scale is not None and "block_size" not in attributes:
            stored_as = f"de-quantised from {entry.stored_as}"
            return _Constant(
                Entry(entry.shape, torch.float32, stored_as), lambda: _dequantised(form, scale, zero, axis)
            )
    return None


def _dequantised(
    form: Callable[[], np.ndarray], scale: Callable[[], np.ndarray], zero: Callable[[], np.ndarray] | None, axis: int
) -> np.ndarray:
    numbers, factors = form().astype(np.float32), scale()
    shape = [1] * numbers.ndim
    if factors.size > 1:
        shape[axis] = factors.size
    offset = 0 if zero is None else zero().astype(np.float32).reshape(shape)
    return (numbers - offset) * factors.astype(np.float32).reshape(shape)


def _entry(tensor: "TensorProto") -> Entry:
    shape = tuple(int(length) for length in tensor.dims)
    if tensor.data_location == 1 or min(shape, default=1) < 0:
        return Entry(shape, None, "data outside the model file")
    return Entry(shape, _DTYPES.get(tensor.data_type), f"ONNX type {tensor.data_type}")


def _linears(graph: "GraphProto", constants: dict[str, _Constant]) -> dict[str, _Linear]:
    """Linear layers by the name of their output."""
    found: dict[str, _Linear] = {}
    for node in graph.node:
        if node.output and node.domain in _DOMAINS and (linear := _linear(node, constants)) is not None:
            found[node.output[0]] = linear
    results = dict(found)  # the layers also by the names that their results get before the bias is added
    for node in graph.node:
        if node.op_type in _PASSED and node.input and node.output and node.input[0] in results:
            results[node.output[0]] = results[node.input[0]]
        if node.op_type == "Add" and len(node.input) == 2:
            for result, other in (node.input, reversed(node.input)):
                if result in results and results[result].bias is None:
                    _take_bias(found, results[result], other, constants)
    return found


def _linear(node: "NodeProto", constants: dict[str, _Constant]) -> _Linear | None:
    if node.op_type not in ("MatMul", "Gemm") or len(node.input) < 2:
        return None
    left, right = node.input[:2]
    if _is_matrix(right, constants):
        attributes = {attribute.name: attribute for attribute in node.attribute}
        turned = node.op_type == "MatMul" or not ("transB" in attributes and attributes["transB"].i)
        alpha, beta = (attributes[name].f if name in attributes else 1.0 for name in ("alpha", "beta"))
        linear = _Linear(right, turned, None, alpha, beta)
        bias = node.input[2] if len(node.input) > 2 else None
        return linear._replace(bias=_if_bias(bias, constants, linear))
    if node.op_type == "MatMul" and _is_matrix(left, constants):  # W x, of features in columns
        return _Linear(left, turned=False)
    return None


def _is_matrix(name: str, constants: dict[str, _Constant]) -> bool:
    shape = constants[name].entry.shape if name in constants else ()
    return len(shape) >= 2 and prod(shape[:-2]) == 1


def _take_bias(found: dict[str, _Linear], linear: _Linear, name: str, constants: dict[str, _Constant]) -> None:
    bias = _if_bias(name, constants, linear)
    for output, one in found.items():
        if one is linear and bias is not None:
            found[output] = one._replace(bias=bias)


def _if_bias(name: str | None, constants: dict[str, _Constant], linear: _Linear) -> str | None:
    """The name, if it is a constant of K entries along one axis: (K,), (1, K), (K, 1)."""
    if name is None or name not in constants:
        return None
    shape, K = constants[name].entry.shape, constants[linear.weight].entry.shape[-1 if linear.turned else -2]
    return name if prod(shape) == max(shape, default=0) == K else None


def _reaching_outputs(
    graph: "GraphProto", linears: dict[str, _Linear], entries: dict[str, Entry]
) -> tuple[str | None, str]:
    """The weight of the only linear layer that outputs lead back to; else None, and why it is not clear."""
    makers: dict[str, NodeProto] = {output: node for node in graph.node for output in node.output}
    pending, seen, found = [output.name for output in graph.output], set(), dict[str, None]()
    while pending:
        name = pending.pop()
        if name in seen or name not in makers:
            continue
        seen.add(name)
        node = makers[name]
        foreign = node.domain not in _DOMAINS and node.op_type not in _HARMLESS
        if name in linears:
            found[linears[name].weight] = None
        elif foreign or (node.op_type in _OPAQUE and any(source in makers for source in node.input)):
            return None, _unclear(f"the outputs come from {node.op_type!r}, which is not read", entries)
        else:
            pending.extend(node.input)
    if len(found) == 1:
        return next(iter(found)), ""
    return None, _unclear(
        "no linear layer leads to the outputs" if not found else "several lead to the outputs", entries
    )


def _unclear(reason: str, entries: dict[str, Entry]) -> str:
    matrices = [f"{name} {entry.shape}" for name, entry in entries.items() if len(entry.shape) == 2]
    return (
        f"which matrix is the classifier is not clear: {reason}; name it (--weight-key); there are {', '.join(matrices[:12])}"
        if matrices
        else f"it holds no floating-point matrix that is read as a linear layer: {reason}"
    )
