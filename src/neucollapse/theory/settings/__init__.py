"""Settings of every model, as frozen dataclasses. Nothing here imports torch, so that ``--help`` is quick."""

from ._settings import Settings as Settings
from .central_path import CentralPath as CentralPath
from .conv_rank import ConvRank as ConvRank
from .deep_linear import DeepLinear as DeepLinear
from .extended_ufm import ExtendedUFM as ExtendedUFM
from .layer_peeled import LayerPeeled as LayerPeeled
from .local_elasticity import LocalElasticity as LocalElasticity
from .margin_bound import MarginBound as MarginBound
from .memorisation import Memorisation as Memorisation
from .seli import SELI as SELI
from .separation import Separation as Separation
from .supcon import SupCon as SupCon
from .svm import SVM as SVM
from .ufm import UFM as UFM

SETTINGS: dict[str, type[Settings]] = {
    settings.name: settings
    for settings in (
        # one line a model, in the order of the documentation
        UFM,
        LayerPeeled,
        SELI,
        CentralPath,
        SVM,
        ExtendedUFM,
        DeepLinear,
        LocalElasticity,
        Memorisation,
        SupCon,
        MarginBound,
        Separation,
        ConvRank,
    )
}
"""The settings of every model by its name."""
