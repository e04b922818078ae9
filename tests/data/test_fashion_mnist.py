"""Fashion-MNIST: the real files where they are installed, and how to get them where not."""

import pytest
import torch

from neucollapse import FileFormatError
from neucollapse.data import load
from neucollapse.data._fashion_mnist import DEBIAN_FOLDER


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_files():
    data = load("fashion-mnist")
    inputs, labels = data.train.tensors
    assert (len(data.train), len(data.test), data.num_classes, data.input_shape) == (60_000, 10_000, 10, (1, 28, 28))
    assert labels.bincount().tolist() == [6000] * 10
    assert data.test.tensors[1].bincount().tolist() == [1000] * 10
    assert (float(inputs.min()), float(inputs.max())) == (0, 1)
    # The published mean and deviation of the training pixels.
    assert float(inputs.mean()) == pytest.approx(0.2860, abs=5e-5)
    assert float(inputs.std()) == pytest.approx(0.3530, abs=5e-5)
    assert data.class_names[int(labels[0])] == "Ankle boot"
    flat = load("fashion-mnist", flat=True, scaling="standard", folder=DEBIAN_FOLDER)
    assert flat.input_shape == (784,)
    assert torch.equal(flat.train.tensors[1], labels)


def test_how_to_get_it(tmp_path):
    with pytest.raises(FileFormatError, match="apt-get install dataset-fashion-mnist"):
        load("fashion-mnist", folder=tmp_path / "none")
