"""From a model and a loader to features: find the classifier, tap its input, leave no trace.

Neural collapse is about one place in a network: the last-layer feature, which is the input of the linear classifier,
and the classifier's weight. `find_classifier` finds that layer in any `torch.nn.Module` by running it (the layer
whose output is the model's output); `feature_batches` runs a loader through the model and yields what reaches the
classifier; `inspect` says beforehand what would be used. Nothing here computes a metric.

The model is only borrowed. Between two batches and afterwards, also after an exception, its train flags, buffers and
hooks, gradient mode and all random numbers are as before.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)).eval()
    >>> loader = [(torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 2]))]
    >>> batches = feature_batches(model, loader, layers=["0"])
    >>> batches.classifier
    Classifier('2' (Linear, K=3, d=4, bias))
    >>> for batch in batches:
    ...     batch.features.shape, batch.labels.shape, batch.layers["0"].shape
    (torch.Size([6, 4]), torch.Size([6]), torch.Size([6, 4]))
"""

from ._batches import tensor_of as tensor_of
from ._checks import Fingerprint as Fingerprint
from ._classifier import Classifier as Classifier
from ._classifier import disagreement_sentence as disagreement_sentence
from ._classifier import whole as whole
from ._find import find_classifier as find_classifier
from ._inspect import Inspection as Inspection
from ._inspect import LayerPlan as LayerPlan
from ._inspect import inspect as inspect
from ._layers import main_layers as main_layers
from ._stream import FeatureBatch as FeatureBatch
from ._stream import FeatureBatches as FeatureBatches
from ._stream import feature_batches as feature_batches
from ._tap import Captured as Captured
from ._tap import FeatureTap as FeatureTap
