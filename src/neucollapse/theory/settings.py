"""Settings of every model, as frozen dataclasses: the registry of models. Nothing here imports torch, so `--help` is quick.

A model is a folder here, named as its command: `layer-peeled` is `layer_peeled/settings.py` with the class `LayerPeeled`, and
`layer_peeled/model.py` with the class `LayerPeeledModel`, which loads when the model is run. A folder with settings is a model:
the command line, the documentation and the tests find it.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ._settings import Settings as Settings

if TYPE_CHECKING:  # type checkers look at no folders
    from .central_path.settings import CentralPath as CentralPath
    from .conv_rank.settings import ConvRank as ConvRank
    from .deep_linear.settings import DeepLinear as DeepLinear
    from .extended_ufm.settings import ExtendedUFM as ExtendedUFM
    from .layer_peeled.settings import LayerPeeled as LayerPeeled
    from .local_elasticity.settings import LocalElasticity as LocalElasticity
    from .margin_bound.settings import MarginBound as MarginBound
    from .memorisation.settings import Memorisation as Memorisation
    from .seli.settings import SELI as SELI
    from .separation.settings import LayerSeparation as LayerSeparation
    from .supcon.settings import SupCon as SupCon
    from .svm.settings import SVM as SVM
    from .ufm.settings import UFM as UFM


def _settings_in(folder: str) -> type[Settings]:
    """The settings class that a folder defines."""
    module = import_module(f".{folder}.settings", __package__)
    kinds = (kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Settings))
    return next(kind for kind in kinds if kind.__module__ == module.__name__)


_FOLDERS = sorted(path.parent.name for path in Path(__file__).parent.glob("*/settings.py"))
SETTINGS: dict[str, type[Settings]] = {kind.name: kind for kind in map(_settings_in, _FOLDERS)}
"""The settings of every model by its command."""

globals().update({kind.__name__: kind for kind in SETTINGS.values()})
