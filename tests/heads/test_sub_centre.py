"""Sub-centres: logits and sub-centre ArcFace from loops, and which centre is dominant."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from neucollapse import InputError
from neucollapse.heads import SubCentre
from neucollapse.losses import ArcFace, CrossEntropy, NormFace, spherical_ce
from neucollapse.losses._statistics import ImplicitWeight

D, K, C, S = 3, 4, 2, 9.0


def problem(dtype=torch.float64):
    head = SubCentre(D, K, centres=C, scale=S).to(dtype)
    return head, torch.randn(6, D, dtype=dtype, requires_grad=True), torch.tensor([0, 3, 1, 1, 2, 3])


def naive_cosines(head, x):
    """The cosine of each sample with the nearest of the centres of each class."""

    def cosine(a, b):
        return (a * b).sum() / (a * a).sum().sqrt() / (b * b).sum().sqrt()

    return [[max(cosine(h, head.centres[k, c]) for c in range(C)) for k in range(K)] for h in x]


def naive_arc_face(head, x, y, margin):
    losses = []
    for cosines, label in zip(naive_cosines(head, x), y.tolist(), strict=True):
        logits = [S * c for c in cosines]
        logits[label] = S * (torch.acos(cosines[label]) + margin).cos()
        losses.append(sum(z.exp() for z in logits).log() - logits[label])
    return sum(losses) / len(losses)


def test_logits_are_the_definition():
    head, x, _ = problem()
    expected = torch.stack([torch.stack(row) for row in naive_cosines(head, x)])
    torch.testing.assert_close(head(x), S * expected)
    x.requires_grad_()
    assert gradcheck(lambda x, _: head(x), (x, head.centres))


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_losses_of_the_sphere_see_all_centres(margin):
    head, x, y = problem()
    assert isinstance(head, ImplicitWeight)
    ours, theirs = ArcFace(margin=margin)(x, y, head), naive_arc_face(head, x, y, margin)
    torch.testing.assert_close(ours, theirs)
    inputs = x, head.centres
    for mine, other in zip(torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True):
        torch.testing.assert_close(mine, other)
    assert (torch.autograd.grad(NormFace()(x, y, head), head.centres)[0].abs().sum(dim=2) > 0).sum() > K


def test_smoothing_has_the_mean_of_all_logits():
    head, x, y = problem()
    z = head(x)
    wanted = torch.nn.functional.cross_entropy(z, y, label_smoothing=0.1)
    ours = spherical_ce(x, y, head, scale=S, smoothing=0.1)
    torch.testing.assert_close(ours, wanted)
    for mine, other in zip(*(torch.autograd.grad(loss, (x, head.centres)) for loss in (ours, wanted)), strict=True):
        torch.testing.assert_close(mine, other)


def test_exact_in_the_terminal_phase():
    head = SubCentre(2, 2, centres=2, scale=64.0)
    head.centres.data.copy_(torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]]))
    x = torch.tensor([[2.0, 0.1]], requires_grad=True)
    losses = [NormFace()(x, torch.tensor([0]), head), CrossEntropy()(x, torch.tensor([0]), head)]
    cos, other = 2 / math.hypot(2, 0.1), -0.1 / math.hypot(2, 0.1)
    for loss in losses:
        assert loss.item() == pytest.approx(math.exp(64 * (other - cos)), rel=1e-4)
        assert torch.autograd.grad(loss, x)[0].abs().sum() > 0


def test_one_centre_is_a_cosine_head():
    head, x, y = SubCentre(D, K, centres=1, scale=S), torch.randn(6, D), torch.arange(6) % K
    torch.testing.assert_close(head(x), S * torch.nn.functional.normalize(x) @ head.class_directions.mT)
    torch.testing.assert_close(NormFace()(x, y, head), spherical_ce(x, y, head.weight, scale=S))


def test_the_dominant_centre_is_the_most_used_and_old_uses_fade():
    head = SubCentre(2, 2, centres=2)
    head.centres.data.copy_(torch.eye(2).expand(2, 2, 2))
    assert head.weight.tolist() == [[1, 0], [1, 0]]  # the first, until something is counted
    head.update(torch.tensor([[0.1, 1.0], [0.0, 2.0], [5.0, 0.0]]), torch.tensor([1, 1, 1]))
    assert head.usage.tolist() == [[0, 0], [1, 2]]
    assert head.weight.tolist() == [[1, 0], [0, 1]]
    head.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, -100]))
    torch.testing.assert_close(head.usage, torch.tensor([[0, 0], [1.99, 1.98]]))
    assert head.weight.tolist() == [[1, 0], [1, 0]]
    head.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    torch.testing.assert_close(head.usage, torch.tensor([[1, 0], [1.99, 1.98]]))  # an absent class forgets nothing


def test_a_zero_centre_and_long_ones_are_counted_by_direction():
    head = SubCentre(2, 1, centres=3)
    head.centres.data.copy_(torch.tensor([[100.0, 0.0], [0.0, 0.1], [0.0, 0.0]]))
    head.update(torch.tensor([[1.0, 2.0]]), torch.tensor([0]))
    assert head.usage.tolist() == [[0, 1, 0]]


def test_coincident_centres_can_part():
    head = SubCentre(2, 2, centres=2)
    head.centres.data[:, 1] = head.centres.data[:, 0]
    head(torch.randn(5, 2)).square().sum().backward()
    used = head.centres.grad.abs().sum(dim=2) > 0
    assert (used.sum(dim=1) == 1).all()


def test_the_weight_is_differentiable():
    head = SubCentre(2, 2, centres=2)
    head.weight.sum().backward()
    assert head.centres.grad[:, 0].eq(1).all()
    assert head.centres.grad[:, 1].eq(0).all()


def test_shapes_that_do_not_fit():
    with pytest.raises(InputError, match=r"\(\.\.\., 3\)"):
        SubCentre(D, K).update(torch.randn(2, 4), torch.tensor([0, 1]))
