"""``neucollapse code verify``: certify a code of one's own, and compare it with the best known."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .._errors import FileFormatError, InputError
from . import _codes
from ._targets import require_file

if TYPE_CHECKING:
    from torch import Tensor

_SAME = 1e-9  # values on record are printed to ten digits or more
_LENGTHS = 1e-5  # lengths nearer than this, of the longest, are one
_TOLERANCES = {"torch.float64": 1e-10, "torch.float32": 1e-6}  # of contacts, for points of that many digits


@dataclass(frozen=True)
class CodeVerify:
    """Certify a code from a file: its contacts, whether they balance, its margin, the best bound, and the best known code.

    Reads what holds a classifier weight: .safetensors .npz .npy .pt .onnx .gguf, rows are classes.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """File with a matrix (K, d); its rows are scaled to length 1."""
    kind: _codes.Certified = "softmax"
    """What counts: softmax the margin, spherical the largest cosine, grassmannian the largest absolute cosine."""
    weight_key: str | None = None
    """Name of the matrix in the file, where there are several."""
    transpose: bool | None = None
    """True if columns of the matrix are classes, False if rows are, where the file does not tell. Of a bare .npy the rows are
    read and the output says so, unless its columns alone are of one length."""
    tolerance: float | None = None
    """Pairs this near to the largest cosine are contacts; by default 1e-10, and 1e-6 for single precision."""
    source: str = ""
    """Who found it and how, for the atlas."""
    plot: Path | None = None
    """Write an .html page that shows it."""
    save_to_atlas: Path | None = None
    """Add the code to this atlas file, made if need be, where it beats what is there."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Read, certify, compare, print."""
        require_file(self.plot, "--plot", ".html")
        require_file(self.save_to_atlas, "--save-to-atlas", ".safetensors")
        _codes.check_atlas(self.save_to_atlas, self.kind)
        points, name, tolerance, remark = self._read()
        from ..geometry.certificate import certify

        certificate = certify(points, kind=self.kind, tolerance=tolerance)
        value = certificate.max_cosine
        if self.kind == "softmax":
            value = certificate.margin if certificate.margin is not None else 1 - certificate.max_cosine
        code = _codes.facts(points, self.kind, value, certificate)
        best = _best_known(code)
        comparison = _compared(code, best)
        if self.json:
            code.show_json(name=name, best_known=best, comparison=comparison, remark=remark)
        else:
            more = [("beside the best known", comparison), *([("note", remark)] if remark else [])]
            code.show(f"{name} of {self.file}: K = {code.K:,}, d = {code.d:,}", more)
        for sentence in self._write(points, code, comparison):
            _codes.say(sentence, quiet=self.json)
        return 0

    def _read(self) -> "tuple[Tensor, str, float, str]":
        """Unit rows, the name they had, the tolerance of contacts, and how the file was read."""
        from ..data import load_weight
        from ..geometry import unit_rows

        bare = self.transpose is None and self.file.suffix.lower() == ".npy"  # without a name that tells
        found = load_weight(self.file, weight=self.weight_key, transpose=False if bare else self.transpose)
        remarks = [_read_as_rows(self.file, found.weight)] if bare else [f"{note}." for note in found.notes]
        lengths = found.weight.double().norm(dim=1)
        try:
            rows = unit_rows(found.weight)
            if len(rows) < 2:
                raise InputError(f"expected at least two rows, got {len(rows)}")
        except InputError as error:  # here the file is at fault
            raise FileFormatError(self.file, str(error)) from None
        if float((lengths - 1).abs().max()) > _LENGTHS:
            low, high = float(lengths.min()), float(lengths.max())
            remarks.append(f"Its rows had lengths from {low:.4g} to {high:.4g}; they were scaled to 1.")
        remark = " ".join(filter(None, remarks))
        usual = _TOLERANCES.get(str(found.weight.dtype), 1e-3)
        return rows, found.name, usual if self.tolerance is None else self.tolerance, remark

    def _write(self, points: "Tensor", code: _codes.Facts, comparison: str) -> Iterator[str]:
        if self.plot is not None:
            from ._code_page import write_page

            write_page(self.plot, points, code, {"File": self.file.name, "Beside the best known": comparison})
            yield f"Page: {self.plot}"
        if self.save_to_atlas is not None:
            source = self.source or f"Coordinates from {self.file.name}"
            yield _codes.keep(self.save_to_atlas, points, self.kind, source)


def _read_as_rows(path: Path, points: "Tensor") -> str:
    """That rows of a bare array were taken for the points, where columns could be meant too.

    Raises:
        FileFormatError: if the columns are of one length and the rows are not: then they are likely to be the points.
    """
    n, m = points.shape
    rows, columns = (_of_one_length(points, dim) for dim in (1, 0))
    if columns and not rows:
        raise FileFormatError(
            path,
            f"its {m} columns are of one length and its {n} rows are not, as if columns were the points; say --transpose "
            f"True for K = {m} points in d = {n} dimensions, --transpose False for K = {n} in d = {m}",
        )
    if rows and not columns:
        return ""
    return f"Its {n} rows were read as the points; if its {m} columns are, say --transpose True."


def _of_one_length(points: "Tensor", dim: int) -> bool:
    lengths = points.double().norm(dim=dim)
    return float(lengths.max() - lengths.min()) <= _LENGTHS * float(lengths.max())


def _best_known(code: _codes.Facts) -> dict[str, Any] | None:
    """The best value known, its status and source; None where no code of that size is known."""
    if code.lines:
        from ..geometry import best_code

        try:
            best = best_code(code.K, code.d, "grassmannian", budget=0)
        except InputError:
            return None
        return {"value": best.value, "status": "found", "source": best.source}
    from ..geometry import best_known

    known = best_known(code.K, code.d)
    if known.status == "bound":
        return None
    if code.kind == "softmax":
        return {"value": known.margin, "status": known.status, "source": known.source}
    return {"value": known.max_cosine, "status": known.max_cosine_status, "source": known.source}


def _compared(code: _codes.Facts, best: dict[str, Any] | None) -> str:
    if best is None:
        return "No code of this size is known here."
    ahead = code.value - best["value"] if code.kind == "softmax" else best["value"] - code.value
    known = f"{best['value']:.12g} ({best['status']}). {best['source']}"
    if abs(ahead) <= _SAME:
        return f"As good as the best known, {known}"
    return f"{'Better' if ahead > 0 else 'Worse'} by {abs(ahead):.3g} than the best known, {known}"
