"""Heads that hold their weight in another way: found with the weight they apply, or asked about in a sentence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import linear, normalize

from neucollapse import InputError, measure
from neucollapse.probe import find_classifier

K, D = 5, 12


def with_head(head, dtype=torch.float32):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, D), nn.Tanh(), head).to(dtype).eval()


def frozen(layer, **values):
    for name, value in values.items():
        setattr(layer, name, nn.Parameter(value))
    return layer


class Transposed(nn.Module):
    """Holds (d, K), as the layers of GPT-2 and of other frameworks do."""

    def __init__(self, dim=D, classes=K, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, classes))
        self.bias = nn.Parameter(torch.randn(classes)) if bias else None

    def forward(self, h):
        return h @ self.weight + (0 if self.bias is None else self.bias)


class Adapted(nn.Module):
    """A frozen layer with a product of low rank beside it, whose ``weight`` is the frozen one."""

    def __init__(self, size=1.0):
        super().__init__()
        self.base_layer = nn.Linear(D, K)
        self.a, self.b = nn.Linear(D, 2, bias=False), nn.Linear(2, K, bias=False)
        self.b.weight.data.mul_(size)

    @property
    def weight(self):
        return self.base_layer.weight

    def forward(self, h):
        return self.base_layer(h) + 2 * self.b(self.a(h))


class Standardised(nn.Linear):
    def forward(self, h):
        return linear(h, self.weight - self.weight.mean(0), self.bias)


class Scaled(nn.Linear):
    """Stores its weight divided by a scale, as equalised learning rates do."""

    def forward(self, h):
        return linear(h, self.weight * 0.25, self.bias)


class Cosine(nn.Linear):
    def forward(self, h):
        return 9 * linear(normalize(h), normalize(self.weight))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(K, D)
        self.weight = self.table.weight

    def forward(self, h):
        return h @ self.weight.T


AFFINE = {
    "linear": lambda: nn.Linear(D, K),
    "transposed": Transposed,
    "transposed without bias": lambda: Transposed(bias=False),
    "transposed and square": lambda: Transposed(D, D),
    "square": lambda: nn.Linear(D, D),
    "adapted": Adapted,
    "adapter at its start": lambda: Adapted(0.0),
    "standardised": lambda: Standardised(D, K),
    "scaled": lambda: Scaled(D, K),
    "tied": Tied,
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(D, K)),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(D, K)),
    "orthogonal": lambda: nn.utils.parametrizations.orthogonal(nn.Linear(D, K)),
    "large bias": lambda: frozen(Scaled(D, K), bias=torch.full((K,), 100.0)),
}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(list(AFFINE)),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    size=st.sampled_from([1e-3, 1.0, 30.0]),
    named=st.booleans(),
)
def test_the_weight_is_the_one_the_head_applies(kind, dtype, size, named):
    if kind in ("orthogonal", "spectral norm") and dtype in (torch.bfloat16, torch.float16):
        return  # torch forms these in float32 and more alone
    model = with_head(AFFINE[kind](), dtype)
    x = (size * torch.randn(30, 8)).to(dtype)
    found = find_classifier(model, x, name="2" if named else None)
    assert found.name in ("2", "2.base_layer")
    assert found.is_affine
    assert found.disagreement is None
    with torch.no_grad():
        h, z = model[1](model[0](x)).double(), model(x).double()
    b = 0 if found.bias is None else found.bias.double()
    close = 40 * torch.finfo(dtype).eps
    torch.testing.assert_close(h @ found.weight.double().T + b, z, rtol=close, atol=close * float(z.abs().max()))
    assert tuple(found.weight.shape) == (found.num_classes, found.dim) == (z.shape[1], D)


def test_a_compiled_head_is_found():
    for layer in (nn.Linear(D, K), Scaled(D, K)):
        model = with_head(torch.compile(layer, backend="eager"))
        found = find_classifier(model, torch.randn(9, 8))
        assert found.name in ("2", "2._orig_mod")
        assert found.is_affine
        assert torch.allclose(found.weight.float(), layer.weight * (0.25 if isinstance(layer, Scaled) else 1))


@pytest.mark.parametrize("named", [None, "2"])
def test_a_cosine_head_is_not_affine_and_the_result_says_so(named):
    model = with_head(Cosine(D, K))
    x, y = torch.randn(20, 8), torch.arange(20) % K
    assert find_classifier(model, x, name=named).is_affine is False
    # At unit features it is W h for one W, but for no others: still not affine.
    unit = nn.Sequential(nn.Flatten(), Cosine(D, K)).eval()
    assert find_classifier(unit, normalize(torch.randn(9, D))).is_affine is False
    flags = {flag.code: flag.sentence for flag in measure(model, [(x, y)], classifier=named, progress=False).flags}
    assert "does not return W h + b" in flags["classifier_not_affine"]


def test_an_adapted_head_is_measured_with_its_adapter():
    model = with_head(Adapted())
    x, y = torch.randn(20, 8), torch.arange(20) % K
    W = model[2].base_layer.weight + 2 * model[2].b.weight @ model[2].a.weight
    with torch.no_grad():
        result = measure(model, [(x, y)], progress=False)
        torch.testing.assert_close(result.arrays["weight"], W.double(), rtol=1e-5, atol=1e-5)
    assert result.info["classifier"] == "2"


def test_an_adapter_without_a_weight_of_its_own_is_asked_about():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.base, self.p, self.q = (
                nn.Linear(D, K),
                nn.Parameter(torch.randn(2, D)),
                nn.Parameter(torch.randn(K, 2)),
            )

        def forward(self, h):
            return self.base(h) + h @ self.p.T @ self.q.T

    with pytest.raises(InputError, match=r"'2.base' .* an adapter beside a layer, .* Merge"):
        find_classifier(with_head(Beside()), torch.randn(20, 8))


class Packed(nn.Module):
    """A weight of 8-bit numbers with a scale a row, as quantised layers hold it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randint(-9, 9, (K, D), dtype=torch.int8), requires_grad=False)
        self.scale = nn.Parameter(torch.rand(K))

    def forward(self, h):
        return linear(h, self.weight.to(h.dtype) * self.scale[:, None])


def test_a_quantised_head_is_asked_about():
    with pytest.raises(InputError, match="'2' holds a quantised weight: measure the model before it is quantised"):
        find_classifier(with_head(Packed()), torch.randn(20, 8))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_head_that_torch_quantised_is_found():
    model = with_head(nn.Linear(D, K))
    packed = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    found = find_classifier(packed, torch.randn(20, 8))
    assert (found.name, found.num_classes, found.dim) == ("2", K, D)
    torch.testing.assert_close(found.weight, model[2].weight.detach(), atol=0.02, rtol=0.02)
    assert not found.is_affine  # it rounds its input too
