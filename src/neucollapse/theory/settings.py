"""Settings of every model, as frozen dataclasses: the registry of models. Nothing here imports torch, so `--help` is quick.

A model is a folder named as its command: `layer-peeled` is `layer_peeled/settings.py` with the class `LayerPeeled`, and
`layer_peeled/model.py` with the class `LayerPeeledModel`, which loads when the model is run.
"""

from ._settings import Settings as Settings
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

SETTINGS: dict[str, type[Settings]] = {
    model.name: model
    for model in (
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
        LayerSeparation,
        ConvRank,
    )
}
"""The settings of every model by its command."""
