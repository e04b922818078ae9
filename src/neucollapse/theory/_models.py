"""Which class runs the settings of a model, found when it is needed."""

from importlib import import_module

from ._model import Model
from .settings import Settings

_CLASSES: dict[str, tuple[str, str]] = {
    # name of the settings: (where in this folder, its class), in the order of the documentation
    "ufm": ("ufm.model", "UFMModel"),
    "layer-peeled": ("imbalance.layer_peeled", "LayerPeeledModel"),
    "seli": ("imbalance.seli", "SELIModel"),
    "central-path": ("central_path.model", "CentralPathModel"),
    "svm": ("svm.model", "SVMModel"),
    "extended-ufm": ("depth.extended_ufm", "ExtendedUFMModel"),
    "deep-linear": ("depth.deep_linear", "DeepLinearModel"),
    "local-elasticity": ("local_elasticity.model", "LocalElasticityModel"),
    "memorisation": ("memorisation.model", "MemorisationModel"),
    "supcon": ("supcon", "SupConModel"),
    "margin-bound": ("margin_bound.model", "MarginBoundModel"),
    "separation": ("separation", "SeparationModel"),
    "conv-rank": ("conv_rank.model", "ConvRankModel"),
}


def model_of(settings: Settings) -> Model:
    """The model of these settings."""
    module, name = _CLASSES[settings.name]
    return getattr(import_module(f".{module}", __package__), name)(settings)
