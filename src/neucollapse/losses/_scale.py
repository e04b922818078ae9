"""Which scales, inverse temperatures, can be computed in which type."""

import torch
from torch import Tensor

from .._errors import InputError

FEATURE_NORM = "feature_norm"


def check_scale(
    scale: float | int | Tensor | str,
    dtype: torch.dtype = torch.float32,
    *,
    name: str = "scale",
    keeps_norms: bool = False,
) -> None:
    """Raise `InputError` for a scale of which the type cannot hold the inverse or the square, or that is no single number.

    From 1.2e-38 to 1.8e+19 in float32, in which half precision is computed; from 2.2e-308 to 1.3e+154 in float64. Logits
    of a scale s are rounded to s times the precision of the type, whatever the loss. A loss that `keeps_norms` takes
    `"feature_norm"`, too: the length of each feature.
    """
    if isinstance(scale, str):
        if not keeps_norms or scale != FEATURE_NORM:
            also = f" or {FEATURE_NORM!r}, the length of each feature" if keeps_norms else ""
            raise InputError(f"expected a {name} above 0{also}, got {scale!r}")
        return
    kind = torch.promote_types(dtype, torch.float32)
    limits = torch.finfo(kind)
    least, most = limits.tiny, limits.max**0.5
    if isinstance(scale, Tensor):
        if scale.numel() != 1:
            raise InputError(f"expected a {name} that is one number, got a tensor of shape {tuple(scale.shape)}")
        if torch.compiler.is_compiling():  # reading a value back waits for the device, which a compiled graph cannot do
            return
        scale = float(scale.detach())
    if not least <= scale <= most:
        raise InputError(
            f"expected a {name} above 0 (the inverse of the temperature), from {least:.1e} to {most:.1e} in {kind}, "
            f"got {scale}"
        )
