"""Fashion-MNIST (Xiao et al., arXiv:1708.07747): 60,000 + 10,000 images of clothing, 28x28, 10 classes."""

from pathlib import Path

from .._errors import FileFormatError
from .._names import names_options
from ._dataset import Dataset
from ._idx import load_idx_folder

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@names_options
def load_fashion_mnist(folder: str | Path | None = None, *, scaling: str = "unit", flat: bool = False) -> Dataset:
    """Fashion-MNIST from files on this machine; nothing is downloaded.

    Args:
        folder: the four IDX files, gzipped or not; where Debian's package `dataset-fashion-mnist` puts them if None.
        scaling: `unit` for values in [0, 1], `standard` for mean 0 and variance 1 over all training pixels.
        flat: vectors (784,) in place of images (1, 28, 28).

    Returns:
        The data set, K = 10.

    Raises:
        FileFormatError: if the files are not there or damaged; the message says how to get them.
    """
    source = DEBIAN_FOLDER if folder is None else Path(folder)
    if not source.is_dir():
        raise FileFormatError(
            source,
            "there is no such folder; Fashion-MNIST is never downloaded:"
            " apt-get install dataset-fashion-mnist, or give the folder of its four IDX files",
        )
    return load_idx_folder(source, name="fashion-mnist", class_names=CLASS_NAMES, scaling=scaling, flat=flat)
