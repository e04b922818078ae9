"""ONNX: the linear layers of a graph, their constants turned to (K, d) rows as ``nn.Linear`` has them.

A linear layer is ``MatMul`` or ``Gemm`` with a constant matrix, from an initializer or a ``Constant`` node. The
classifier is the one linear layer whose result reaches the outputs with no other linear or convolution between.
"""

from collections.abc import Iterator
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
_OPAQUE = ("Conv", "ConvTranspose", "LSTM", "GRU", "RNN", "Loop", "If", "Scan")  # a linear layer behind one is no head
_DTYPES = {1: torch.float32, 10: torch.float16, 11: torch.float64}  # numbers of TensorProto.DataType


class _Linear(NamedTuple):
    """One linear layer: its constant, whether that is (d, K) and must be turned, and its bias."""

    weight: str
    turned: bool
    bias: str | None


class OnnxArchive(Archive):
    """The weights and biases of the linear layers in an ONNX model."""

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
        with reading(path, _KIND):
            self._constants = _constants(graph)
            self._linears = _linears(graph, self._constants)
            self.entries = {}
            for linear in self._linears.values():
                self._add(linear)
            self.last = _reaching_outputs(graph, self._linears)

    def _add(self, linear: _Linear) -> None:
        entry = _entry(self._constants[linear.weight])
        shape = entry.shape[::-1] if linear.turned else entry.shape
        self.entries[linear.weight] = Entry(shape, entry.dtype, entry.stored_as)
        if linear.bias is not None:
            self.entries[linear.bias] = _entry(self._constants[linear.bias])
            self.biases = {**self.biases, linear.weight: linear.bias}

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        from onnx import numpy_helper

        turned = any(linear.weight == name and linear.turned for linear in self._linears.values())
        with reading(self.path, _KIND):
            array = numpy_helper.to_array(self._constants[name])
            array = array.T if turned else array
            if array.shape != self.entries[name].shape:
                raise ValueError(f"{name!r} has not the shape it claims")
            for first, last in spans(start, stop, size):
                yield torch.from_numpy(np.array(array[first:last], order="C"))


def _constants(graph: "GraphProto") -> dict[str, "TensorProto"]:
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
        if node.op_type == "Constant" and values and node.output:
            found[node.output[0]] = values[0]
    return found


def _entry(tensor: "TensorProto") -> Entry:
    shape = tuple(int(length) for length in tensor.dims)
    if tensor.data_location == 1 or min(shape, default=1) < 0:
        return Entry(shape, None, "data outside the model file")
    return Entry(shape, _DTYPES.get(tensor.data_type), f"ONNX type {tensor.data_type}")


def _linears(graph: "GraphProto", constants: dict[str, "TensorProto"]) -> dict[str, _Linear]:
    """Linear layers by the name of their output."""
    found = {}
    for node in graph.node:
        if node.op_type not in ("MatMul", "Gemm") or len(node.input) < 2 or not node.output:
            continue
        weight = node.input[1]
        if weight in constants and len(constants[weight].dims) == 2:
            flags = {attribute.name: attribute.i for attribute in node.attribute}
            turned = not flags.get("transB", 0)
            bias = node.input[2] if len(node.input) > 2 else None
            classes = constants[weight].dims[1 if turned else 0]
            found[node.output[0]] = _Linear(weight, turned, _if_bias(bias, constants, classes))
    for node in graph.node:  # MatMul has no bias of its own: it is added next
        if node.op_type == "Add" and len(node.input) == 2:
            for result, other in (node.input, reversed(node.input)):
                if result in found and found[result].bias is None:
                    linear = found[result]
                    classes = constants[linear.weight].dims[1 if linear.turned else 0]
                    found[result] = linear._replace(bias=_if_bias(other, constants, classes))
    return found


def _if_bias(name: str | None, constants: dict[str, "TensorProto"], classes: int) -> str | None:
    return name if name in constants and list(constants[name].dims) == [classes] else None


def _reaching_outputs(graph: "GraphProto", linears: dict[str, _Linear]) -> str | None:
    """The weight of the only linear layer that outputs lead back to, or None."""
    makers: dict[str, NodeProto] = {output: node for node in graph.node for output in node.output}
    pending, seen, found = [output.name for output in graph.output], set(), set()
    while pending:
        name = pending.pop()
        if name in seen or name not in makers:
            continue
        seen.add(name)
        if name in linears:
            found.add(linears[name].weight)
        elif makers[name].op_type in _OPAQUE:
            return None
        else:
            pending.extend(makers[name].input)
    return found.pop() if len(found) == 1 else None
