"""``neucollapse inspect``: a classifier's weights alone, or a dry run on a model."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Inspect:
    """Look at a classifier without data: a weight file, or a model named module:function (which runs that code).

    A weight file (.safetensors .npz .npy .pt .onnx .gguf) is measured as far as weights alone tell: how far its rows are
    apart against the best known, their lengths, angles and rank. A model gets a dry run: which layer is the classifier,
    K, d, the memory a measurement takes, and what is skipped and why.

    What was found is said with it: which axis of the file's matrix is the classes and how that is known, the bias, and every
    other matrix that was passed over. Where the file does not tell, --weight-key, --bias-key and --transpose do.
    """

    head: Annotated[str, tyro.conf.Positional]
    """Weight file, or module:function that returns a model, or (model, loader)."""
    weight_key: str | None = None
    """Name of the matrix in the file, where there are several."""
    bias_key: str | None = None
    """Name of the bias, where it is not called like the matrix."""
    transpose: bool | None = None
    """True if columns of the matrix are classes, False if rows are, where the file does not tell."""
    exact_margins: bool = False
    """Exact one-vs-rest margins also beyond 2,000 classes."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Read, measure, print."""
        if ":" in self.head and not Path(self.head).exists():
            return self._model()
        return self._file()

    def _model(self) -> int:
        from ..probe import inspect
        from ._models import model_and_loader

        model, loader = model_and_loader(self.head, loader_needed=False)
        if isinstance(loader, Mapping):  # splits: the first one tells
            loader = next(iter(loader.values()))
        sys.stdout.write(f"{inspect(model, loader)}\n")
        return 0

    def _file(self) -> int:
        from ..data import load_weight
        from ..metrics import weight_metrics
        from ._output import as_json, print_json, print_result

        found = load_weight(self.head, weight=self.weight_key, bias=self.bias_key, transpose=self.transpose)
        result = weight_metrics(found.weight, exact_margins=self.exact_margins or None)
        if self.json:
            about = {"name": found.name, "has_bias": found.bias is not None, "notes": list(found.notes)}
            print_json({**about, **as_json(result)})
            return 0
        K, d = found.weight.shape
        bias = "with a bias" if found.bias is not None else "without bias"
        print_result(f"{found.name} of {self.head}: K = {K}, d = {d}, {bias}", result)
        for note in [*found.notes, *result.flags]:
            sys.stdout.write(f"note: {note}\n")
        return 0
