"""Handwritten digits, 8x8, bundled with scikit-learn: 1,797 images of 10 classes, the data set that is always there."""

from pathlib import Path

import torch
from torch import Tensor

from .._errors import InputError, MissingExtraError
from .._names import names_options
from .._types import Bool, Int
from ._dataset import Dataset, make_dataset

_MAX_VALUE = 16  # ink counts 0..16 in 4x4 blocks of the original bitmaps


@names_options
def load_digits(*, seed: int = 0, test_fraction: float = 0.2, scaling: str = "unit", flat: bool = False) -> Dataset:
    """The digits of the UCI test set that scikit-learn ships, split into train and test.

    Args:
        seed: of the split. The same seed gives the same split on every machine.
        test_fraction: part of every class that goes to the test split, in [0, 1); 0 leaves no test split.
        scaling: `unit` for values in [0, 1], `standard` for pixels of mean 0 and variance 1 in training.
        flat: vectors (64,) in place of images (1, 8, 8).

    Returns:
        The data set, K = 10.

    Raises:
        InputError: if `test_fraction` is not in [0, 1).
        MissingExtraError: if scikit-learn is not installed.

    Examples:
        >>> digits = load_digits()
        >>> len(digits.train), len(digits.test)
        (1438, 359)
    """
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError:
        raise MissingExtraError("scikit-learn", "train", "the digits data set") from None
    if not 0 <= test_fraction < 1:
        raise InputError(f"expected test_fraction in [0, 1), got {test_fraction}")
    images, targets = bundled(return_X_y=True)
    inputs = torch.from_numpy(images).float().div(_MAX_VALUE).reshape(-1, 8, 8)
    labels = torch.from_numpy(targets).long()
    in_test = stratified_split(labels, test_fraction, seed)
    train, test = ((inputs[rows], labels[rows]) for rows in (~in_test, in_test))
    return make_dataset(Path("digits"), train, test, "0123456789", scaling=scaling, per_pixel=True, flat=flat)


def stratified_split(labels: Int[Tensor, " N"], fraction: float, seed: int) -> Bool[Tensor, " N"]:
    """A mask of the rows drawn for the test split: `round(fraction * n)` of the n samples of every class.

    Args:
        labels: class numbers.
        fraction: part to draw.
        seed: of the draw; the global random state is neither used nor changed.

    Returns:
        True for rows of the test split.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        rows = (labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator)
        chosen[rows[order[: round(fraction * len(rows))]]] = True
    return chosen
