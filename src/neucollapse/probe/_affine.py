"""Which W and b a layer of unknown type applies to its input, as its run shows."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ._classifier import Classifier
from ._runs import Run

_LARGEST = 1 << 26  # numbers that finding W by unit vectors may take

_SLACK = 16  # roundings of the largest sum; 4 suffice for a matrix product, W by unit vectors adds its own


def settled(run: Run) -> Classifier:
    """The classifier with the weight and the bias it applied, and ``is_affine`` known.

    A subclass of Linear, a wrapper or a layer of one's own may hold ``weight`` and apply something else: its
    transpose, its sum with an adapter's product (LoRA), its unit rows (a cosine head). What it holds is tried first,
    then the transpose, then what it returns for zero and the unit vectors. None of these being W h + b, it is not
    affine.
    """
    classifier = run.classifier.gathered()
    if classifier.is_affine:
        return classifier
    for candidate in _readings(classifier, run):
        if _applies(candidate, run.inputs, run.outputs, run.precision):
            return replace(candidate, is_affine=True)
    return replace(classifier, is_affine=False)


def _readings(classifier: Classifier, run: Run) -> Iterator[Classifier]:
    yield classifier
    if classifier.num_classes == classifier.dim and (other := classifier.transposed()) is not None:
        yield other
    found = _by_unit_vectors(run)
    if found is not None:
        yield found


def _by_unit_vectors(run: Run) -> Classifier | None:
    """W and b from f(0) = b and f(e_i) = w_i + b; None unless f(2h) follows from them as well as f(h)."""
    head = run.classifier
    if head.dim * (head.num_classes + head.dim) > _LARGEST:
        return None
    size = float(run.inputs.abs().max()) or 1.0  # unit vectors as long as features, so that b does not drown W
    ends = torch.zeros(1, head.dim, dtype=torch.float64), size * torch.eye(head.dim, dtype=torch.float64)
    probes = torch.cat([*ends, 2 * run.inputs])
    try:
        outputs = head.module(probes.to(run.device, run.dtype))
        rows = outputs.detach().to("cpu", torch.float64)
    except Exception:  # the layer's own code, on an input of another shape than it was made for
        return None
    if rows.shape != (len(probes), head.num_classes):
        return None
    b, W, doubled = rows[0], (rows[1 : 1 + head.dim] - rows[0]).T / size, rows[1 + head.dim :]
    bias = b if bool(b.any()) else None
    found = replace(head, weight=W.contiguous(), bias=bias)
    return found if _applies(found, 2 * run.inputs, doubled, run.precision) else None


def _applies(classifier: Classifier, inputs: Tensor, outputs: Tensor, precision: float) -> bool:
    """Whether the outputs are W h + b, up to rounding."""
    W = classifier.weight.to("cpu", torch.float64)
    b = (
        torch.zeros(len(W), dtype=torch.float64)
        if classifier.bias is None
        else classifier.bias.to("cpu", torch.float64)
    )
    rounding = _SLACK * precision * ((inputs.abs() @ W.abs().T).max() + b.abs().max())
    return bool(((inputs @ W.T + b - outputs).abs() <= rounding).all())
