"""Centre loss: its value and gradients from loops, and the paper's rule for the centres."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.heads import Linear
from neucollapse.losses._centre import Centre, centre_loss


def naive(x, y, C):
    """Half squared distances, sample by sample."""
    return torch.stack([((x[i] - C[y[i]]) ** 2).sum() / 2 for i in range(len(x))])


def samples():
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    C = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    return x, torch.tensor([0, 0, 3, 0, 1, 3, 1]), C


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", torch.mean), ("sum", torch.sum)])
def test_is_the_definition(reduction, reduce):
    x, y, C = samples()
    ours, theirs = centre_loss(x, y, C, reduction=reduction, centre_gradient="exact"), reduce(naive(x, y.tolist(), C))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    for mine, other in zip(*(torch.autograd.grad(loss, (x, C)) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(centre_loss(x, y, C, reduction="none"), naive(x, y.tolist(), C))


def test_gradcheck():
    x, y, C = samples()
    assert gradcheck(lambda x, C: centre_loss(x, y, C, centre_gradient="exact"), (x, C))
    assert gradgradcheck(lambda x, C: centre_loss(x, y, C, centre_gradient="exact"), (x, C))
    assert gradcheck(lambda x: centre_loss(x, y, C), x)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_centres_move_by_the_rule_of_the_paper(reduction):
    x, y, C = samples()
    y[1] = -100
    centre_loss(x, y, C, reduction=reduction).backward()
    for j in range(4):
        members = [x[i] for i in range(len(x)) if y[i] == j]
        move = sum((C[j] - member for member in members), 0 * C[j]) / (1 + len(members))
        torch.testing.assert_close(C.grad[j], move.detach(), rtol=1e-12, atol=1e-14)
    counted = 6 if reduction == "mean" else 1
    torch.testing.assert_close(x.grad[0], ((x[0] - C[0]) / counted).detach())
    assert torch.equal(x.grad[1], torch.zeros(3))


def test_centres_reach_the_class_means():
    x, y, _ = samples()
    loss = Centre(3, 4).double()
    descent = torch.optim.SGD(loss.parameters(), lr=0.5)
    for _ in range(60):
        descent.zero_grad()
        loss(x.detach(), y).backward()
        descent.step()
    for j in (0, 1, 3):
        torch.testing.assert_close(loss.weight[j], x[y == j].mean(dim=0), rtol=1e-6, atol=1e-6)
    assert torch.equal(loss.weight[2], torch.zeros(3).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_and_zero_at_exact_collapse(dtype):
    C = torch.randn(4, 3).to(dtype)
    x, y = C[[0, 1, 1]].requires_grad_(), torch.tensor([0, 1, 1])
    loss = centre_loss(x, y, C)
    loss.backward()
    assert loss == 0
    assert loss.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_nothing_counted_is_zero_and_ignored_samples_may_be_not_finite():
    C = torch.randn(4, 3, requires_grad=True)
    loss = centre_loss(torch.full((2, 3), torch.nan), torch.full((2,), -100), C)
    loss.backward()
    assert loss == 0
    assert torch.equal(C.grad, torch.zeros(4, 3))
    each = centre_loss(torch.ones(2, 2, 3), torch.tensor([[0, -100], [2, 3]], dtype=torch.int32), C, reduction="none")
    assert each.shape == (2, 2)
    assert each[0, 1] == 0


def test_centres_may_be_the_weight_of_a_head():
    x, y, head = torch.randn(5, 3), torch.randint(4, (5,)), Linear(3, 4)
    torch.testing.assert_close(Centre()(x, y, head), centre_loss(x, y, head.weight))
    with pytest.raises(InputError, match="expected a head"):
        Centre()(x, y)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y, C: centre_loss(x[:, :2], y, C), r"\(7, 2\) and .*\(4, 3\)"),
        (lambda x, y, C: centre_loss(x, y + 1, C), "from 0 to 3"),
        (lambda x, y, C: centre_loss(x.long(), y, C), "floating features"),
        (lambda x, y, C: centre_loss(x, y, C, reduction="median"), "'median'"),
        (lambda x, y, C: centre_loss(x, y, C, centre_gradient="paper"), "'paper'"),
        (lambda *_: Centre(num_classes=3), "both num_classes and dim"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(*samples())
