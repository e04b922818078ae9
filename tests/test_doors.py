"""What ``measure`` takes, and what it refuses: no option is passed over, no label is read as another."""

import ast
import inspect as python_inspect
from dataclasses import fields
from types import UnionType
from typing import Literal, Union, get_args, get_origin

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neucollapse import ClassStatistics, InputError, collapse_metrics, inspect, measure
from neucollapse._errors import OptionError, UnknownNameError
from neucollapse._names import close_names
from neucollapse.data import (
    feature_splits,
    load,
    load_arrays,
    load_digits,
    load_fashion_mnist,
    load_idx_folder,
    load_weight,
    open_features,
)
from neucollapse.probe import feature_batches, find_classifier
from neucollapse.sources import ModelOptions

K, D, N = 4, 5, 48
FEW = {"preset": "papyan2020", "optimum": None, "progress": False}
y = torch.arange(N) % K
X = 2 * torch.randn(K, D, generator=torch.Generator().manual_seed(5))[y]
X = X + torch.randn(N, D, generator=torch.Generator().manual_seed(6))
W = torch.randn(K, D, generator=torch.Generator().manual_seed(7))


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D, 6), nn.ReLU(), nn.Linear(6, K)).eval()


def numbers(*arguments, **options):
    return dict(measure(*arguments, **{**FEW, **options}))


# Options

READERS = [load_weight, open_features, feature_splits, load_arrays, load_idx_folder, load_fashion_mnist, load_digits]
DOORS = [measure, inspect, collapse_metrics, feature_batches, find_classifier, *READERS]


@settings(max_examples=60, deadline=None)
@given(door=st.sampled_from(DOORS), data=st.data())
def test_a_misspelt_option_is_refused_with_the_one_that_was_meant(door, data):
    options = [p.name for p in python_inspect.signature(door).parameters.values() if p.kind is p.KEYWORD_ONLY]
    option = data.draw(st.sampled_from([name for name in options if len(name) > 3]))
    place = data.draw(st.integers(0, len(option) - 2))
    swapped = option[:place] + option[place + 1] + option[place] + option[place + 2 :]
    shorter = option[:place] + option[place + 1 :]
    doubled = option[:place] + 2 * option[place] + option[place + 1 :]
    wrong = data.draw(st.sampled_from([swapped, shorter, doubled]))
    if wrong in python_inspect.signature(door).parameters:
        return
    with pytest.raises(OptionError, match=rf"^{door.__name__} has no option '{wrong}'; did you mean .*'{option}'"):
        door((X, y), **{wrong: 1})
    assert issubclass(OptionError, TypeError)
    assert issubclass(OptionError, InputError)


def test_an_option_of_a_data_set_that_its_loader_does_not_have():
    with pytest.raises(OptionError, match="load_digits has no option 'scalng'; did you mean 'scaling'"):
        load("digits", scalng="unit")


def test_the_doors_say_what_they_take():
    for door in DOORS:
        kinds = {parameter.kind for parameter in python_inspect.signature(door).parameters.values()}
        assert not kinds & {python_inspect.Parameter.VAR_KEYWORD, python_inspect.Parameter.VAR_POSITIONAL}
    with pytest.raises(
        OptionError, match="has no option 'nonsense_option'; expected an option among model, loader, weight"
    ):
        measure((X, y), nonsense_option=1)


SIMPLE = {int: [1.5, "1", True], bool: ["yes", 1, 0.0], str: [1, b"a"], type(None): []}


def options_of(door):
    """What each keyword may be: types, and the words of a Literal."""
    for name, parameter in python_inspect.signature(door).parameters.items():
        parts = (
            get_args(parameter.annotation)
            if get_origin(parameter.annotation) in (Union, UnionType)
            else (parameter.annotation,)
        )
        if parameter.kind is parameter.KEYWORD_ONLY:
            yield name, [word for part in parts for word in (get_args(part) if get_origin(part) is Literal else [part])]


@pytest.mark.parametrize("door", DOORS)
def test_a_value_of_another_kind_is_refused_by_name(door):
    for name, kinds in options_of(door):
        if set(kinds) <= SIMPLE.keys():
            for wrong in set.intersection(*({*map(repr, SIMPLE[kind])} for kind in kinds if SIMPLE[kind])):
                with pytest.raises(OptionError, match=rf"^expected {name} as .*, got"):
                    door((X, y), **{name: ast.literal_eval(wrong)})


@pytest.mark.parametrize("door", DOORS)
def test_a_word_that_an_option_does_not_have_is_refused_with_those_it_has(door):
    for name, words in options_of(door):
        if isinstance(words[0], str) and all(isinstance(word, str) or word in SIMPLE for word in words):
            for wrong in ("nonsense", 3, False):
                with pytest.raises(InputError, match=rf'^expected {name} to be "{words[0]}".* or .*, got {wrong!r}'):
                    door((X, y), **{name: wrong})


def test_integers_and_bools_of_numpy_are_integers_and_bools():
    given = {"min_samples": np.int32(1), "second_pass": np.bool_(True), "seed": np.int64(3)}
    assert numbers((X, y), weight=W, **given) == numbers((X, y), weight=W)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"weight": W, "bias": [0.0] * 3}, r"bias of shape \(4,\), one number for each row of weight, got \(3,\)"),
        ({"weight": W.T}, r"weight of shape \(K, 5\), got \(5, 4\): its columns are the classes, so give weight.T"),
        ({"weight": W[:, :3]}, r"weight of shape \(K, 5\), got \(4, 3\)$"),
        ({"min_samples": 13}, "min_samples between 1 and 12, the samples of the largest class, got 13"),
        ({"class_names": {"a", "b", "c", "d"}}, "class_names as a list of strings"),
        ({"scatter": "none"}, 'scatter to be "auto", "full", "trace" or "class"'),
    ],
)
def test_shapes_and_sizes_that_do_not_fit_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        measure((X, y), **{**FEW, **given})


GIVEN = {
    "classifier": "fc",
    "layers": ["nonsense"],
    "pool": "flatten",
    "mode": "keep",
    "forward": lambda *given: given,
    "strict": True,
    "device": "cpu",
}


@pytest.mark.parametrize("option", [field.name for field in fields(ModelOptions)])
def test_what_only_a_model_has_is_refused_with_features(option):
    with pytest.raises(OptionError, match=f"^{option}= needs a model"):
        measure((X, y), **{option: GIVEN[option]})
    default = python_inspect.signature(measure).parameters[option].default
    assert numbers((X, y), **{option: default}) == numbers((X, y))


def test_what_only_features_have_is_refused_with_a_model():
    for option, value in {"weight": W, "bias": torch.zeros(K), "renumber": True}.items():
        with pytest.raises(OptionError, match=f"^{option}= needs features"):
            measure(model(), [(X, y)], **{option: value}, **FEW)
    with pytest.raises(OptionError, match="bias= needs weight="):
        measure((X, y), bias=torch.zeros(K), **FEW)


def test_names_of_layers_and_presets_that_do_not_exist():
    with pytest.raises(UnknownNameError, match="no preset 'papyan'; did you mean 'papyan2020'"):
        measure((X, y), preset="papyan", progress=False)
    named = nn.Sequential()
    named.add_module("encoder", nn.Linear(D, 6))
    named.add_module("classifier", nn.Linear(6, K))
    with pytest.raises(UnknownNameError, match="the model has no layer 'encodr'; did you mean 'encoder'"):
        measure(named.eval(), [(X, y)], layers=["encodr"], **FEW)
    with pytest.raises(InputError, match="no layer 'clasifier'; did you mean 'classifier'"):
        measure(named, [(X, y)], classifier="clasifier", **FEW)
    assert close_names("NC1-Pinv", ["nc1/pinv", "gnc1/pinv", "rank/stable"])[0] == "nc1/pinv"


def test_other_arguments_that_cannot_be_used():
    for options, words in (
        ({"num_classes": 0}, "at least 1, got 0"),
        ({"class_names": "abcd"}, "a list of strings, got 'abcd'"),
        ({"class_names": ["a", "b"]}, "a class name for every label, got 2 names and the label 3"),
        ({"weight": nn.Linear(D, K)}, "weight as numbers in one array, got Linear"),
        ({"ood": {"one": (X, y), "two": (X, y)}}, "one set of data .* got the splits one, two"),
        ({"ood": (X[:, :3], y)}, f"of dimension {D}, got 3 in ood="),
    ):
        with pytest.raises(InputError, match=words):
            measure((X, y), **options, **FEW)
    with pytest.raises(InputError, match=r"as a pair, measure\(\(features, labels\)\)"):
        measure({"features": X, "labels": y}, **FEW)
    with pytest.raises(InputError, match=r"features of shape \(N, d\), got \(5,\)"):
        measure((X[0], y), **FEW)


# Features and labels


@pytest.mark.parametrize("kind", ["list", "array", "backwards", "byte order", "read-only", "tokens", "half"])
def test_features_of_every_kind_mean_the_same(kind):
    expected = numbers((X.double(), y))
    array = X.double().numpy()
    frozen = array.copy()
    frozen.flags.writeable = False
    given = {
        "list": X.double().tolist(),
        "array": array,
        "backwards": array[::-1].copy()[::-1],
        "byte order": array.astype(">f8"),
        "read-only": frozen,
        "tokens": X.double().reshape(6, 8, D),
        "half": X.half(),
    }[kind]
    labels = y.reshape(6, 8) if kind == "tokens" else y
    assert numbers((given, labels)) == pytest.approx(expected, rel=2e-3 if kind == "half" else 1e-12)


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(st.integers(-(2**40), 2**40), min_size=K, max_size=K, unique=True),
    ignored=st.sampled_from([None, -1, 255, 2**33]),
)
def test_sparse_ids_are_refused_with_the_cure_or_renumbered(ids, ignored):
    ids = sorted(one for one in ids)
    if ignored in ids:
        return
    labels, features = torch.tensor(ids)[y], X
    options = {}
    if ignored is not None:
        labels = torch.cat([labels, torch.full((7,), ignored)])
        features = torch.cat([X, 100 * torch.ones(7, D)])
        options["ignore_index"] = ignored
    result = measure((features, labels), renumber=True, weight=W, **options, **FEW)
    assert dict(result) == pytest.approx(numbers((X, y), weight=W), rel=1e-6, abs=1e-9)
    assert result.info["class_names"] == [str(one) for one in ids]
    if ids[0] >= 0 and ids[-1] + 1 > 2 * K:
        with pytest.raises(InputError, match=rf"4 different numbers from {ids[0]} to {ids[-1]}: renumber=True"):
            measure((features, labels), **options, **FEW)


def test_ids_are_renumbered_over_all_splits():
    test = {"test": (X[y < 3], 10 * y[y < 3]), "train": (X, 10 * y)}
    plain = {"test": (X[y < 3], y[y < 3]), "train": (X, y)}
    assert numbers(test, renumber=True) == numbers(plain)
    names = ["d", "a", "c", "b"]
    texts = {split: (part, [names[one] for one in labels]) for split, (part, labels) in plain.items()}
    assert numbers(texts, class_names=names) == numbers(plain)
    result = measure(texts, **FEW)
    assert result.info["class_names"] == ["a", "b", "c", "d"]
    assert dict(result) == pytest.approx(numbers(plain), rel=1e-9, nan_ok=True)
    with pytest.raises(InputError, match="all splits as strings, or of all as numbers"):
        measure({"train": texts["train"], "test": plain["test"]}, **FEW)


def test_rows_of_weight_follow_names_in_alphabetical_order_and_a_flag_says_so():
    names = ["d", "a", "c", "b"]
    texts = [names[one] for one in y]
    order = torch.tensor([1, 3, 2, 0])
    result = measure((X, texts), weight=W[order], **FEW)
    assert "alphabetical_rows" in {flag.code for flag in result.flags}
    assert dict(result) == pytest.approx(numbers((X, y), weight=W), rel=1e-6)
    told = measure((X, texts), weight=W, class_names=names, **FEW)
    assert "alphabetical_rows" not in {flag.code for flag in told.flags}
    assert dict(told) == pytest.approx(numbers((X, y), weight=W), rel=1e-6)


def test_class_names_are_a_list_an_array_or_an_index():
    class Index:  # of pandas: no sequence, and of no truth value
        def __init__(self, names):
            self.names = names

        def __iter__(self):
            return iter(self.names)

        def __getitem__(self, place):
            return self.names[place]

        def __bool__(self):
            raise ValueError("the truth value is ambiguous")

    names = ["d", "a", "c", "b"]
    for form in (names, tuple(names), np.array(names), Index(names)):
        assert measure((X, y), class_names=form, **FEW).info["class_names"] == names
        assert measure(model(), [(X, [names[one] for one in y])], class_names=form, **FEW).info["class_names"] == names


def test_names_in_files_are_numbered_as_names_in_memory(tmp_path):
    names = ["d", "a", "c", "b"]
    texts = np.array([names[one] for one in y])
    np.savez(tmp_path / "whole.npz", features=X.numpy(), labels=texts)
    np.savez(tmp_path / "part.npz", features=X[y > 1].numpy(), labels=texts[y > 1])
    whole, part = tmp_path / "whole.npz", tmp_path / "part.npz"
    told = measure(whole, class_names=names, weight=W, **FEW)
    assert dict(told) == pytest.approx(numbers((X, y), weight=W), rel=1e-6)
    assert told.info["class_names"] == names
    sorted_rows = measure(whole, weight=W[torch.tensor([1, 3, 2, 0])], **FEW)
    assert dict(sorted_rows) == pytest.approx(numbers((X, y), weight=W), rel=1e-6)
    assert "alphabetical_rows" in {flag.code for flag in sorted_rows.flags}
    # Splits that hold other classes number them together, files and arrays alike.
    mixed = measure({"train": (X, texts.tolist()), "test": part}, **FEW)
    plain = numbers({"train": (X, y), "test": (X[y > 1], y[y > 1])})
    assert dict(mixed) == pytest.approx(plain, rel=1e-6)
    np.savez(tmp_path / "ordered.npz", features=X.numpy(), labels=texts, class_names=np.array(names), weight=W.numpy())
    ordered = measure({"train": tmp_path / "ordered.npz", "test": part}, **FEW)
    assert ordered.info["class_names"] == names
    assert ordered["train/nc3/frobenius_uncentred_weight"] == pytest.approx(told["nc3/frobenius_uncentred_weight"])


@pytest.mark.parametrize("ignored", [255, 4, 1000, -1, -(2**40)])
def test_a_label_to_leave_out_is_no_class(ignored):
    labels, features = torch.cat([y, torch.tensor([ignored])]), torch.cat([X, torch.full((1, D), 1e6)])
    result = measure((features, labels), ignore_index=ignored, **FEW)
    assert result.info["num_classes"] == K
    assert dict(result) == pytest.approx(numbers((X, y)), rel=1e-6)


def test_more_classes_than_memory_holds_are_refused():
    with pytest.raises(InputError, match=r"from 0 to 3000000000: renumber=True makes them classes 0 to 4"):
        measure((X, torch.cat([y[1:], torch.tensor([3_000_000_000])])), **FEW)
    for call in (
        lambda: measure((X, y), num_classes=10**9, **FEW),
        lambda: measure((X, torch.cat([y[1:], torch.tensor([3_000_000_000])])), num_classes=3_000_000_001, **FEW),
        lambda: ClassStatistics(10**9, 64),
        lambda: ClassStatistics(10, 10**7),
    ):
        with pytest.raises(
            InputError, match=r"statistics of \d+ classes in \d+ dimensions need .* GB of memory, of which"
        ):
            call()
    with pytest.raises(InputError, match=r"expected num_classes=4, one for each row of the classifier, got 1000000000"):
        measure(model(), [(X, y)], num_classes=10**9, **FEW)


# Splits


def test_the_training_split_is_the_reference_wherever_it_stands():
    parts = {"train": (X[:30], y[:30]), "test": (X[30:], y[30:]), "extra": (X[10:20], y[10:20])}
    keys = {"preset": None, "optimum": None, "progress": False}
    first = measure(parts, **keys)
    for order in (["test", "train", "extra"], ["extra", "test", "train"]):
        other = measure({split: parts[split] for split in order}, **keys)
        assert dict(other) == pytest.approx(dict(first), rel=1e-12, nan_ok=True)
    # Without a split of that name the first one is the reference.
    named = {"fit": parts["train"], "test": parts["test"]}
    assert measure(named, **keys)["test"].numbers == pytest.approx(first["test"].numbers, nan_ok=True)
    turned = {"test": parts["test"], "fit": parts["train"]}
    assert measure(turned, **keys)["test/accuracy/ncc"] == measure(parts["test"], **keys)["accuracy/ncc"]


def test_data_outside_all_classes_are_measured_at_the_classifier_that_was_named():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.body = nn.Linear(6, K), nn.Linear(3, K), nn.Linear(D, 6)

        def forward(self, x):
            h = self.body(x)
            return self.a(h), self.b(h[:, :3])

    torch.manual_seed(1)
    net = Two().eval()
    result = measure(net, [(X, y)], classifier="b", ood=[(X + 1, y)], optimum=None, progress=False)
    with torch.no_grad():
        pair, outside = net.body(X)[:, :3], net.body(X + 1)[:, :3]
    expected = measure((pair, y), ood=(outside, y), weight=net.b.weight, optimum=None, progress=False)
    assert result["nc5/cosine"] == pytest.approx(expected["nc5/cosine"], rel=1e-5)
