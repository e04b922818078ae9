"""The bundled digits and their split."""

import sys

import numpy as np
import pytest
import torch

from neucollapse import InputError, MissingExtraError
from neucollapse.data import load, load_digits
from neucollapse.data._digits import stratified_split

sklearn_datasets = pytest.importorskip("sklearn.datasets", reason="needs the extra 'train'")


def rows(data):
    return {(*x.flatten().tolist(), int(y)) for x, y in zip(*data.tensors, strict=True)}


def test_the_two_splits_are_the_whole():
    images, targets = sklearn_datasets.load_digits(return_X_y=True)
    data = load_digits()
    train, test = rows(data.train), rows(data.test)
    assert not train & test
    assert train | test == {
        (*map(float, x), int(y)) for x, y in zip(images.astype(np.float32) / 16, targets, strict=True)
    }
    assert data.train.tensors[0].dtype == torch.float32
    assert data.train.tensors[0].shape[1:] == data.input_shape == (1, 8, 8)
    assert (float(data.train.tensors[0].min()), float(data.train.tensors[0].max())) == (0, 1)


def test_every_class_is_divided_alike():
    data = load_digits(test_fraction=0.25)
    counts = [split.tensors[1].bincount() for split in (data.train, data.test)]
    assert counts[1].tolist() == [round(0.25 * int(n)) for n in counts[0] + counts[1]]


def test_the_seed_alone_decides():
    first = load_digits(seed=3).test.tensors
    state = torch.random.get_rng_state()
    torch.rand(7)
    again = load_digits(seed=3).test.tensors
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], load_digits(seed=4).test.tensors[0])
    torch.random.set_rng_state(state)
    load_digits()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_standardised_by_the_training_split():
    plain, scaled = load_digits(flat=True), load_digits(flat=True, scaling="standard")
    x = plain.train.tensors[0].double()
    mean, deviation = x.mean(0), x.std(0, correction=0)
    varies = deviation > 0
    assert not varies.all()  # corner pixels never hold ink
    for split in ("train", "test"):
        raw, found = getattr(plain, split).tensors[0].double(), getattr(scaled, split).tensors[0].double()
        expected = (raw - mean)[:, varies] / deviation[varies]
        torch.testing.assert_close(found[:, varies], expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(found[:, ~varies], (raw - mean)[:, ~varies])


def test_no_test_split():
    data = load_digits(test_fraction=0.0)
    assert data.test is None
    assert len(data.train) == 1797
    assert "no test split" in repr(data)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0])
def test_a_fraction_outside_is_refused(fraction):
    with pytest.raises(InputError, match="test_fraction"):
        load_digits(test_fraction=fraction)


def test_other_options_are_refused():
    with pytest.raises(InputError, match="scaling"):
        load_digits(scaling="none")
    with pytest.raises(InputError, match="colour"):
        load("digits", colour=True)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match="train"):
        load("digits")


def test_small_classes_keep_a_training_sample():
    chosen = stratified_split(torch.tensor([0, 1, 1, 2, 2, 2, 2, 2]), 0.2, 0)
    assert chosen.tolist()[:3] == [False] * 3
    assert int(chosen.sum()) == 1


@pytest.mark.parametrize("name", ["imagenet", "Digits"])
def test_unknown_names_list_the_known(name):
    with pytest.raises(InputError, match="digits, fashion-mnist"):
        load(name)
