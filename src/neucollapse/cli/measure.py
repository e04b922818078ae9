"""``neucollapse measure``: the collapse of features in files, or of a model and its data."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from .._errors import FileFormatError, InputError, NonFiniteError
from ._failures import FINDING, FINE
from ._targets import require_folder

if TYPE_CHECKING:
    from ..metrics import CollapseResult
    from ._gate import Gate

_OF_A_MODEL = ("layers", "classifier", "pool", "mode", "strict", "device")
_OF_FILES = (
    "weight", "weight_key", "bias_key", "transpose", "features_key", "labels_key", "split", "ood", "renumber"
)  # fmt: skip


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
    class_names: str = ""
    """Names of the classes in order, with commas between them; labels may be these names."""
    renumber: bool = False
    """Make labels that are sparse ids classes 0 to K - 1, in rising order."""
    min_samples: int = 1
    """Leave out classes with fewer samples, and say which."""
    ood: str | None = None
    """File of features outside all classes, for NC5."""
    layers: tuple[str, ...] = ()
    """Inner layers of the model to measure too, or auto."""
    classifier: str | None = None
    """Name of the model's classifier, where it is ambiguous."""
    pool: Literal["mean", "flatten"] = "mean"
    """How the outputs of inner layers become one vector a sample."""
    mode: Literal["eval", "keep"] = "eval"
    """Put the model into eval mode while it is measured, or keep the mode that it has."""
    strict: bool = False
    """Refuse what would be a warning about the model."""
    device: str | None = None
    """Where inputs of the model are moved, such as cuda:0."""
    preset: str | None = None
    """Only what one paper reports: papyan2020, zhu2021, jiang2023, ..."""
    optimum: Literal["lookup", "solve", "none"] = "lookup"
    """Look up the best known code, solve for one, or do without."""
    exact_margins: bool = False
    """Exact one-vs-rest margins also beyond 2,000 classes."""
    scatter: Literal["auto", "full", "trace", "class"] = "auto"
    """Scatter in full, (d, d), or its trace alone; auto is full up to d = 8,192; class keeps that of each class too."""
    one_pass: bool = False
    """Read the data once, without decisions and margins."""
    seed: int = 0
    """Seed of the solver."""
    ignore_index: int = -100
    """Label of samples to leave out."""
    drop_nan: bool = False
    """Leave out samples with NaN or infinity, and count them, instead of refusing them."""
    out: Path | None = None
    """Write a run folder with a report."""
    json: bool = False
    """Print the result as JSON."""
    fail_if: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction] = ()
    """Conditions such as 'nc1/pinv>0.1': exit code 1 if one holds, or cannot be decided."""

    def run(self) -> int:
        """Measure, write, print."""
        from ._gate import Gate
        from ._output import as_json, print_json, print_result, print_verdict

        conditions = [word for words in self.fail_if for word in words]
        if len(conditions) > 1 and not self.features and not set("<>") & set(conditions[-1]):
            # A file stands behind the conditions.
            return replace(self, features=conditions.pop(), fail_if=(tuple(conditions),)).run()
        gate = Gate(conditions, self.preset)
        require_folder(self.out, "--out")
        result = self._measure(gate)
        page = None if self.out is None else self._write(result, self.out)
        if self.json:
            print_json(as_json(result))
        else:
            K, d = result.info["num_classes"], result.info["dim"]
            print_result(f"{self.features or self.model}: K = {K}, d = {d}", result)
            print_verdict(result)
            if page is not None:
                sys.stdout.write(f"\nReport: {page}\n")
        found = gate.findings(result)
        for sentence in found:
            sys.stderr.write(f"finding: {sentence}\n")
        return FINDING if found else FINE

    def _write(self, result: "CollapseResult", folder: Path) -> Path:
        from ..report import write_report  # with plotly, which a measurement without a page does not need

        return write_report(result.save(folder))

    def _measure(self, gate: "Gate") -> "CollapseResult":
        from .._measure import measure
        from ._models import model_and_loader

        model: Any = None
        loader, options = None, self._options()
        if self.model is not None:
            if self.features:
                raise InputError("expected features or --model, got both")
            self._refuse(_OF_FILES, f"needs a file of features, got --model {self.model}")
            model, loader = model_and_loader(self.model, loader_needed=True)
            options |= {name: getattr(self, name) for name in _OF_A_MODEL}
            options["layers"] = "auto" if self.layers == ("auto",) else self.layers
        elif self.features:
            self._refuse(_OF_A_MODEL, "needs a --model, and a file has features only")
            model = self._open()
            options |= {**self._classifier(), "renumber": self.renumber, "ood": self._ood()}
        else:
            raise InputError("expected a file of features, or --model module:function; see neucollapse measure --help")
        splits = model if loader is None else loader
        gate.check_places(list(splits) if isinstance(splits, Mapping) else [], self.layers)
        try:
            return measure(model, loader, **options)
        except NonFiniteError as error:
            if self.model is not None:
                raise
            # Here the file is at fault.
            raise FileFormatError(self.features, str(error).replace("nan='drop'", "--drop-nan")) from None

    def _refuse(self, names: tuple[str, ...], why: str) -> None:
        """Refuse options of these names that are not the defaults: nothing would read them."""
        for name in names:
            if getattr(self, name) != getattr(type(self), name):
                raise InputError(f"--{name.replace('_', '-')} {why} (got {getattr(self, name)!r})")

    def _options(self) -> dict[str, Any]:
        """What ``measure`` takes for a model and for features."""
        return {
            **{name: getattr(self, name) for name in ("min_samples", "preset", "scatter", "seed", "ignore_index")},
            "num_classes": self.classes,
            "class_names": self.class_names.split(",") if self.class_names else None,
            "optimum": None if self.optimum == "none" else self.optimum,
            "exact_margins": self.exact_margins or None,
            "second_pass": not self.one_pass,
            "nan": "drop" if self.drop_nan else "raise",
        }

    def _open(self) -> Any:
        from ..data import feature_splits, open_features

        keys: dict[str, Any] = {"features": self.features_key, "labels": self.labels_key}
        splits = [self.split] if self.split else feature_splits(self.features, features=self.features_key)
        keys["ignore_index"] = self.ignore_index
        if not splits:
            return open_features(self.features, **keys)
        return {split: open_features(self.features, split=split, **keys) for split in splits}

    def _ood(self) -> Any:
        from ..data import open_features

        if self.ood is None:
            return None
        return open_features(self.ood, features=self.features_key, labels=self.labels_key)

    def _classifier(self) -> dict[str, Any]:
        if self.weight is None:
            return {}
        from ..data import load_weight

        found = load_weight(self.weight, weight=self.weight_key, bias=self.bias_key, transpose=self.transpose)
        for note in found.notes:
            sys.stderr.write(f"note: {self.weight}: {note}\n")
        return {"weight": found.weight, "bias": found.bias}
