"""What every head keeps to: logits, directions, state, types, features of every kind, and the ways out."""

import copy
import io
import sys

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError, MissingExtraError
from neucollapse.data import load_weight
from neucollapse.geometry import simplex
from neucollapse.heads import (
    ClassMeanFeatures,
    Cosine,
    Fixed,
    FixedHadamard,
    FixedKerdock,
    FixedSimplex,
    Head,
    Linear,
    NearestClassMean,
    SubCentre,
    save_onnx,
)
from neucollapse.losses import ArcFace, CrossEntropy

D, K = 4, 3


def class_means():
    head = ClassMeanFeatures(D, K, scale=8.0)
    head.update(torch.randn(9, D), torch.arange(9) % K)
    return head


def sub_centre():
    head = SubCentre(D, K, centres=2, scale=8.0)
    head.update(torch.randn(9, D), torch.arange(9) % K)
    return head


HEADS = {
    "linear": lambda: Linear(D, K),
    "linear without bias": lambda: Linear(D, K, bias=False),
    "cosine": lambda: Cosine(D, K),
    "cosine, learned scale": lambda: Cosine(D, K, scale=5.0, learn_scale=True),
    "cosine, annealed scale": lambda: Cosine(D, K, scale=20.0, scale_start=2.0),
    "fixed": lambda: Fixed(simplex(K), dim=D, rotation="random", permutation=[2, 0, 1]),
    "fixed, raw features": lambda: Fixed(simplex(K, D), normalize=False, learn_assignment=True),
    "class means": class_means,
    "class means, none seen": lambda: ClassMeanFeatures(D, K),
    "sub-centres": sub_centre,
    "nearest class mean": lambda: NearestClassMean(torch.randn(K, D)),
    "simplex": lambda: FixedSimplex(D, K),
    "hadamard": lambda: FixedHadamard(D, K),
    "kerdock": lambda: FixedKerdock(D, K),
}
TRAINED = ["linear", "linear without bias", "cosine", "cosine, learned scale", "cosine, annealed scale", "sub-centres"]


@pytest.fixture(params=HEADS)
def head(request) -> Head:
    return HEADS[request.param]()


def on_sphere(x):
    return nn.functional.normalize(x, dim=-1)


def test_logits_and_shapes(head):
    features = torch.randn(2, 5, D)
    logits = head(features)
    assert logits.shape == (2, 5, K)
    assert torch.equal(logits, head.logits(features))
    torch.testing.assert_close(logits[1, 3], head(features[1, 3]))
    assert head(features[:, :0]).shape == (2, 0, K)
    assert head.weight.shape == (K, D)
    assert (head.dim, head.num_classes) == (D, K)
    assert "dim=4" in repr(head)


def test_class_directions(head):
    torch.testing.assert_close(head.class_directions, on_sphere(head.weight))
    assert head.class_directions.requires_grad == head.weight.requires_grad
    assert head.half().class_directions.dtype == torch.float32


@pytest.mark.parametrize("name", HEADS)
def test_what_is_trained_gets_a_gradient(name):
    head = HEADS[name]()
    assert bool(list(head.parameters())) == (name in TRAINED)
    features = torch.randn(5, D, requires_grad=True)
    head(features).pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
    assert (features.grad.abs().sum() > 0) == (name != "class means, none seen")


def test_state_travels_by_file(head):
    features = torch.randn(5, D)
    expected, file = head(features), io.BytesIO()
    other = copy.deepcopy(head)
    torch.save(head.state_dict(), file)
    for tensor in other.state_dict().values():
        tensor.copy_(torch.ones_like(tensor))
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(features), expected)


def test_state_is_all_on_one_device_and_type(head):
    moved = head.to(device="meta", dtype=torch.float64)
    for tensor in [*moved.parameters(), *moved.buffers()]:
        assert tensor.device.type == "meta"
        assert not tensor.is_floating_point() or tensor.dtype == torch.float64


def test_float64(head):
    features = torch.randn(5, D)
    single = head(features)
    double = head.double()(features.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(head, dtype):
    if isinstance(head, Linear):  # keeps to the types of torch.nn.Linear
        assert head.to(dtype)(torch.randn(5, D).to(dtype)).dtype == dtype
        return
    features = torch.randn(5, D).to(dtype)
    logits = head(features)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, head(features.float()))
    assert head.to(dtype)(features).isfinite().all()


def test_autocast_and_backward(head):
    features = torch.randn(5, D, requires_grad=True)
    expected = head(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(features)
        loss = CrossEntropy()(features, torch.arange(5) % K, head)
    loss.backward()
    assert features.grad.isfinite().all()
    if isinstance(head, Linear):
        torch.testing.assert_close(logits.float(), expected, rtol=0.02, atol=0.05)
    else:
        assert torch.equal(logits, expected)


def test_gradients_of_bfloat16_features(head):
    """Nothing more is lost than the rounding of the gradient itself, but in the logits of ``torch.nn.Linear``."""
    x = torch.randn(5, D).bfloat16().requires_grad_()
    wide = x.detach().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(x).float()
    exact = head(wide)
    found, *of_head = torch.autograd.grad(logits.square().sum(), [x, *head.parameters()])
    expected, *expected_of_head = torch.autograd.grad(exact.square().sum(), [wide, *head.parameters()])
    loose = {"rtol": 0.02, "atol": 0.05} if isinstance(head, Linear) else {}
    torch.testing.assert_close(found.float(), expected, **(loose or {"rtol": 2**-8, "atol": 1e-6}))
    for mine, other in zip(of_head, expected_of_head, strict=True):
        torch.testing.assert_close(mine, other, **loose)


def test_derivatives(head):
    inputs = [torch.randn(3, D, dtype=torch.float64, requires_grad=True), *head.double().parameters()]
    assert gradcheck(lambda x, *_: head(x), inputs)
    assert gradgradcheck(lambda x, *_: head(x), inputs)


def test_finite_at_zero_and_at_extreme_features(head):
    features = torch.zeros(3, D)
    features[1], features[2] = 1e-30, 1e15
    features.requires_grad_()
    logits = head(features)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert features.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_finite_at_collapse(head):
    features = head.weight.detach().clone().requires_grad_()
    for loss in (CrossEntropy(), ArcFace()):
        value = loss(features, torch.arange(K), head)
        assert value.isfinite()
        assert torch.autograd.grad(value, features)[0].isfinite().all()


def test_update_is_part_of_the_contract(head):
    before = [p.detach().clone() for p in head.parameters()]
    head.update(torch.randn(6, D), torch.arange(6) % K)
    assert all(torch.equal(p, old) for p, old in zip(head.parameters(), before, strict=True))


def test_a_plain_linear_layer(head):
    linear = head.to_linear()
    assert type(linear) is nn.Linear
    assert (linear.in_features, linear.out_features) == (D, K)
    features = torch.randn(7, D)
    seen = on_sphere(features) if head.normalize else features
    if isinstance(head, SubCentre):  # the other centres are dropped
        expected = head.scale * seen @ on_sphere(head.weight).mT
    else:
        expected = head(features)
    torch.testing.assert_close(linear(seen), expected, rtol=1e-5, atol=1e-5)
    for parameter in linear.parameters():
        parameter.data.fill_(7.0)
    assert not (head.weight == 7).any()  # a copy


def test_a_linear_layer_has_the_type_of_the_head(head):
    assert head.double().to_linear().weight.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_onnx_gives_the_same_logits(head, dtype, tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra 'heads'")
    from onnx.reference import ReferenceEvaluator

    save_onnx(head.to(dtype), tmp_path / "head.onnx")
    onnx.checker.check_model(str(tmp_path / "head.onnx"), full_check=True)
    features = torch.randn(6, D, dtype=dtype)
    features[0], features[1], features[2] = 0, 1e-25 * features[1], 1e15 * features[2]
    (logits,) = ReferenceEvaluator(str(tmp_path / "head.onnx")).run(None, {"features": features.numpy()})
    assert logits.dtype == features.numpy().dtype
    torch.testing.assert_close(torch.from_numpy(logits), head(features).detach(), rtol=1e-5, atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["head.onnx"]


def test_onnx_is_read_back(head, tmp_path):
    pytest.importorskip("onnx", reason="needs the extra 'heads'")
    save_onnx(head, tmp_path / "head.onnx")
    found = load_weight(tmp_path / "head.onnx")
    rows, bias = head.linear_map()
    torch.testing.assert_close(torch.as_tensor(found.weight).float(), rows.detach())
    assert (found.bias is None) == (bias is None)
    if bias is not None:
        torch.testing.assert_close(torch.as_tensor(found.bias).float(), bias.detach())


def test_onnx_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"neucollapse\[heads\]"):
        save_onnx(Linear(D, K), tmp_path / "head.onnx")


def test_onnx_says_what_is_too_large(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="needs the extra 'heads'")
    monkeypatch.setattr("neucollapse.heads._export._LARGEST", 10)
    with pytest.raises(InputError, match="got 48 bytes"):
        save_onnx(Linear(D, K), tmp_path / "head.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Linear(0, 3), "dim=0"),
        (lambda: Cosine(4, 0), "num_classes=0"),
        (lambda: Cosine(4, 3, scale=0.0), "got 0"),
        (lambda: Cosine(4, 3, scale_start=-1.0), "scale_start above 0"),
        (lambda: Cosine(4, 3, learn_scale=True, scale_start=1.0), "learned or annealed"),
        (lambda: Fixed(simplex(3), scale=float("inf")), "got inf"),
        (lambda: ClassMeanFeatures(4, 3, scale=0.0), "got 0"),
        (lambda: SubCentre(4, 3, centres=0), "1 centre"),
        (lambda: SubCentre(4, 3, scale=-2.0), "got -2"),
    ],
)
def test_errors_are_sentences(make, sentence):
    with pytest.raises(InputError, match=f"expected.*{sentence}"):
        make()
