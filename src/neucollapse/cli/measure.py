"""``neucollapse measure``: the collapse of features in files, or of a model and its data."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from .._errors import FileFormatError, InputError, NonFiniteError
from ._failures import FINDING, FINE
from ._targets import require_folder

if TYPE_CHECKING:
    from ..metrics import CollapseResult
    from ._gate import Gate


@dataclass(frozen=True)
class Measure:
    """Measure neural collapse: features and labels in files, or a model with its loader.

    Examples:
      neucollapse measure features.safetensors --weight head.safetensors --out run
      neucollapse measure --model mymodule:model_and_loader --layers layer1 layer2
    """

    features: Annotated[str, tyro.conf.Positional] = ""
    """File, folder or pattern of shards: .safetensors .npz .npy .parquet with features and labels."""
    weight: Path | None = None
    """Classifier weight file: .safetensors .npz .npy .pt .onnx .gguf."""
    weight_key: str | None = None
    """Name of the matrix in it, where there are several."""
    bias_key: str | None = None
    """Name of the bias, where it is not called like the matrix."""
    transpose: bool | None = None
    """True if columns of the matrix are classes, False if rows are, where the file does not tell."""
    model: str | None = None
    """module:function that returns (model, loader) or (model, {split: loader}). This runs that code."""
    features_key: str = "features"
    """Name of the features in the files."""
    labels_key: str = "labels"
    """Name of the labels, or the path of a file that holds them."""
    split: str | None = None
    """Read this split only."""
    classes: int | None = None
    """Number of classes, where neither labels nor classifier tell."""
    layers: tuple[str, ...] = ()
    """Inner layers of the model to measure too."""
    preset: str | None = None
    """Only what one paper reports: papyan2020, zhu2021, jiang2023, ..."""
    optimum: Literal["lookup", "solve"] = "lookup"
    """Look up the best known code, or solve for one."""
    exact_margins: bool = False
    """Exact one-vs-rest margins also beyond 2,000 classes."""
    ignore_index: int = -100
    """Label of samples to leave out."""
    drop_nan: bool = False
    """Leave out samples with NaN or infinity, and count them, instead of refusing them."""
    out: Path | None = None
    """Write a run folder with a report."""
    json: bool = False
    """Print the result as JSON."""
    fail_if: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Condition such as 'nc1/pinv>0.1': exit code 1 if it holds, or cannot be decided; several in a row are allowed."""

    def run(self) -> int:
        """Measure, write, print."""
        from ._gate import Gate
        from ._output import as_json, print_json, print_table, print_verdict, result_rows

        gate = Gate(self.fail_if, self.preset)
        require_folder(self.out, "--out")
        result = self._measure(gate)
        page = None if self.out is None else self._write(result, self.out)
        if self.json:
            print_json(as_json(result))
        else:
            K, d = result.info["num_classes"], result.info["dim"]
            print_table(f"{self.features or self.model}: K = {K}, d = {d}", result_rows(result, result.numbers))
            print_verdict(result)
            if page is not None:
                sys.stdout.write(f"\nReport: {page}\n")
        found = gate.findings(result)
        for sentence in found:
            sys.stderr.write(f"finding: {sentence}\n")
        return FINDING if found else FINE

    def _write(self, result: "CollapseResult", folder: Path) -> Path:
        from ..report import write_report

        return write_report(result.save(folder))

    def _measure(self, gate: "Gate") -> "CollapseResult":
        from .._measure import measure

        options: dict[str, Any] = {
            "num_classes": self.classes,
            "preset": self.preset,
            "optimum": self.optimum,
            "exact_margins": self.exact_margins or None,
            "ignore_index": self.ignore_index,
            "nan": "drop" if self.drop_nan else "raise",
        }
        if self.model is not None:
            from ._models import model_and_loader

            if self.features:
                raise InputError("expected features or --model, got both")
            model, loader = model_and_loader(self.model, loader_needed=True)
            gate.check_places(list(loader) if isinstance(loader, Mapping) else [], self.layers)
            layers = "auto" if self.layers == ("auto",) else self.layers
            return measure(model, loader, layers=layers, **options)
        if not self.features:
            raise InputError("expected a file of features, or --model module:function; see neucollapse measure --help")
        if self.layers:
            raise InputError(f"--layers needs a --model; a file has features only (got {' '.join(self.layers)})")
        features = self._open()
        gate.check_places(list(features) if isinstance(features, Mapping) else [], ())
        try:
            return measure(features, **self._classifier(), **options)
        except NonFiniteError as error:  # here the file is at fault
            raise FileFormatError(self.features, str(error).replace("nan='drop'", "--drop-nan")) from None

    def _open(self) -> Any:
        from ..data import feature_splits, open_features

        keys: dict[str, Any] = {"features": self.features_key, "labels": self.labels_key}
        splits = [self.split] if self.split else feature_splits(self.features, features=self.features_key)
        if not splits:
            return open_features(self.features, **keys)
        return {split: open_features(self.features, split=split, **keys) for split in splits}

    def _classifier(self) -> dict[str, Any]:
        if self.weight is None:
            return {}
        from ..data import load_weight

        found = load_weight(self.weight, weight=self.weight_key, bias=self.bias_key, transpose=self.transpose)
        for note in found.notes:
            sys.stderr.write(f"note: {self.weight}: {note}\n")
        return {"weight": found.weight, "bias": found.bias}


def one_condition_each(given: list[str]) -> list[str]:
    """Repeat ``--fail-if`` before each of several conditions in a row, so that it takes no file that follows them."""
    words: list[str] = []
    taken = None  # conditions of the option that came last; None behind another word
    for word in given if given[:1] == ["measure"] else []:
        if word == "--fail-if":
            taken = 0
        elif taken is not None:
            more = taken > 0 and any(sign in word for sign in "<>")
            words += ["--fail-if"] if more else []
            taken = taken + 1 if more or taken == 0 else None
        words.append(word)
    return words or given
