"""What the linear and the cosine head add to the contract."""

import math

import pytest
import torch

from neucollapse import InputError
from neucollapse.heads import ArcMargin, Cosine, CosMargin, Linear
from neucollapse.losses import ArcFace, CrossEntropy, NormFace, spherical_ce


def test_linear_is_torch_linear():
    head = Linear(32, 10)
    features = torch.randn(5, 32)
    rows = list(zip(head.weight.detach(), head.bias.detach(), strict=True))
    z = torch.tensor([[sum(w * x) + b for w, b in rows] for x in features])
    torch.testing.assert_close(head(features), z)
    assert head.weight.abs().max() <= 32**-0.5
    assert Linear(3, 2, bias=False).bias is None


def test_cosine_sees_directions_alone():
    head = Cosine(4, 3, scale=7.0)
    features = torch.randn(5, 4)
    z = torch.tensor([[7.0 * (w @ x) / w.norm() / x.norm() for w in head.weight.detach()] for x in features])
    torch.testing.assert_close(head(features), z)
    torch.testing.assert_close(head(100 * features), z)
    assert head.scale == 7


def test_learned_scale_stays_positive():
    head = Cosine(4, 3, scale=2.0, learn_scale=True)
    assert head.scale.item() == pytest.approx(2.0)
    head.log_scale.data.fill_(-50.0)
    assert head.scale.item() == pytest.approx(math.exp(-50))
    assert [n for n, _ in Cosine(4, 3).named_parameters()] == ["weight"]


def test_annealing_is_geometric_and_depends_on_progress_alone():
    head = Cosine(4, 3, scale=54, scale_start=2)
    assert head.scale == 2
    scales = []
    for progress in (1.0, 2 / 3, 1 / 3, 0):  # backwards: what was before does not count
        head.anneal(progress)
        scales.append(head.scale.item())
    assert scales == pytest.approx([54, 18, 6, 2])
    assert list(head.state_dict()) == ["weight", "fixed_scale"]


def test_a_resumed_head_has_the_scale_it_was_saved_with():
    head, other = (Cosine(4, 3, scale=32.0, scale_start=1.0) for _ in range(2))
    head.anneal(0.4)
    other.load_state_dict(head.state_dict())
    assert other.scale == head.scale == 4


@pytest.mark.parametrize(("progress", "sentence"), [(-0.1, "from 0 to 1, got -0.1"), (1.5, "from 0 to 1, got 1.5")])
def test_progress_is_a_share(progress, sentence):
    with pytest.raises(InputError, match=sentence):
        Cosine(4, 3, scale_start=1.0).anneal(progress)
    with pytest.raises(InputError, match="made with scale_start"):
        Cosine(4, 3).anneal(0.5)


def test_the_margin_of_the_head_is_for_losses_of_the_sphere():
    head, plain = Cosine(4, 3, margin=ArcMargin(0.2)), Cosine(4, 3)
    plain.load_state_dict(head.state_dict())
    x, y = torch.randn(5, 4), torch.tensor([0, 2, 1, 1, 0])
    assert torch.equal(head(x), plain(x))
    assert torch.equal(CrossEntropy()(x, y, head), CrossEntropy()(x, y, plain))
    expected = spherical_ce(x, y, head.weight, scale=16.0, margin=ArcMargin(0.2))
    assert torch.equal(NormFace()(x, y, head), expected)
    assert expected > NormFace()(x, y, plain)
    assert "margin=ArcMargin(m=0.2)" in repr(head)


def test_two_margins_are_one_too_many():
    head = Cosine(4, 3, margin=CosMargin(0.35))
    with pytest.raises(InputError, match="got both: ArcMargin"):
        ArcFace()(torch.randn(2, 4), torch.tensor([0, 1]), head)
