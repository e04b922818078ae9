"""The tiled sums over wrong classes against all logits at once: values, gradients, memory, compilation, autocast."""

import math
import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neucollapse import InputError
from neucollapse.losses import _statistics, spherical_ce, spherical_statistics
from neucollapse.losses._normalised import normalised
from neucollapse.losses._statistics import _reference, _tiled, negatives
from neucollapse.losses._tiles import needs_maximum, tile_shape

TILES = [(1, 1), (5, 3), (37, 7), (4, 29), (37, 29), (64, 64), (37, 1)]


def problem(B=37, K=29, d=6, dtype=torch.float64, spread=1.0):
    x = normalised(torch.randn(B, d, dtype=dtype)).requires_grad_()
    weight = (spread * torch.randn(K, d, dtype=dtype)).requires_grad_()
    return x, weight, torch.randint(K, (B,))


def naive(x, weight, labels, s):
    cos_y, lse = [], []
    for x_i, y_i in zip(x, labels.tolist(), strict=True):
        cosines = [(x_i @ w) / (w @ w).sqrt() for w in weight]
        cos_y.append(cosines[y_i])
        lse.append(torch.stack([torch.exp(s * c) for j, c in enumerate(cosines) if j != y_i]).sum().log())
    return torch.stack(cos_y), torch.stack(lse)


@pytest.mark.parametrize("implementation", ["reference", "tiled", "auto"])
def test_statistics_are_their_definition(implementation):
    x, weight, labels = problem()
    for found, expected in zip(
        spherical_statistics(x, labels, weight, scale=9.0, implementation=implementation),
        naive(x, weight, labels, 9.0),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
        pairs = zip(
            *(torch.autograd.grad(v.sum(), (x, weight), retain_graph=True) for v in (found, expected)), strict=True
        )
        for mine, other in pairs:
            torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("s", [5.0, 64.0, 900.0])  # 900: e^900 overflows, so a running maximum is taken out
def test_tiles_equal_the_reference(tile, s):
    x, weight, labels = problem()
    scale = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    assert needs_maximum(s, 29, torch.float64) == (s == 900)
    found, expected = _tiled(x, weight, labels, scale, tile), _reference(x, weight, labels, scale)
    cotangents = [torch.randn_like(t) for t in expected]
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
    for mine, other in zip(
        *(torch.autograd.grad(out, (x, weight, scale), cotangents) for out in (found, expected)), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12 * s)


def test_gradcheck_of_tiles():
    x, weight, labels = problem(5, 7, 3)
    scale = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda *a: tuple(_tiled(a[0], a[1], labels, a[2], (2, 3))), (x, weight, scale))


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_is_not_trained_gets_no_gradient(frozen):
    x, weight, labels = problem()
    leaves = [x, weight, torch.tensor(8.0, dtype=torch.float64, requires_grad=True)]
    leaves[frozen] = leaves[frozen].detach()
    trained = [leaf for leaf in leaves if leaf.requires_grad]
    losses = [
        spherical_ce(leaves[0], labels, leaves[1], scale=leaves[2], implementation=i) for i in ("tiled", "reference")
    ]
    for mine, other in zip(*(torch.autograd.grad(loss, trained) for loss in losses), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-14)


def test_a_second_derivative_of_tiles_is_refused_and_the_reference_has_it():
    x, weight, labels = problem()
    (first,) = torch.autograd.grad(
        spherical_ce(x, labels, weight, scale=3.0, implementation="reference"), x, create_graph=True
    )
    assert torch.autograd.grad(first.square().sum(), weight)[0].isfinite().all()
    (first,) = torch.autograd.grad(
        spherical_ce(x, labels, weight, scale=3.0, implementation="tiled"), weight, create_graph=True
    )
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.autograd.grad(first.square().sum(), x)


@pytest.mark.parametrize(("s", "dtype"), [(64.0, torch.float32), (85.0, torch.float32)])
@pytest.mark.parametrize("hidden", [-1.0, 1.0])  # all wrong classes opposite, or all at the sample itself
def test_sums_stay_in_range(s, dtype, hidden):
    x = torch.tensor([[1.0, 0.0]], dtype=dtype, requires_grad=True)
    weight = torch.tensor([[1.0, 0.0]] + [[hidden, 0.0]] * 5000, dtype=dtype, requires_grad=True)
    cos_y, lse = spherical_statistics(x, torch.tensor([0]), weight, scale=s, implementation="tiled")
    assert lse.item() == pytest.approx(hidden * s + math.log(5000), rel=1e-6)
    assert all(g.isfinite().all() for g in torch.autograd.grad(lse + cos_y, (x, weight)))


class Largest(TorchDispatchMode):
    """The largest tensor that any operation returned."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [
            t.untyped_storage().nbytes() // t.element_size() for t in tree_leaves(out) if isinstance(t, torch.Tensor)
        ]
        self.elements = max(self.elements, *sizes, 0)
        return out


@pytest.mark.parametrize(("B", "K", "d"), [(256, 20_000, 8), (20_000, 256, 8), (3000, 3000, 8)])
def test_no_buffer_of_all_logits(B, K, d, monkeypatch):
    def small(B, K):
        return tile_shape(B, K, elements=2**16)

    monkeypatch.setattr(_statistics, "tile_shape", small)
    x, weight, labels = problem(B, K, d, torch.float32)
    sizes = {}
    for implementation in ("tiled", "reference"):
        with Largest() as largest:
            spherical_ce(x, labels, weight, scale=16.0, smoothing=0.1, implementation=implementation).backward()
        sizes[implementation] = largest.elements
    assert sizes["tiled"] <= max(2**16, max(B, K) * d)
    assert sizes["reference"] >= B * K  # the counter sees what it should


@pytest.mark.parametrize(
    ("B", "K"), [(1, 1), (512, 100_000), (65_536, 10), (4096, 1_000_000), (100_000, 100_000), (3, 7), (1, 10**7)]
)
def test_tile_shape_fits_the_problem_and_the_budget(B, K):
    samples, classes = tile_shape(B, K)
    assert 1 <= samples <= B
    assert 1 <= classes <= K
    assert samples * classes <= 7 * 2**16
    assert samples == B or classes == K or max(samples, classes) < 4 * min(samples, classes)


def test_tile_shape_follows_the_smaller_side():
    assert tile_shape(512, 100_000)[0] == 512  # class-major
    assert tile_shape(100_000, 100)[1] == 100  # row-major


@pytest.mark.parametrize("scale", [9.0, 1000.0])  # without and with a running maximum
def test_one_class_has_no_negatives(scale):
    x, weight, labels = problem(4, 1)
    for implementation in ("auto", "reference", "tiled"):
        loss = spherical_ce(x, labels, weight, scale=scale, implementation=implementation)
        assert loss == 0
        for gradient in torch.autograd.grad(loss, (x, weight)):
            assert torch.equal(gradient, torch.zeros_like(gradient))


def test_a_zero_class_row_has_no_direction_and_no_gradient():
    x, weight, labels = problem()
    weight = weight.detach()
    weight[3] = 0
    gradients = []
    for implementation in ("tiled", "reference"):
        W = weight.clone().requires_grad_()
        spherical_ce(x, labels, W, scale=9.0, implementation=implementation).backward()
        gradients.append(W.grad)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
    assert torch.equal(gradients[0][3], torch.zeros(6, dtype=torch.float64))


@pytest.mark.parametrize("size", [1e-35, 1e-20, 1e30])
def test_only_directions_of_the_weight_count(size):
    x, weight, labels = problem(dtype=torch.float32)
    values = [spherical_statistics(x, labels, k * weight, scale=8.0, implementation="tiled") for k in (1.0, size)]
    for mine, other in zip(*values, strict=True):
        torch.testing.assert_close(mine, other)


COMPILED = """
import torch
from neucollapse.losses import spherical_ce
x, weight, labels = torch.randn(9, 4, requires_grad=True), torch.randn(7, 4, requires_grad=True), torch.randint(7, (9,))

def loss(x, weight):
    return spherical_ce(x, labels, weight, scale=16.0, implementation="tiled")

compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
pairs = [(f(x, weight), *torch.autograd.grad(f(x, weight), (x, weight))) for f in (loss, compiled)]
for mine, other in zip(*pairs, strict=True):
    torch.testing.assert_close(mine, other)
"""


def test_one_node_under_compile():
    """In a process of its own: torch.compile cannot read the shape checks that the tests put around every function."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


@pytest.mark.parametrize("implementation", ["tiled", "reference"])
def test_autocast_leaves_it_in_float32(implementation):
    x, weight, labels = problem(dtype=torch.float32)
    expected = spherical_ce(x, labels, weight, scale=64.0, implementation=implementation)
    gradients = torch.autograd.grad(expected, (x, weight))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = spherical_ce(x, labels, weight, scale=64.0, implementation=implementation)
    found = torch.autograd.grad(loss, (x, weight))
    assert torch.equal(loss, expected)
    for mine, other in zip(found, gradients, strict=True):
        assert torch.equal(mine, other)


def test_custom_operations_keep_their_promises():
    x, weight, labels = problem(5, 7, 3)
    arguments = (x, weight, labels, torch.tensor(4.0, dtype=torch.float64, requires_grad=True), 2, 3, True)
    torch.library.opcheck(torch.ops.neucollapse.spherical_negatives, arguments)


def test_an_unknown_implementation_is_named():
    with pytest.raises(InputError, match="'auto', 'reference', 'tiled', got 'cuda'"):
        negatives(*problem(), torch.tensor(1.0), "cuda")


def test_another_implementation_is_one_more_entry(monkeypatch):
    monkeypatch.setitem(_statistics.IMPLEMENTATIONS, "mine", _reference)
    x, weight, labels = problem()
    mine, other = (spherical_ce(x, labels, weight, scale=4.0, implementation=i) for i in ("mine", "reference"))
    assert torch.equal(mine, other)
