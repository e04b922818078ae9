"""The combined margin, AdaFace and kept norms, each against its formula written out in float64."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy as torch_cross_entropy
from torch.nn.functional import normalize

from neucollapse import InputError
from neucollapse.heads import Cosine, FixedHadamard, FixedSimplex, SubCentre
from neucollapse.losses import (
    AdaFace,
    ArcFace,
    CombinedFace,
    CombinedMargin,
    SphereFace,
    ada_face,
    arc_face,
    combined_face,
    cos_face,
    sphere_face,
    spherical_ce,
)

B, K, D, S = 12, 5, 4, 10.0


def samples():
    torch.manual_seed(0)
    x = torch.randn(B, D, dtype=torch.float64) * torch.linspace(0.5, 4, B, dtype=torch.float64)[:, None]
    return x, torch.randn(K, D, dtype=torch.float64), torch.arange(B) % K


def with_target(x, W, y, target, scale):
    """Torch's cross-entropy of cosines whose target is replaced by target(angle), times a scale for each sample."""
    cosines = normalize(x) @ normalize(W).mT
    own = torch.arange(len(x))
    z = cosines.clone()
    z[own, y] = target(cosines[own, y].clamp(-1, 1).acos())
    return torch_cross_entropy(scale * z, y)


@pytest.mark.parametrize("margin", [(1.0, 0.3, 0.2), (0.9, 0.4, 0.15), (1.5, 0.0, 0.0), (1.3, 0.1, 0.1)])
def test_combined_margin_is_its_formula(margin):
    x, W, y = samples()
    m1, m2, m3 = margin

    def target(angle):
        wide = m1 * angle + m2
        beyond = angle.cos() - math.cos(min(math.pi, (math.pi - m2) / m1)) - 1
        return torch.where(wide <= math.pi, wide.cos(), beyond) - m3

    expected = with_target(x, W, y, target, S)
    torch.testing.assert_close(combined_face(x, y, W, scale=S, margin=margin), expected)
    torch.testing.assert_close(CombinedFace(D, K, scale=S, margin=margin)(x, y, _head(W)), expected)
    leaves = x.requires_grad_(), W.requires_grad_()
    assert gradcheck(lambda a, b: combined_face(a, y, b, scale=S, margin=margin), leaves)


def _head(W, scale=S):
    head = Cosine(D, K, scale=scale).double()
    head.weight.data.copy_(W)
    return head


def test_the_combined_margin_holds_the_others():
    x, W, y = samples()
    torch.testing.assert_close(
        combined_face(x, y, W, scale=S, margin=(1.0, 0.0, 0.35)), cos_face(x, y, W, scale=S, margin=0.35)
    )
    torch.testing.assert_close(
        combined_face(x, y, W, scale=S, margin=(1.0, 0.5, 0.0)), arc_face(x, y, W, scale=S, margin=0.5)
    )
    near = normalize(W)[y] + 0.3 * x / x.norm(dim=1, keepdim=True)  # angles below pi / m
    torch.testing.assert_close(
        combined_face(near, y, W, scale=S, margin=(2.0, 0.0, 0.0)), sphere_face(near, y, W, scale=S, margin=2.0)
    )


@pytest.mark.parametrize("margin", [(1.0, 0.3, 0.2), (2.0, 0.4, 0.1), (0.9, 0.4, 0.15)])
def test_the_combined_target_falls_all_the_way_without_a_jump(margin):
    angles = torch.linspace(0, math.pi, 20001, dtype=torch.float64)
    target = CombinedMargin(*margin).target(angles.cos(), sin_y=angles.sin())
    steps = target.diff()
    assert steps.max() <= 1e-12
    assert steps.min() > -1e-3


@pytest.mark.parametrize("m", [(0.0, 0.3, 0.2), (1.0, -0.1, 0.0), (1.0, 0.0, 3.0), (math.nan, 0.0, 0.0)])
def test_margins_out_of_range_are_refused(m):
    with pytest.raises(InputError, match="from"):
        CombinedMargin(*m)


def ada_target(x, mean, std, m=0.4, h=0.333):
    quality = (h * (x.detach().norm(dim=1) - mean) / (std + 1e-3)).clamp(-1, 1)
    return lambda angle: (angle - m * quality).clamp(0, math.pi).cos() - (m + m * quality)


def test_ada_face_is_its_formula():
    x, W, y = samples()
    size, leaves = x.norm(dim=1), (x.requires_grad_(), W.requires_grad_())
    ours = ada_face(x, y, W, scale=S)
    theirs = with_target(x, W, y, ada_target(x, size.mean(), size.std()), S)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(*(torch.autograd.grad(value, leaves) for value in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other)
    given = ada_face(x, y, W, scale=S, norm_mean=2.0, norm_std=torch.tensor(0.7))
    torch.testing.assert_close(given, with_target(x, W, y, ada_target(x, 2.0, 0.7), S))


def test_ada_face_keeps_running_norms():
    x, W, y = samples()
    loss, head = AdaFace(scale=S, momentum=0.9).double(), _head(W)
    mean = std = None
    for step in range(4):
        batch = x * (1 + step)
        size = batch.norm(dim=1)
        first = mean is None
        mean = size.mean() if first else 0.9 * mean + 0.1 * size.mean()
        std = size.std() if first else 0.9 * std + 0.1 * size.std()
        torch.testing.assert_close(loss(batch, y, head), with_target(batch, W, y, ada_target(batch, mean, std), S))
    loss.eval()
    before = loss.norm_mean.clone()
    torch.testing.assert_close(loss(x, y, head), with_target(x, W, y, ada_target(x, mean, std), S))
    assert torch.equal(loss.norm_mean, before)
    again = AdaFace(scale=S).double().eval()
    again.load_state_dict(loss.state_dict())
    torch.testing.assert_close(again(x, y, head), loss(x, y, head))


def test_ignored_samples_do_not_move_the_norms():
    x, _, y = samples()
    loss, other = AdaFace(D, K).double(), AdaFace(D, K).double()
    bad = torch.cat([x, torch.full_like(x[:1], torch.nan)])
    loss(bad, torch.cat([y, torch.tensor([-100])]))
    other(x, y)
    assert torch.equal(loss.norm_mean, other.norm_mean)
    mean = loss.norm_mean.clone()
    loss(x, torch.full_like(y, -100))
    assert torch.equal(loss.norm_mean, mean)


@pytest.mark.parametrize("implementation", ["reference", "tiled"])
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_kept_norms_are_the_scale_of_each_sample(version, implementation):
    x, W, y = samples()

    def target(angle):
        wide = 2 * angle
        k = (wide / math.pi).floor()
        return (-1) ** k * wide.cos() - 2 * k if version == "v0" else wide.clamp(max=math.pi).cos()

    expected = with_target(x, W, y, target, x.norm(dim=1, keepdim=True))
    torch.testing.assert_close(sphere_face(x, y, W, scale="feature_norm", margin=2.0, version=version), expected)
    module = SphereFace(D, K, scale="feature_norm", margin=2.0, version=version)
    torch.testing.assert_close(module(x, y, _head(W, scale=3.0)), expected)  # the head's scale is not read
    leaves = x.requires_grad_(), W.requires_grad_()
    ours = spherical_ce(
        leaves[0], y, leaves[1], scale="feature_norm", margin=module.margin, implementation=implementation
    )
    theirs = with_target(*leaves, y, target, x.norm(dim=1, keepdim=True))
    for mine, other in zip(*(torch.autograd.grad(value, leaves) for value in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("head", [FixedSimplex(4, 5), FixedHadamard(4, 5), SubCentre(4, 5, centres=2)])
def test_kept_norms_with_heads_that_find_their_own_sums(head):
    x, _, y = samples()
    z = head.double().logits(x) / head.scale * x.norm(dim=1, keepdim=True)
    torch.testing.assert_close(SphereFace(scale="feature_norm", margin=1.0)(x, y, head), torch_cross_entropy(z, y))


def test_kept_norms_and_smoothing_are_refused_together():
    x, W, y = samples()
    with pytest.raises(InputError, match="feature_norm"):
        spherical_ce(x, y, W, scale="feature_norm", smoothing=0.1)
    with pytest.raises(InputError, match="'feature_norm', the length of each feature, got 'norm'"):
        spherical_ce(x, y, W, scale="norm")


@pytest.mark.parametrize("loss", [ArcFace, SphereFace, CombinedFace])
def test_a_feature_without_a_direction_is_at_a_right_angle(loss):
    torch.manual_seed(0)
    module = loss(3, 5, scale=64.0)
    x = torch.zeros(1, 3, requires_grad=True)
    value = module(x, torch.tensor([0]))
    psi = module.margin.target(torch.zeros(1), torch.ones(1), sin_y=torch.ones(1)).item()
    assert value.item() == pytest.approx(math.log1p(4 * math.exp(-64 * psi)), rel=1e-6)
    value.backward()
    assert not x.grad.any()
    assert not module.weight.grad.any()
