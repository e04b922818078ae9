"""What every exported loss promises, whatever people bring: labels, dtypes, sizes, ignored rows, missing classes, weights.

The cases are made from ``losses.__all__``: a loss is covered the day it is exported.
"""

import inspect
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neucollapse import InputError, losses
from neucollapse._errors import OptionError
from neucollapse.heads import Cosine, Linear

PUBLIC = {name: getattr(losses, name) for name in losses.__all__}
MODULES = [name for name, it in PUBLIC.items() if isinstance(it, type) and issubclass(it, nn.Module)]
FUNCTIONS = [
    name
    for name, it in PUBLIC.items()
    if inspect.isfunction(it) and {"labels", "reduction"} <= inspect.signature(it).parameters.keys()
]
LOGITS = [name for name in FUNCTIONS if "logits" in inspect.signature(PUBLIC[name]).parameters]
EVERY = MODULES + FUNCTIONS
WITHOUT_ROWS = {"Uniformity"}  # of classes alone
WITHOUT_LOSS_OF_A_ROW = {"HUG", "hug", "hug_terms", *WITHOUT_ROWS}
LOGARITHMS = {"LogCrossEntropy", "log_cross_entropy"}
SQUARES = {"mse"}  # its logits have a goal of their own: an offset counts, and so does a single class

HALF = (torch.bfloat16, torch.float16)
NARROW = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]


@dataclass
class Batch:
    x: torch.Tensor
    y: torch.Tensor
    K: int
    ignored: torch.Tensor
    ignore_index: int
    seed: int

    @property
    def labels(self):
        return self.y.where(~self.ignored, self.ignore_index)

    def kept(self):
        keep = ~self.ignored
        return Batch(self.x[keep], self.y[keep], self.K, self.ignored[keep], self.ignore_index, self.seed)


@st.composite
def batches(draw, fewest=2, most=6):
    seed, K = draw(st.integers(0, 2**16)), draw(st.integers(fewest, most))
    d, n = draw(st.integers(1, 5)), draw(st.integers(1, 10))
    dtype = draw(st.sampled_from([torch.float64, torch.float32, *HALF]))
    size = draw(st.integers(-2, 1) if dtype in HALF else st.integers(-6, 3))
    generator = torch.Generator().manual_seed(seed)
    present = torch.randperm(K, generator=generator)[: draw(st.integers(1, K))]
    y = present[torch.randint(len(present), (n,), generator=generator)]
    x = torch.randn(n, d, generator=generator, dtype=torch.float64) * 10.0**size
    ignored = torch.tensor(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return Batch(x.to(dtype), y, K, ignored, draw(st.sampled_from([-100, -1, 100, 127])), seed)


def parts(name, batch):
    """Leaves of the loss by name, features or logits first."""
    generator = torch.Generator().manual_seed(batch.seed + 1)
    weight = torch.randn(batch.K, batch.x.shape[1], generator=generator, dtype=torch.float64).to(batch.x.dtype)
    if name in LOGITS:
        return {"logits": (batch.x.double() @ weight.double().mT).to(batch.x.dtype)}
    return {"features": batch.x.clone(), "weight": weight}


def value_of(name, leaves, labels, ignore_index, *, linear=False, call=None, **options):
    """The loss of these leaves; a module is made without sizes, and takes a head."""
    it, signature = PUBLIC[name], inspect.signature(PUBLIC[name]).parameters
    if name in MODULES:
        known = {} if name in WITHOUT_ROWS else {"ignore_index": ignore_index}
        head = (Linear if linear else Cosine)(leaves["weight"].shape[1], len(leaves["weight"]))
        head = head.to(leaves["weight"].dtype)
        if linear:
            nn.init.zeros_(head.bias)
        head.weight = nn.Parameter(leaves["weight"])
        leaves["weight"] = head.weight
        return it(**known, **options)(leaves["features"], labels, head, **(call or {}))
    arguments = {"centres" if key == "weight" and "centres" in signature else key: leaf for key, leaf in leaves.items()}
    arguments = {key: leaf for key, leaf in arguments.items() if key in signature}
    if "scale" in signature and signature["scale"].default is inspect.Parameter.empty:
        arguments["scale"] = 8.0
    arguments |= {"labels": labels, "ignore_index": ignore_index, **options, **(call or {})}
    value = it(**arguments)
    return value.inter + value.intra if name == "hug_terms" else value


def value_and_gradients(name, batch, labels=None, **options):
    leaves = {key: leaf.requires_grad_() for key, leaf in parts(name, batch).items()}
    value = value_of(name, leaves, batch.labels if labels is None else labels, batch.ignore_index, **options)
    used = [leaf for leaf in leaves.values() if leaf.requires_grad]
    found = torch.autograd.grad(value.sum(), used, materialize_grads=True) if value.requires_grad else used
    return value.detach(), [
        torch.zeros_like(leaf) if leaf is grad else grad for leaf, grad in zip(used, found, strict=True)
    ]


def assert_defined(name, value, batch):
    nothing = bool(batch.ignored.all()) and bool(value.isnan())  # the mean of nothing
    no_loss = name in LOGARITHMS and bool(value == -torch.inf)
    assert bool(value.isfinite()) or nothing or no_loss, value


@settings(deadline=None, max_examples=20)
@pytest.mark.parametrize("name", EVERY)
@given(batch=batches(), linear=st.booleans(), poison=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_ignored_rows_touch_neither_value_nor_gradient(name, batch, linear, poison):
    options = {"linear": linear} if name in MODULES else {}
    bad = Batch(batch.x.clone(), batch.y, batch.K, batch.ignored, batch.ignore_index, batch.seed)
    bad.x[batch.ignored] = poison
    value, gradients = value_and_gradients(name, bad, **options)
    assert_defined(name, value, batch)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][batch.ignored].any()
    # The same as if they had never been there.
    alone, of_kept = value_and_gradients(name, batch.kept(), **options)
    close = {"rtol": 1e-2, "atol": 1e-2} if batch.x.dtype in HALF else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(value, alone, equal_nan=True, **close)
    if name not in WITHOUT_ROWS:
        torch.testing.assert_close(gradients[0][~batch.ignored], of_kept[0], **close)


@settings(deadline=None, max_examples=10)
@pytest.mark.parametrize("name", [name for name in EVERY if name not in WITHOUT_ROWS])
@given(batch=batches(), kind=st.sampled_from(NARROW), form=st.sampled_from(["tensor", "array", "list", "column"]))
def test_labels_of_any_integer_type_mean_the_same(name, batch, kind, form):
    batch.ignore_index = 100  # the one that all these types hold
    expected, _ = value_and_gradients(name, batch)
    array = batch.labels.numpy().astype(kind)
    forms = {"tensor": torch.from_numpy(array), "array": array, "list": array.tolist()}
    labels = torch.from_numpy(array)[:, None] if form == "column" else forms[form]
    value, _ = value_and_gradients(name, batch, labels)
    torch.testing.assert_close(value, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in WITHOUT_ROWS])
def test_a_label_is_not_ignored_for_its_type(name):
    """In uint8, 156 equals -100 and 255 equals -1."""
    K = 256
    batch = Batch(torch.randn(8, 4), torch.arange(8) * 36 % K, K, torch.zeros(8, dtype=torch.bool), -100, 0)
    batch.y[:4] = torch.tensor([156, 156, 255, 255])
    expected, _ = value_and_gradients(name, batch)
    for ignore_index in (-100, -1):
        batch.ignore_index = ignore_index
        value, _ = value_and_gradients(name, batch, batch.y.to(torch.uint8))
        torch.testing.assert_close(value, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in WITHOUT_ROWS])
def test_labels_that_cannot_be_meant_are_a_sentence(name):
    batch = Batch(torch.randn(6, 4), torch.arange(6) % 3, 3, torch.zeros(6, dtype=torch.bool), -100, 0)
    one_hot = nn.functional.one_hot(batch.y, 3)
    for labels, sentence in (
        (one_hot, "argmax"),
        (one_hot.float(), "argmax"),
        (batch.y > 1, "integer"),
        (batch.y[:2], "one label"),
    ):
        with pytest.raises(InputError, match=sentence):
            value_and_gradients(name, batch, labels)


@settings(deadline=None, max_examples=10)
@pytest.mark.parametrize("name", EVERY)
@given(batch=batches(1, 1))
def test_one_class_is_defined_or_refused(name, batch):
    try:
        value, gradients = value_and_gradients(name, batch)
    except InputError as refused:
        assert "at least two" in str(refused)  # noqa: PT017
        return
    assert_defined(name, value, batch)
    assert all(gradient.isfinite().all() for gradient in gradients)
    if name in LOGITS and name not in SQUARES and not batch.ignored.all():
        assert value.item() == (-math.inf if name in LOGARITHMS else 0.0)
        assert not gradients[0].any()


def logit_gradient(name, z, y, **options):
    z = z.clone().requires_grad_()
    value = PUBLIC[name](z, y, **options)
    return value.detach(), torch.autograd.grad(value, z)[0]


@settings(deadline=None, max_examples=20)
@pytest.mark.parametrize("name", LOGITS)
@given(seed=st.integers(0, 2**16), masked=st.integers(0, 4), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_masked_classes_are_no_classes(name, seed, masked, dtype):
    generator = torch.Generator().manual_seed(seed)
    z, y = torch.randn(6, 5, generator=generator).to(dtype), torch.zeros(6, dtype=torch.long)
    z[:, 5 - masked :] = -torch.inf
    value, gradient = logit_gradient(name, z, y)
    fewer, of_fewer = logit_gradient(name, z[:, : 5 - masked], y)
    torch.testing.assert_close(value, fewer)
    torch.testing.assert_close(gradient[:, : 5 - masked], of_fewer)
    assert not gradient[:, 5 - masked :].any()
    if masked == 4 and name not in SQUARES:
        assert value.item() == (-math.inf if name in LOGARITHMS else 0.0)


def test_masked_classes_with_a_focal_exponent_of_zero():
    value, gradient = logit_gradient("focal_loss", torch.tensor([[1.0, -torch.inf]]), torch.tensor([0]), gamma=0.0)
    assert value == 0
    assert not gradient.any()


@settings(deadline=None, max_examples=20)
@pytest.mark.parametrize("name", sorted(set(LOGITS) - SQUARES))
@given(seed=st.integers(0, 2**16), power=st.integers(0, 20), sign=st.sampled_from([-1, 1]))
def test_what_all_logits_have_in_common_costs_nothing(name, seed, power, sign):
    generator = torch.Generator().manual_seed(seed)
    z, y = torch.randint(-60, 60, (6, 7), generator=generator) / 4, torch.randint(7, (6,), generator=generator)
    for mine, other in zip(logit_gradient(name, z + sign * 2.0**power, y), logit_gradient(name, z, y), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)


ROWS = [name for name in EVERY if name not in WITHOUT_LOSS_OF_A_ROW]


@settings(deadline=None, max_examples=15)
@pytest.mark.parametrize("name", ROWS)
@given(batch=batches(), denominator=st.sampled_from([None, 7, 2.5, torch.tensor(3.0)]), by_class=st.booleans())
def test_weights_denominators_and_reductions_mean_the_same_in_every_loss(name, batch, denominator, by_class):
    batch.x = batch.x.double()
    leaves, labels = parts(name, batch), batch.labels
    of_loss = torch.exp if name in LOGARITHMS else lambda value: value

    def value(reduction, call=None, **options):
        return of_loss(
            value_of(name, dict(leaves), labels, batch.ignore_index, reduction=reduction, call=call, **options)
        )

    v = torch.arange(1, batch.K + 1).double() / 2
    u = (
        v[batch.y]
        if by_class
        else torch.rand(len(batch.y), generator=torch.Generator().manual_seed(batch.seed)).double()
    )
    weights = {"class_weights": v} if by_class else {"call": {"sample_weights": u}}
    each, plain = value("none", **weights).detach(), value("none").detach()
    torch.testing.assert_close(each, u * plain)
    assert not each[batch.ignored].any()
    torch.testing.assert_close(value("sum", **weights).detach(), each.sum())
    divided = {**weights, "call": {**weights.get("call", {}), "denominator": denominator}}
    size = u[~batch.ignored & (plain != 0)].sum() if name in ("SupCon", "sup_con") else u[~batch.ignored].sum()
    mean = value("mean", **divided).detach()
    if size > 0:
        torch.testing.assert_close(mean, each.sum() / (size if denominator is None else denominator))


@pytest.mark.parametrize("name", [name for name in EVERY if name not in WITHOUT_ROWS])
def test_weights_that_are_none_are_refused(name):
    batch = Batch(torch.randn(6, 4), torch.arange(6) % 3, 3, torch.zeros(6, dtype=torch.bool), -100, 0)
    leaves = parts(name, batch)
    for weights, sentence in (
        (-torch.ones(6), "from 0 up"),
        (torch.full((6,), torch.nan), "from 0 up"),
        (torch.ones(5), "shape"),
    ):
        with pytest.raises(InputError, match=sentence):
            value_of(name, leaves, batch.y, -100, call={"sample_weights": weights})
    with pytest.raises(InputError, match="class_weights"):
        value_of(name, leaves, batch.y, -100, class_weights=torch.tensor([1.0, -1.0, 1.0]))
    if name in ROWS:
        reduction = {"reduction": "mean"}
        for denominator in (0, -1.0, math.inf, torch.tensor(-2.0)):
            with pytest.raises(InputError, match="denominator above 0"):
                value_of(name, leaves, batch.y, -100, call={"denominator": denominator}, **reduction)
        with pytest.raises(InputError, match="reduction"):
            value_of(name, leaves, batch.y, -100, call={"denominator": 2}, reduction="sum")


@pytest.mark.parametrize("name", sorted(WITHOUT_LOSS_OF_A_ROW))
def test_losses_without_a_loss_of_a_row_say_so(name):
    batch = Batch(torch.randn(6, 4), torch.arange(6) % 3, 3, torch.zeros(6, dtype=torch.bool), -100, 0)
    with pytest.raises(InputError, match="reduction 'mean' or 'sum'"):
        value_of(name, parts(name, batch), batch.y, -100, reduction="none")
    if name in MODULES:
        with pytest.raises(InputError, match="no denominator"):
            value_of(name, parts(name, batch), batch.y, -100, call={"denominator": 2})


@pytest.mark.parametrize("name", [name for name in EVERY if name not in WITHOUT_ROWS])
def test_an_option_that_a_loss_does_not_have_is_refused_with_the_one_that_was_meant(name):
    batch = Batch(torch.randn(6, 4), torch.arange(6) % 3, 3, torch.zeros(6, dtype=torch.bool), -100, 0)
    with pytest.raises(OptionError, match="has no option 'clas_weights'; did you mean 'class_weights'"):
        value_of(name, parts(name, batch), batch.y, -100, clas_weights=torch.ones(3))


SCALED = [name for name in FUNCTIONS if "scale" in inspect.signature(PUBLIC[name]).parameters]


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_scales_are_refused_where_they_cannot_be_computed(name, dtype):
    batch = Batch(torch.randn(6, 4).to(dtype), torch.arange(6) % 3, 3, torch.zeros(6, dtype=torch.bool), -100, 0)
    limits = torch.finfo(torch.promote_types(dtype, torch.float32))
    most = limits.max**0.5
    for scale in (limits.tiny, 1.0, most):
        leaves = {key: leaf.requires_grad_() for key, leaf in parts(name, batch).items()}
        value = value_of(name, leaves, batch.y, -100, call={"scale": scale})
        value.backward()
        assert value.isfinite()
        assert all(leaf.grad.isfinite().all() for leaf in leaves.values())
    for scale in (0.0, -1.0, math.nan, math.inf, 2 * most, limits.tiny / 4):
        for given_scale in (scale, torch.tensor(scale, dtype=torch.float64)):
            with pytest.raises(InputError, match="scale above 0"):
                value_of(name, parts(name, batch), batch.y, -100, call={"scale": given_scale})
    with pytest.raises(InputError, match="one number"):
        value_of(name, parts(name, batch), batch.y, -100, call={"scale": torch.ones(2)})


WITH_LABELS_AND_WEIGHT = [
    name for name in FUNCTIONS if {"weight", "labels"} <= inspect.signature(PUBLIC[name]).parameters.keys()
]


@pytest.mark.parametrize("name", WITH_LABELS_AND_WEIGHT)
def test_the_order_is_features_labels_weight_and_another_order_is_refused(name):
    x, W, y = torch.randn(4, 4), torch.randn(4, 4), torch.arange(4)
    options = {"scale": 8.0} if "scale" in inspect.signature(PUBLIC[name]).parameters else {}
    PUBLIC[name](x, y, W, **options)
    with pytest.raises(InputError, match="expected"):
        PUBLIC[name](x, W, y, **options)


@pytest.mark.parametrize("name", EVERY)
def test_options_are_given_by_name(name):
    parameters = inspect.signature(PUBLIC[name]).parameters.values()
    positional = [it.name for it in parameters if it.kind is it.POSITIONAL_OR_KEYWORD]
    sizes = [["dim", "num_classes"], ["code"], []]
    orders = [["features", "labels", third] for third in ("weight", "centres")]
    orders += [["features", "labels"], ["logits", "labels"]]
    assert positional in (sizes if name in MODULES else orders)
