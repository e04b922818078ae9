"""Heads for other programs: ONNX files."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._errors import InputError, MissingExtraError
from .._files import atomic_path
from ._head import Head

if TYPE_CHECKING:
    from onnx import NodeProto

_OPSET, _IR_VERSION = 18, 8  # of 2022: any run time of today reads them
_LARGEST = 2**31 - 2**20  # bytes of a protobuf message, less what is not weight


def save_onnx(head: Head, path: str | Path) -> None:
    """Write a head as an ONNX model from `features` (N, d) to `logits` (N, K), atomically.

    The logits are those of `head.logits`, features are normalised inside where the head does so, and a zero feature has
    zero logits then. Half precision is written as float32. The weight is one constant matrix, its scale folded in; of
    sub-centres all are there, (K C, d), and a maximum follows.

    Raises:
        MissingExtraError: without `onnx`, of the extra `heads`.
        InputError: when the weight has 2 GiB or more, which such a file cannot hold.

    Examples:
        >>> import tempfile, torch
        >>> from neucollapse.data import load_weight
        >>> from neucollapse.heads import Cosine
        >>> head = Cosine(dim=3, num_classes=10, scale=8.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_onnx(head, f"{folder}/head.onnx")
        ...     found = load_weight(f"{folder}/head.onnx")
        >>> torch.allclose(found.weight, 8 * head.class_directions)
        True
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "heads", "writing an ONNX model") from None
    from onnx import helper

    nodes, constants = _graph(head)
    weight = constants["weight"]
    if weight.nbytes >= _LARGEST:
        raise InputError(
            f"expected a weight of less than 2 GiB, all an ONNX file can hold, got {weight.nbytes:,} bytes"
        )
    kind = helper.np_dtype_to_tensor_dtype(weight.dtype)
    graph = helper.make_graph(
        nodes,
        type(head).__name__,
        [helper.make_tensor_value_info("features", kind, ["N", head.dim])],
        [helper.make_tensor_value_info("logits", kind, ["N", head.num_classes])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="neucollapse")
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _graph(head: Head) -> "tuple[list[NodeProto], dict[str, np.ndarray]]":
    """Nodes in their order, and the constants they take, by name."""
    from onnx.helper import make_node

    rows, bias = head.linear_map()
    constants = {"weight": rows.detach().cpu().numpy()}
    if bias is not None:
        constants["bias"] = bias.detach().cpu().numpy()
    linear = list(constants)
    nodes, source, centres = [], "features", len(rows) // head.num_classes
    if head.normalize:
        nodes, source = _unit_rows(), "unit"
        kind = constants["weight"].dtype
        constants |= {"last": np.array([-1]), "tiny": np.array(np.finfo(kind).tiny), "one": np.ones((), kind)}
    nodes.append(make_node("Gemm", [source, *linear], ["logits" if centres == 1 else "all"], transB=1))
    if centres > 1:
        nodes.append(make_node("Reshape", ["all", "groups"], ["grouped"]))
        nodes.append(make_node("ReduceMax", ["grouped", "third"], ["logits"], keepdims=0))
        constants |= {"groups": np.array([-1, head.num_classes, centres]), "third": np.array([2])}
    return nodes, constants


def _unit_rows() -> "list[NodeProto]":
    """Features over their largest entry, then over their norm, so that no square over- or underflows; zero stays zero."""
    from onnx.helper import make_node

    return [
        make_node("Abs", ["features"], ["sizes"]),
        make_node("ReduceMax", ["sizes", "last"], ["largest"]),
        make_node("Max", ["largest", "tiny"], ["divisor"]),
        make_node("Div", ["features", "divisor"], ["scaled"]),
        make_node("ReduceL2", ["scaled", "last"], ["norm"]),
        make_node("Max", ["norm", "one"], ["length"]),  # at least 1 but for a zero row
        make_node("Div", ["scaled", "length"], ["unit"]),
    ]
