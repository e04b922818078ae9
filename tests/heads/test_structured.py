"""Fixed heads by fast transforms against their dense weights: logits, losses, gradients, memory, the terminal phase."""

import copy
import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neucollapse import InputError
from neucollapse.geometry import simplex
from neucollapse.geometry.constructions import dual_bch, kerdock
from neucollapse.heads import FixedHadamard, FixedKerdock, FixedSimplex
from neucollapse.heads._hadamard import code_lse
from neucollapse.losses import (
    ArcFace,
    CosFace,
    CrossEntropy,
    LabelSmoothing,
    NormFace,
    SphereFace,
    spherical_ce,
)
from neucollapse.losses._margins import ArcMargin
from neucollapse.losses._statistics import ImplicitWeight
from neucollapse.losses._tiles import needs_maximum

HEADS = {
    "simplex": lambda s=16.0: FixedSimplex(8, 9, scale=s),
    "simplex in more dimensions": lambda s=16.0: FixedSimplex(8, 5, scale=s),
    "simplex of two": lambda s=16.0: FixedSimplex(3, 2, scale=s),
    "hadamard": lambda s=16.0: FixedHadamard(8, 16, scale=s),
    "hadamard, rows alone": lambda s=16.0: FixedHadamard(8, 5, scale=s),
    "hadamard, one opposite": lambda s=16.0: FixedHadamard(32, 33, scale=s),
    "hadamard, d = 2": lambda s=16.0: FixedHadamard(2, 3, scale=s),
    "kerdock": lambda s=16.0: FixedKerdock(16, 288, scale=s),
    "kerdock, d = 4": lambda s=16.0: FixedKerdock(4, 24, scale=s),
    "kerdock, axes alone": lambda s=16.0: FixedKerdock(16, 7, scale=s),
    "kerdock, one basis": lambda s=16.0: FixedKerdock(16, 32, scale=s),
    "kerdock, rows of the last basis": lambda s=16.0: FixedKerdock(16, 101, scale=s),
    "kerdock, opposites of the last basis": lambda s=16.0: FixedKerdock(16, 120, scale=s),
}


@pytest.fixture(params=HEADS)
def make(request):
    return HEADS[request.param]


def double(head):
    return head.double()


def batch(head, n=21, dtype=torch.float64):
    """Features of unequal lengths, and labels among which are the first and the last."""
    labels = torch.randint(head.num_classes, (n,))
    labels[:2] = torch.tensor([0, head.num_classes - 1])
    return torch.randn(n, head.dim, dtype=dtype), labels


@pytest.mark.parametrize("K", [1, 2, 3, 4, 5, 7, 23, 24])
def test_kerdock_weight_is_the_construction_at_every_count(K):
    torch.testing.assert_close(double(FixedKerdock(4, K)).weight, kerdock(1, K), rtol=0, atol=1e-15)


@pytest.mark.parametrize("m", [2, 3])
def test_kerdock_weight_is_the_construction(m):
    d = 4**m
    torch.testing.assert_close(double(FixedKerdock(d, d * (d + 2))).weight, kerdock(m), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("m", "K"), [(1, 4), (3, 16), (3, 11), (6, 128)])
def test_hadamard_weight_is_the_construction(m, K):
    torch.testing.assert_close(double(FixedHadamard(2**m, K)).weight, dual_bch(m, 1, K), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("dim", "K"), [(1, 2), (3, 4), (9, 4), (100, 101)])
def test_simplex_weight_is_a_simplex(dim, K):
    W, expected = double(FixedSimplex(dim, K)).weight, simplex(K)
    torch.testing.assert_close(W @ W.mT, expected @ expected.mT, rtol=0, atol=1e-13)


def test_logits_are_cosines_with_the_weight(make):
    head = double(make(7.0))
    x, _ = batch(head)
    z = torch.stack([torch.stack([7 * (x_i @ w) / (x_i @ x_i).sqrt() for w in head.weight]) for x_i in x])
    torch.testing.assert_close(head(x), z, rtol=0, atol=1e-12)
    torch.testing.assert_close(make(7.0)(x.float()), z.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("d", [4, 16, 64])
def test_fast_logits_are_dense_logits_of_the_construction(d):
    K, W = d * (d + 2), kerdock((d.bit_length() - 1) // 2)
    x = torch.nn.functional.normalize(torch.randn(5, d, dtype=torch.float64))
    torch.testing.assert_close(
        FixedKerdock(d, K, scale=1.0)(x.float()).double(), x.float().double() @ W.mT, rtol=0, atol=1e-6
    )
    torch.testing.assert_close(double(FixedKerdock(d, K, scale=1.0))(x), x @ W.mT, rtol=0, atol=1e-14)


def test_kerdock_of_256_dimensions_in_places():
    head = FixedKerdock(256, 66_048, scale=1.0).double()
    x = torch.nn.functional.normalize(torch.randn(3, 256, dtype=torch.float64))
    z = head(x)
    first = kerdock(4, 1100)
    torch.testing.assert_close(z[:, :1100], x @ first.mT, rtol=0, atol=1e-13)
    labels = torch.randint(66_048, (300,))
    labels[0] = 66_047
    rows = head.rows(labels, torch.float64)
    torch.testing.assert_close(z[:, labels], x @ rows.mT, rtol=0, atol=1e-13)
    cosines = rows @ rows.mT
    assert cosines[labels[:, None] != labels].max() <= 1 / 16 + 1e-12


def test_logits_take_any_shape_and_keep_their_type(make):
    head = make()
    x = torch.randn(2, 3, head.dim)
    assert head(x).shape == (2, 3, head.num_classes)
    torch.testing.assert_close(head(x)[1, 2], head(x[1, 2]))
    torch.testing.assert_close(head(100 * x), head(x), rtol=1e-5, atol=1e-5)
    assert head(x.bfloat16()).dtype == torch.float32
    assert torch.equal(head(torch.zeros(head.dim)), torch.zeros(head.num_classes))
    with pytest.raises(InputError, match="expected floating features"):
        head(torch.randn(2, head.dim + 1))


def test_state_is_the_scale_alone(make):
    head, other = make(5.0), make(9.0)
    assert list(head.state_dict()) == ["scale"]
    assert not list(head.parameters())
    other.load_state_dict(head.state_dict())
    x = torch.randn(4, head.dim)
    assert torch.equal(other(x), head(x))
    assert torch.equal(copy.deepcopy(head)(x), head(x))
    assert head.weight.shape == (head.num_classes, head.dim)
    assert f"dim={head.dim}" in repr(head)


def test_gradcheck_of_logits(make):
    head = double(make(3.0))
    x = batch(head, 2)[0].requires_grad_()
    weights = torch.randn(2, head.num_classes, dtype=torch.float64)

    def mixed(x):  # as many outputs as samples, or the Jacobian would be large
        return (head(x).sin() * weights).sum(dim=1)

    assert gradcheck(mixed, x)
    assert gradgradcheck(mixed, x)


def test_face_losses_are_those_of_the_dense_weight(make):
    head = double(make(12.0))
    assert isinstance(head, ImplicitWeight)
    x, labels = batch(head)
    x.requires_grad_()
    for loss in (NormFace, CosFace, ArcFace, SphereFace):
        fast = loss(reduction="none")(x, labels, head)
        dense = spherical_ce(
            x, labels, head.weight, scale=12.0, margin=loss().margin, reduction="none", implementation="reference"
        )
        torch.testing.assert_close(fast, dense, rtol=1e-11, atol=1e-14)
        mine, other = (torch.autograd.grad(value.sum(), x)[0] for value in (fast, dense))
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def test_face_losses_never_write_the_weight_out(make, monkeypatch):
    head = make()
    monkeypatch.setattr(type(head), "weight", property(lambda _: pytest.fail("the weight was made")))
    ArcFace()(*batch(head, dtype=torch.float32), head).item()


def test_smoothing_class_weights_and_ignored_labels(make):
    head = double(make(6.0))
    x, labels = batch(head)
    labels[3], x[3] = -100, math.nan
    for options in (
        {"smoothing": 0.1},
        {"class_weights": torch.rand(head.num_classes, dtype=torch.float64)},
        {"focal": 2.0},
        {"reduction": "log_mean"},
    ):
        fast, dense = (spherical_ce(x, labels, W, scale=6.0, **options) for W in (head, head.weight))
        torch.testing.assert_close(fast, dense, rtol=1e-11, atol=1e-13)


def test_losses_of_logits_take_the_head(make):
    head = make()
    x, labels = batch(head, dtype=torch.float32)
    torch.testing.assert_close(CrossEntropy()(x, labels, head), NormFace()(x, labels, head), rtol=1e-4, atol=1e-5)
    assert LabelSmoothing()(x, labels, head).isfinite()


def naive_lse(x, W, labels, s):
    """The definition, a sample at a time; the largest term is taken out, so that e^900 fits."""
    values = []
    for x_i, y_i in zip(x, labels.tolist(), strict=True):
        z = torch.stack([s * (x_i @ w) for j, w in enumerate(W) if j != y_i])
        values.append(z.max() + torch.exp(z - z.max()).sum().log())
    return torch.stack(values)


@pytest.mark.parametrize("s", [5.0, 64.0, 900.0])  # 900: e^900 overflows, so a running maximum is taken out
@pytest.mark.parametrize("name", [name for name in HEADS if "simplex" not in name])
def test_tiles_are_the_sums_over_classes(name, s):
    head = double(HEADS[name]())
    x, labels = batch(head, 11)
    x = torch.nn.functional.normalize(x)
    x[2:5] = head.rows(labels[2:5], torch.float64)  # collapsed: e^z of the target is larger than all others
    x.requires_grad_()
    scale = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    assert needs_maximum(s, head.num_classes, torch.float64) == (s == 900)
    expected, cotangent = naive_lse(x, head.weight, labels, scale), torch.randn(11, dtype=torch.float64)
    gradients = torch.autograd.grad(expected, (x, scale), cotangent)
    for tile in ((1, 1), (5, 2), (11, 3), (64, 64), (4, 1)):
        found = code_lse(x, head.signs, labels, scale, head.num_classes, head.axes, tile)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        for mine, other in zip(torch.autograd.grad(found, (x, scale), cotangent), gradients, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-11 * s)


def test_gradcheck_of_the_loss():
    for head in (FixedKerdock(4, 21), FixedHadamard(4, 6), FixedSimplex(4, 5)):
        x, labels = batch(head, 4)
        x.requires_grad_()
        scale = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
        assert gradcheck(
            lambda x, s, head=head, y=labels: spherical_ce(x, y, head, scale=s, margin=ArcMargin(0.3)), (x, scale)
        )
    assert gradgradcheck(lambda x: spherical_ce(x, labels, head, scale=4.0), x)  # the simplex has further derivatives


def near(head, noise, n=64):
    """Float32 features of unequal lengths at relative distance ``noise`` of their classes."""
    labels = torch.randint(head.num_classes, (n,))
    jitter = noise * torch.randn(n, head.dim, dtype=torch.float64) / head.dim**0.5
    return (
        (1 + 3 * torch.rand(n, 1, dtype=torch.float64)) * (head.rows(labels, torch.float64) + jitter)
    ).float(), labels


@pytest.mark.parametrize("margin", [None, ArcMargin(0.5)])
@pytest.mark.parametrize("noise", [1e-1, 1e-3])
@pytest.mark.parametrize("s", [5.0, 20.0, 64.0])
@pytest.mark.parametrize("name", ["simplex", "hadamard", "kerdock"])
def test_float32_gradients_in_the_terminal_phase(name, s, noise, margin):
    head = HEADS[name]()
    x, labels = near(head, noise)
    values, gradients = [], []
    for features, weight in ((x, head), (x.double(), head.double().weight)):
        features = features.requires_grad_()
        values.append(spherical_ce(features, labels, weight, scale=s, margin=margin))
        gradients.append(torch.autograd.grad(values[-1], features)[0].double())
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-4)
    assert (gradients[0] - gradients[1]).norm() / gradients[1].norm() <= max(1e-4, 1e-6 / noise)


@pytest.mark.parametrize("s", [16.0, 64.0, 300.0])  # 300: a running maximum in float32
def test_finite_and_exact_at_collapse(make, s):
    head = make(s)
    labels = torch.arange(head.num_classes)
    x = head.rows(labels, torch.float32).requires_grad_()
    loss = NormFace()(x, labels, head)
    dense = spherical_ce(x.detach().double(), labels, head.double().weight, scale=s)
    assert loss.item() == pytest.approx(dense.item(), rel=1e-3, abs=1e-38)
    assert torch.autograd.grad(loss, x)[0].isfinite().all()


def test_zero_features_have_no_direction_and_no_gradient(make):
    head = make()
    x = torch.zeros(2, head.dim, requires_grad=True)
    loss = NormFace()(x, torch.tensor([0, 1]), head)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(head.num_classes), rel=1e-6)
    assert torch.equal(x.grad, torch.zeros_like(x))


class Largest(TorchDispatchMode):
    """The largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor))])
        return out


def test_no_buffer_of_samples_times_classes():
    head = FixedKerdock(64, 4224)
    x, labels = batch(head, 600, torch.float32)
    x.requires_grad_()
    with Largest() as largest:
        ArcFace()(x, labels, head).backward()
    assert largest.elements <= 2**20 < 600 * 4224


def test_an_empty_batch(make):
    head = make()
    x, labels = torch.empty(0, head.dim, requires_grad=True), torch.empty(0, dtype=torch.int64)
    assert head(x).shape == (0, head.num_classes)
    NormFace(reduction="sum")(x, labels, head).backward()
    assert x.grad.shape == x.shape


def test_half_precision_is_computed_in_float32():
    head = FixedKerdock(16, 288)
    x, labels = batch(head, dtype=torch.float32)
    x = x.bfloat16()
    assert torch.equal(NormFace()(x, labels, head), NormFace()(x.float(), labels, head))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(NormFace()(x, labels, head), NormFace()(x.float(), labels, head))


def test_the_custom_operation_keeps_its_promises():
    head = FixedKerdock(4, 21)
    x, labels = batch(head, 5)
    scale = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    arguments = (x.requires_grad_(), head.signs, labels, scale, 21, True, 2, 1, True)
    torch.library.opcheck(torch.ops.neucollapse.signed_bases_negatives, arguments)


def test_as_a_linear_layer(make):
    head = double(make())
    x = torch.nn.functional.normalize(batch(head)[0])
    torch.testing.assert_close(head.to_linear()(x), head(x), rtol=0, atol=1e-12)


def test_an_implementation_by_name_is_refused():
    head = FixedKerdock(4, 24)
    with pytest.raises(InputError, match=r"expected implementation 'auto'.*\.weight"):
        spherical_ce(torch.randn(2, 4), torch.tensor([0, 1]), head, scale=4.0, implementation="tiled")


@pytest.mark.parametrize(
    "make_bad",
    [
        lambda: FixedSimplex(3, 5),
        lambda: FixedSimplex(3, 1),
        lambda: FixedSimplex(3, 4, scale=0.0),
        lambda: FixedHadamard(12, 12),
        lambda: FixedHadamard(1, 2),
        lambda: FixedHadamard(8, 17),
        lambda: FixedKerdock(8, 8),
        lambda: FixedKerdock(1, 3),
        lambda: FixedKerdock(16, 289),
        lambda: FixedKerdock(16, 16, scale=math.inf),
        lambda: spherical_ce(torch.randn(2, 8), torch.tensor([0, 1]), FixedKerdock(16, 16), scale=4.0),
        lambda: spherical_ce(torch.randn(2, 16), torch.tensor([0, 16]), FixedKerdock(16, 16), scale=4.0),
    ],
)
def test_errors_are_sentences(make_bad):
    with pytest.raises(InputError, match="expected"):
        make_bad()
