"""Real data by name, and features, classifiers and data sets from files. Nothing is ever downloaded.

`load` gives a data set to train on: `digits` (bundled with scikit-learn), `fashion-mnist` (Debian's files or any
folder of IDX files), or a file of arrays. `open_features` streams last-layer features and labels from files larger
than memory. `load_weight` reads the classifier out of a weight file. No reader runs code from a file, and whatever is
wrong with one ends in a `FileFormatError` of one sentence.

>>> load("digits").input_shape
(1, 8, 8)
"""

from ._arrays import load_arrays as load_arrays
from ._dataset import Dataset as Dataset
from ._digits import load_digits as load_digits
from ._fashion_mnist import load_fashion_mnist as load_fashion_mnist
from ._features import FeatureFile as FeatureFile
from ._features import feature_splits as feature_splits
from ._features import open_features as open_features
from ._idx import load_idx_folder as load_idx_folder
from ._load import load as load
from ._weights import ClassifierWeight as ClassifierWeight
from ._weights import load_weight as load_weight
