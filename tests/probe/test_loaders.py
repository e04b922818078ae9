"""Loaders and labels of every kind give the numbers that the samples have."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from neucollapse import InputError, inspect, measure
from neucollapse._errors import NonDeterministicWarning
from neucollapse.probe import feature_batches

K, D, N = 3, 5, 36
FEW = {"preset": "papyan2020", "optimum": None}
NAMES = ["zebra", "ant", "mole"]
generator = torch.Generator().manual_seed(3)
X, Y = torch.randn(N, 4, generator=generator), torch.arange(N) % K


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, D), nn.Tanh(), nn.Linear(D, K)).eval()


def batches(size=7, labels=Y):
    return [(X[i : i + size], labels[i : i + size]) for i in range(0, N, size)]


class Stream(IterableDataset):
    def __iter__(self):
        return zip(X, Y, strict=True)


class SizedStream(Stream):
    def __len__(self):
        return N


class Unsized:
    """A loader whose length cannot be told, in the way that ``error`` tells so."""

    def __init__(self, items, error):
        self.items, self.error = items, error

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        raise self.error


class Columns:
    """As a streamed data set of columns: dicts of lists, no length."""

    def __iter__(self):
        return ({"pixels": x.tolist(), "label": y.tolist()} for x, y in batches())


class Once:
    """No iterator, but it holds one: a second pass gives nothing."""

    def __init__(self):
        self.items = iter(batches())

    def __iter__(self):
        return self.items


class Rewinding:
    """An iterator that starts anew with each ``iter``, as pipelines of graphics cards do."""

    def __iter__(self):
        self.items = iter(batches())
        return self

    def __next__(self):
        return next(self.items)


class Shuffled:
    """Shuffles by the global generator."""

    def __iter__(self):
        order = torch.randperm(N)
        return ((X[rows], Y[rows]) for rows in order.split(10))


def with_empty_batches():
    empty = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    return [empty, *batches()[:2], empty, ([], []), *batches()[2:], empty]


REPEATABLE = {
    "list": batches,
    "data loader": lambda: DataLoader(TensorDataset(X, Y), batch_size=8),
    "shuffling data loader": lambda: DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True),
    "stream": lambda: DataLoader(Stream(), batch_size=8),
    "stream with a length": lambda: DataLoader(SizedStream(), batch_size=8),
    "stream that drops no sample": lambda: DataLoader(Stream(), batch_size=9, drop_last=True),
    "stream in a worker": lambda: DataLoader(Stream(), batch_size=8, num_workers=1),
    "worker that persists": lambda: DataLoader(
        TensorDataset(X, Y), batch_size=8, num_workers=1, persistent_workers=True
    ),
    "columns": Columns,
    "no length": lambda: Unsized(batches(), TypeError("no")),
    "length not implemented": lambda: Unsized(batches(), NotImplementedError()),
    "length of another kind": lambda: Unsized(batches(), RuntimeError("not known yet")),
    "negative length": lambda: Unsized(batches(), ValueError("__len__() should return >= 0")),
    "empty batches": with_empty_batches,
    "shuffles": Shuffled,
}
ONE_PASS = {
    "generator": lambda: (batch for batch in batches()),
    "iterator": lambda: iter(batches()),
    "holds an iterator": Once,
    "rewinds": Rewinding,
    "generator of empty batches too": lambda: iter(with_empty_batches()),
}


@pytest.fixture(scope="module")
def expected():
    return measure(model(), [(X, Y)], progress=False, **FEW)


@pytest.mark.parametrize("kind", [*REPEATABLE, *ONE_PASS])
def test_every_loader_gives_the_numbers_of_its_samples(kind, expected):
    loader = {**REPEATABLE, **ONE_PASS}[kind]()
    if kind == "holds an iterator":
        with pytest.warns(NonDeterministicWarning, match="can be read once only"):
            result = measure(model(), loader, **FEW)
    else:
        result = measure(model(), loader, **FEW)
    assert ("one_pass_only" in {flag.code for flag in result.flags}) == (kind in ONE_PASS)
    assert ("nc4/mismatch" in result.numbers) == (kind in REPEATABLE)
    for key, value in result.items():
        assert value == pytest.approx(expected[key], rel=1e-5, abs=1e-7), key
    assert result.arrays["class_means"].shape == (K, D)


@pytest.mark.parametrize("kind", REPEATABLE)
def test_the_length_is_what_the_loader_says_or_none(kind):
    loader = REPEATABLE[kind]()
    features = feature_batches(model(), loader)
    assert sum(len(batch.labels) for batch in list(features)) == N  # ``list`` asks for the length first
    if kind in ("list", "stream with a length"):
        assert len(features) == len(loader)
    if kind.startswith(("no length", "length", "negative")):
        with pytest.raises(TypeError, match="does not say how many"):
            len(features)


def test_two_splits_of_one_loader_do_not_disturb_each_other(expected):
    loader = DataLoader(TensorDataset(X, Y), batch_size=8, num_workers=1, persistent_workers=True)
    result = measure(model(), {"one": loader, "two": loader}, progress=False, **FEW)
    for key in ("nc1/pinv", "nc4/mismatch"):
        assert result[f"one/{key}"] == result[f"two/{key}"] == pytest.approx(expected[key], rel=1e-5)


def test_a_loader_is_begun_once_a_pass():
    class Counting(list):
        begun = 0

        def __iter__(self):
            self.begun += 1
            return super().__iter__()

    loader = Counting(batches())
    measure(model(), loader, progress=False)
    assert loader.begun == 2  # statistics and decisions; the classifier is found by the first batch of the first pass


def test_a_generator_left_early_is_not_gone_on_with():
    features = feature_batches(model(), iter(batches()))
    next(iter(features))
    with pytest.raises(InputError, match="read once only"):
        next(iter(features))


def test_a_loader_of_empty_batches_has_no_samples():
    with pytest.raises(InputError, match="no samples"):
        measure(model(), [(X[:0], Y[:0])] * 3)
    with pytest.raises(InputError, match="no samples"):
        inspect(model(), [([], [])])
    assert inspect(model(), with_empty_batches()).is_confirmed
    assert "used up" in " ".join(inspect(model(), iter(batches())).notes)


def test_single_samples_are_refused_with_the_cure():
    with pytest.raises(InputError, match="single samples goes into a DataLoader with a batch_size"):
        measure(model(), DataLoader(Stream(), batch_size=None), progress=False)


# Labels

KINDS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
CONTAINERS = {
    "tensor": lambda y, kind: y.to(getattr(torch, kind)),
    "array": lambda y, kind: y.numpy().astype(kind),
    "other byte order": lambda y, kind: y.numpy().astype(np.dtype(kind).newbyteorder(">")),
    "list": lambda y, _: y.tolist(),
    "tuple": lambda y, _: tuple(y.tolist()),
    "column": lambda y, kind: y.to(getattr(torch, kind))[:, None],
    "array backwards": lambda y, kind: y.flip(0).numpy().astype(kind)[::-1],
    "names": lambda y, _: [NAMES[one] for one in y],
    "array of names": lambda y, _: np.array([NAMES[one] for one in y]),
}


@settings(max_examples=30, deadline=None)
@given(
    container=st.sampled_from(list(CONTAINERS)),
    kind=st.sampled_from(KINDS),
    ignored=st.sampled_from([None, -1, -100, 3, 100, 127]),
    size=st.integers(5, N),
)
def test_labels_of_every_kind_mean_the_same(container, kind, ignored, size, expected):
    named = "names" in container
    if named or (ignored is not None and (ignored < 0) == kind.startswith("u")):
        ignored = None  # a name cannot be ignored; a type without sign cannot hold a negative label
    labels, inputs = Y.clone(), X.clone()
    if ignored is not None:  # every sample a second time, with that label
        labels, inputs = torch.cat([labels, torch.full((N,), ignored)]), torch.cat([inputs, inputs.flip(0)])
    y = CONTAINERS[container](labels, kind)
    options = {"ignore_index": -100 if ignored is None else ignored, "class_names": NAMES if named else None}
    cut = range(0, len(labels), size)
    loader = [(inputs[i : i + size], y[i : i + size]) for i in cut]
    net = model()
    with torch.no_grad():
        features = net[:2](inputs)
    options |= {"preset": "papyan2020", "optimum": None, "progress": False}
    of_model = measure(net, loader, **options)
    of_pair = measure((features, y), weight=net[2].weight, bias=net[2].bias, **options)
    for key in ("nc1/pinv", "nc3/frobenius_uncentred_weight", "nc4/mismatch"):
        assert of_model[key] == pytest.approx(expected[key], rel=1e-4, abs=1e-7), key
        assert of_pair[key] == pytest.approx(expected[key], rel=1e-4, abs=1e-7), key
    assert of_pair.info["class_names"] == of_model.info["class_names"] == (NAMES if named else None)


def test_names_need_an_order_where_a_model_has_rows():
    labels = [NAMES[one] for one in Y]
    with pytest.raises(InputError, match=r"got names such as .* class_names= says which is which"):
        measure(model(), [(X, labels)], progress=False)
    with pytest.raises(InputError, match=r"no class 'ant'; did you mean 'aunt'\?"):
        measure(model(), [(X, labels)], class_names=["zebra", "aunt", "mole"], progress=False)
    with pytest.raises(InputError, match="expected 3 class names, one for each class, got 2"):
        measure(model(), [(X, Y)], class_names=["a", "b"], progress=False)


class Index:
    """As an index of pandas: no sequence by its type, and no truth value."""

    def __init__(self, names):
        self.names = names

    def __getitem__(self, place):
        return self.names[place]

    def __iter__(self):
        return iter(np.array(self.names))

    def __len__(self):
        return len(self.names)

    def __bool__(self):
        raise ValueError("The truth value of an Index is ambiguous")


def test_class_names_come_in_any_ordered_container_through_every_door():
    labels = [NAMES[one] for one in Y]
    expected = measure(model(), [(X, Y)], class_names=NAMES, progress=False)
    for names in (Index(NAMES), np.array(NAMES), tuple(NAMES)):
        assert dict(measure(model(), [(X, labels)], class_names=names, progress=False)) == dict(expected)
        (batch,) = feature_batches(model(), [(X, labels)], class_names=names)
        assert batch.labels.tolist() == Y.tolist()
        assert inspect(model(), [(X, labels)], class_names=names).is_confirmed
    for door in (measure, feature_batches, inspect):
        for wrong in ("zam", {"mole", "aunt"}, [1, 2, 3]):
            with pytest.raises(InputError, match="expected class_names as a list of strings"):
                door(model(), [(X, labels)], class_names=wrong)
