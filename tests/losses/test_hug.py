"""HUG: its value from loops, who moves whom, the four proxy rules, and what happens at exact collapse."""

import copy

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.geometry import max_cosine, orthoplex, simplex
from neucollapse.heads import Linear
from neucollapse.losses._energy import riesz_energy
from neucollapse.losses._hug import HUG, hug, hug_terms

KINDS = ["mhe", "mhs", "mgd"]


def unit(v):
    return v / (v @ v).sqrt()


def descent(weight, value):
    search = torch.optim.LBFGS(
        [weight], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )

    def closure():
        search.zero_grad()
        loss = value()
        loss.backward()
        return loss

    search.step(closure)


def naive(x, y, W, kind, s, reduction):
    """Both terms from the paper, and means as in the authors' code; the proxies of intra are constants."""
    u = [unit(w) for w in W]
    K = len(u)
    r = {(i, j): ((u[i] - u[j]) ** 2).sum().sqrt() for j in range(K) for i in range(j)}
    if kind == "mhe":
        inter = sum(distance**-s for distance in r.values()) / (len(r) if reduction == "mean" else 1)
    elif kind == "mhs":
        inter = -min(r.values())
    else:
        G = torch.stack([torch.stack([torch.exp(-((a - b) ** 2).sum()) for b in u]) for a in u])
        total = torch.logdet(G + 1e-6 * torch.eye(K, dtype=W.dtype))
        inter = -total / (K if reduction == "mean" else 1)
    classes = []
    for c in range(K):
        distances = [((unit(x[i]) - u[c].detach()) ** 2).sum().sqrt() for i in range(len(x)) if y[i] == c]
        if distances:
            classes.append(sum(distances) / (len(distances) if reduction == "mean" else 1))
    return inter, sum(classes) / (len(classes) if reduction == "mean" else 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_is_the_definition(kind, reduction):
    x = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    W = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 0, 0, 2, 5, 5, 0, 3, 2])  # 1 and 4 are absent
    ours = hug_terms(x, y, W, kind=kind, alpha=0.3, beta=0.7, s=3, reduction=reduction)
    inter, intra = naive(x, y.tolist(), W, kind, 3, reduction)
    torch.testing.assert_close(ours.inter, 0.3 * inter, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours.intra, 0.7 * intra, rtol=1e-12, atol=1e-14)
    gradients = [torch.autograd.grad(loss, (x, W)) for loss in (sum(ours), 0.3 * inter + 0.7 * intra)]
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    W = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 1, 3, -100])

    def loss(x, W):
        return hug(x, y, W, kind=kind, detach_proxy=False)

    assert gradcheck(loss, (x, W))
    assert gradgradcheck(loss, (x, W))


def test_intra_does_not_move_the_proxies():
    """T2.4: by default the gradient of intra to the proxies is exactly zero, and that of inter to the features."""
    x, y = torch.randn(8, 3, requires_grad=True), torch.randint(5, (8,))
    loss = HUG(3, 5)
    terms = loss.terms(x, y)
    assert torch.autograd.grad(terms.intra, (x, loss.weight), allow_unused=True, retain_graph=True)[1] is None
    assert torch.autograd.grad(terms.inter, (x, loss.weight), allow_unused=True)[0] is None
    alone = loss.terms(x.detach(), y).inter
    joint = loss(x, y)
    assert torch.equal(torch.autograd.grad(alone, loss.weight)[0], torch.autograd.grad(joint, loss.weight)[0])
    coupled = HUG(3, 5, detach_proxy=False)
    (gradient,) = torch.autograd.grad(coupled.terms(x, y).intra, coupled.weight)
    assert gradient.norm() > 0


@pytest.mark.parametrize(("code", "least"), [(simplex(6), 5 / 12), (orthoplex(6, 3), 0.45)])
def test_optimum_is_reached_and_features_collapse(code, least):
    """T2.1, T2.2: free features and proxies end at the simplex (cross-polytope), each feature on its proxy."""
    K, d = code.shape
    x, y = torch.randn(12, d, dtype=torch.float64, requires_grad=True), torch.arange(K).repeat(2)
    loss = HUG(d, K).double()
    descent(loss.weight, lambda: loss.terms(x.detach(), y).inter)  # alone: intra moves with them, its gradient does not
    for step in range(250):
        gradients = torch.autograd.grad(loss.terms(x, y).intra, x)[0]
        x.data = x.data - 0.3 * 0.97**step * gradients / gradients.norm(dim=1, keepdim=True)
        x.data /= x.data.norm(dim=1, keepdim=True)
    inter, intra = loss.terms(x, y)
    assert inter.item() == pytest.approx(least, rel=1e-8)
    assert inter.item() == pytest.approx(riesz_energy(code).item(), rel=1e-8)
    assert intra.item() < 1e-3


def test_least_energies_of_the_paper():
    assert HUG(512, 100, proxy="static").terms(torch.randn(2, 512), torch.tensor([0, 1])).inter.item() == pytest.approx(
        0.495, abs=1e-6
    )
    assert HUG(5, 10, proxy="static").terms(torch.randn(2, 5), torch.tensor([0, 1])).inter.item() == pytest.approx(
        0.47222, abs=1e-5
    )


@pytest.mark.parametrize(("K", "d", "least"), [(100, 512, 0.495), (10, 5, 0.4722222)])
def test_learned_proxies_reach_the_least_energies_of_the_paper(K, d, least):
    """T2.1 and T2.2 at the paper's sizes: from random proxies to the simplex and to the cross-polytope."""
    torch.manual_seed(0)
    loss = HUG(d, K).double()
    x, y = torch.randn(2, d, dtype=torch.float64), torch.tensor([0, 1])
    descent(loss.weight, lambda: loss.terms(x, y).inter)
    assert loss.terms(x, y).inter.item() == pytest.approx(least, abs=1e-7)
    assert max_cosine(loss.weight) == pytest.approx(-1 / 99 if K == 100 else 0, abs=1e-4)


def test_a_large_exponent_ends_at_the_icosahedron():
    """T2.3: as s grows, least energy becomes largest separation; twelve points on the sphere, cosine 1/sqrt 5."""
    torch.manual_seed(0)
    proxies = torch.nn.Parameter(torch.randn(12, 3, dtype=torch.float64))
    x, y = torch.randn(2, 3, dtype=torch.float64), torch.tensor([0, 1])
    for s in (2.0, 10.0, 80.0):  # steep energies are found from gentle ones
        loss = HUG(3, 12, s=s)
        loss.raw = proxies
        descent(proxies, lambda loss=loss: loss.terms(x, y).inter)
    assert max_cosine(proxies) == pytest.approx(5**-0.5, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_partial_proxies_turn_and_keep_their_uniformity(kind):
    x, y = torch.randn(40, 5), torch.randint(8, (40,))
    loss = HUG(5, 8, uniformity=kind, proxy="partial", frame=torch.randn(8, 5))
    start = loss.terms(x, y)
    before = loss.weight.detach()
    descent = torch.optim.SGD(loss.parameters(), lr=0.3, momentum=0.9)
    for _ in range(30):
        descent.zero_grad()
        loss(x, y).backward()
        descent.step()
    end = loss.terms(x, y)
    assert (loss.weight - before).norm() > 0.5
    assert end.inter.item() == pytest.approx(start.inter.item(), abs=1e-6)
    assert end.intra < 0.95 * start.intra
    torch.testing.assert_close(loss.weight @ loss.weight.mT, before @ before.mT, atol=1e-6, rtol=0)


def test_static_proxies_have_no_parameters_and_travel_with_the_state():
    loss = HUG(6, 4, proxy="static")
    assert list(loss.parameters()) == []
    other = HUG(6, 4, proxy="static", frame=torch.randn(4, 6))
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.weight, loss.weight)
    assert torch.equal(copy.deepcopy(loss).weight, loss.weight)
    assert loss.to(torch.float64).weight.dtype == torch.float64


@pytest.mark.parametrize("kind", KINDS)
def test_without_proxies_class_means_spread(kind):
    x = torch.randn(10, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 0, 7, 7, 7, 2, 2, 2, 2, -100])
    means = torch.stack([torch.stack([unit(row) for row in x[y == c]]).mean(dim=0) for c in (0, 2, 7)])
    renamed = torch.tensor([0, 0, 2, 2, 2, 1, 1, 1, 1, -100])
    for detached in (True, False):
        ours = HUG(3, 8, uniformity=kind, proxy="none", detach_proxy=detached)(x, y)
        theirs = hug(x, renamed, means, kind=kind, detach_proxy=detached)
        torch.testing.assert_close(ours, theirs)
        pair = [torch.autograd.grad(loss, x, retain_graph=True)[0] for loss in (ours, theirs)]
        torch.testing.assert_close(*pair)
    assert pair[0][-1].norm() == 0


def test_without_proxies_a_batch_of_one_class_only_gathers():
    x = torch.randn(4, 3, requires_grad=True)
    inter, intra = HUG(3, 8, proxy="none").terms(x, torch.full((4,), 5))
    (inter + intra).backward()
    assert inter == 0
    assert intra > 0
    assert x.grad.isfinite().all()


def test_the_weight_of_a_head_is_the_proxies():
    x, y, head = torch.randn(6, 3), torch.randint(4, (6,)), Linear(3, 4)
    torch.testing.assert_close(HUG()(x, y, head), hug(x, y, head.weight))
    torch.testing.assert_close(HUG(3, 4)(x, y, head), hug(x, y, head.weight))
    own = HUG(3, 4)
    torch.testing.assert_close(own(x, y), hug(x, y, own.weight))
    assert not hasattr(HUG(), "weight")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_at_exact_collapse(dtype):
    W = simplex(5).to(dtype)
    x, y = (3 * W).repeat(2, 1).requires_grad_(), torch.arange(5).repeat(2)
    terms = hug_terms(torch.cat([W, W]).requires_grad_(), y, W)
    assert terms.intra == 0
    W = W.clone().requires_grad_()
    loss = hug(x, y, W, detach_proxy=False)
    loss.backward()
    assert x.grad.isfinite().all()
    assert W.grad.isfinite().all()
    x = torch.cat([W, W]).detach().requires_grad_()
    hug(x, y, W).backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
def test_float32_gradient_near_collapse(noise):
    W = torch.randn(6, 16)
    y = torch.arange(6).repeat(3)
    x = W[y] + noise * torch.randn(18, 16)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = x.clone().to(dtype).requires_grad_()
        hug(leaf, y, W.to(dtype)).backward()
        gradients.append(leaf.grad.double())
    assert (gradients[0] - gradients[1]).norm() / gradients[1].norm() < 1e-5


def test_zero_rows_and_empty_batches():
    x = torch.randn(3, 4)
    x[1] = 0
    x.requires_grad_()
    W = torch.randn(3, 4, requires_grad=True)
    hug(x, torch.arange(3), W).backward()
    assert torch.equal(x.grad[1], torch.zeros(4))
    assert x.grad.isfinite().all()
    for features, labels in ((x[:0], torch.zeros(0, dtype=torch.long)), (x, torch.full((3,), -100))):
        inter, intra = hug_terms(features, labels, W)
        assert intra == 0
        assert inter > 0


def test_ignored_samples_get_no_gradient_even_when_not_finite():
    x, y, W = torch.randn(4, 3), torch.tensor([0, -100, 1, 1]), torch.randn(2, 3)
    x[1] = torch.nan
    x.requires_grad_()
    hug(x, y, W).backward()
    assert torch.equal(x.grad[1], torch.zeros(3))
    assert x.grad.isfinite().all()


def test_shapes_and_dtypes():
    x, y, W = torch.randn(2, 5, 3), torch.randint(4, (2, 5)), torch.randn(4, 3)
    torch.testing.assert_close(hug(x, y, W), hug(x.flatten(0, 1), y.flatten().to(torch.int32), W))
    for half in (torch.float16, torch.bfloat16):
        loss = hug(x.to(half), y, W.to(half))
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, hug(x.to(half).float(), y, W.to(half).float()))
    with torch.autocast("cpu", torch.bfloat16):
        assert hug(x, y, W) == hug(x, y, W)
        narrow = hug(x, y, W)
    torch.testing.assert_close(narrow, hug(x, y, W))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda *_: HUG(3, 4, uniformity="mhd"), "among mhe, mhs, mgd"),
        (lambda *_: HUG(3, 4, proxy="fixed"), "among learnable, static, partial, none"),
        (lambda *_: HUG(3, 4, frame=torch.eye(4)), "static and partial proxies alone"),
        (lambda *_: HUG(3, 4, proxy="static", frame=torch.eye(4)), r"\(4, 3\)"),
        (lambda *_: HUG(proxy="partial"), "num_classes and dim"),
        (lambda x, y: HUG()(x, y), "expected a head"),
        (lambda x, y: HUG(3, 4, proxy="static")(x, y, Linear(3, 4)), "expected no head"),
        (lambda x, y: HUG(5, 4)(x, y), r"\(2, 3\) and .*\(4, 5\)"),
        (lambda x, y: HUG(3, 4)(x, y + 3), "from 0 to 3"),
        (lambda x, y: HUG(3, 4)(x, y.float()), "integer labels"),
        (lambda x, y: HUG(3, 4, reduction="none")(x, y), "'none'"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(torch.randn(2, 3), torch.tensor([0, 1]))
