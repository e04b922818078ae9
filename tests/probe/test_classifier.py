"""find_classifier: by running the model, by its structure, and what it says where it cannot tell."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, normalize

from neucollapse import InputError
from neucollapse.probe import find_classifier

K, D = 5, 12


class Net(nn.Module):
    """A body of 8 -> D numbers and whatever head a test adds."""

    def __init__(self, finish, **heads):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, D), nn.ReLU())
        for name, head in heads.items():
            setattr(self, name, head)
        self.finish = finish

    def forward(self, x):
        return self.finish(self, self.body(x))


class CosineHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(K, D))

    def forward(self, h):
        return 4 * normalize(h, dim=-1) @ normalize(self.weight, dim=-1).T


class CosineLinear(nn.Linear):
    def forward(self, features):
        return linear(normalize(features, dim=-1), normalize(self.weight, dim=-1))


def head():
    return nn.Linear(D, K)


def mlp_head():
    return nn.Sequential(nn.Linear(D, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, K))


def x(*shape):
    return torch.randn(*(shape or (6, 8)))


class ConvHead(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.stem = nn.Conv2d(3, D, 3)
        self.pool = nn.AdaptiveAvgPool2d(1) if pool else nn.Identity()
        self.predict = nn.Conv2d(D, K, 1)
        self.flattens = pool

    def forward(self, image):
        scores = self.predict(self.pool(self.stem(image).relu()))
        return scores.flatten(1) if self.flattens else scores


class TokenModel(nn.Module):
    """A tiny language model whose head shares its weight with the embedding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(K, D)
        self.block = nn.TransformerEncoderLayer(D, 2, 24, batch_first=True)
        self.lm_head = nn.Linear(D, K, bias=False)
        self.lm_head.weight = self.embed.weight

    def get_output_embeddings(self):
        return self.lm_head

    def forward(self, input_ids):
        return SimpleNamespace(logits=self.lm_head(self.block(self.embed(input_ids))), loss=None)


RUN = {
    "plain": (lambda: Net(lambda m, h: m.fc(h), fc=head()), "fc"),
    "odd name": (lambda: Net(lambda m, h: m.zeta(h), zeta=head()), "zeta"),
    "head registered before its body": (
        lambda: Net(lambda m, h: m.fc(m.late(h)), fc=head(), late=nn.Linear(D, D)),
        "fc",
    ),
    "mlp head": (lambda: Net(lambda m, h: m.classifier(h), classifier=mlp_head()), "classifier.3"),
    "dict": (lambda: Net(lambda m, h: {"loss": None, "logits": m.fc(h)}, fc=head()), "fc"),
    "object": (lambda: Net(lambda m, h: SimpleNamespace(logits=m.fc(h)), fc=head()), "fc"),
    "tuple": (lambda: Net(lambda m, h: (m.fc(h), h), fc=head()), "fc"),
    "tuple with a linear embedding": (
        lambda: Net(lambda m, h: (m.fc(e := m.embed(h)), e), embed=nn.Linear(D, D), fc=head()),
        "fc",
    ),
    "log-softmax": (lambda: Net(lambda m, h: m.fc(h).log_softmax(-1), fc=head()), "fc"),
    "softmax": (lambda: Net(lambda m, h: m.fc(h).softmax(-1), fc=head()), "fc"),
    "temperature": (lambda: Net(lambda m, h: m.fc(h) / 0.07, fc=head()), "fc"),
    "scaled in place": (lambda: Net(lambda m, h: m.fc(h).mul_(3.0), fc=head()), "fc"),
    "cosine head": (lambda: Net(lambda m, h: m.cos(h), cos=CosineHead()), "cos"),
    "unused second head": (lambda: Net(lambda m, h: m.a(h), a=head(), b=head()), "a"),
    "auxiliary head that runs": (lambda: Net(lambda m, h: (m.b(h), m.a(h))[1], a=head(), b=head()), "a"),
    "data parallel": (lambda: nn.DataParallel(Net(lambda m, h: m.fc(h), fc=head())), "fc"),
    "the model itself": (lambda: nn.Linear(8, K), ""),
}


@pytest.mark.parametrize("case", RUN)
def test_is_the_layer_whose_output_the_model_returns(case):
    build, name = RUN[case]
    model = build()
    found = find_classifier(model, x())
    assert found.name == name
    module = getattr(model, "module", model).get_submodule(name)
    assert found.module is module
    assert (found.num_classes, found.dim) == tuple(found.weight.shape) == tuple(module.weight.shape)
    assert torch.equal(found.weight, module.weight)
    assert not found.weight.requires_grad


def test_half_precision_logits_returned_as_float32():
    model = Net(lambda m, h: m.fc(h).float(), fc=head()).bfloat16()
    assert find_classifier(model, x().bfloat16()).name == "fc"


@pytest.mark.parametrize("pool", [True, False])
def test_pointwise_convolution(pool):
    model = ConvHead(pool)
    found = find_classifier(model, x(2, 3, 6, 6))
    assert found.name == "predict"
    assert torch.equal(found.weight, model.predict.weight.flatten(1))
    assert torch.equal(found.bias, model.predict.bias)


def test_language_model_with_tied_embedding():
    tokens = torch.randint(K, (2, 7))
    model = TokenModel()
    for example in (tokens, {"input_ids": tokens}, None):
        found = find_classifier(model, example)
        assert (found.name, found.num_classes, found.dim, found.bias) == ("lm_head", K, D, None)


def test_looks_through_torch_compile_and_distributed_wrappers(tmp_path):
    inner = Net(lambda m, h: m.fc(h), fc=head())
    assert find_classifier(torch.compile(inner, backend="eager"), x()).module is inner.fc
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert find_classifier(nn.parallel.DistributedDataParallel(inner), x()).module is inner.fc
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["fc", "module.fc", "_orig_mod.fc"])
def test_by_name(name):
    model = Net(lambda m, h: m.fc(h), fc=head())
    assert find_classifier(model, name=name).module is model.fc
    assert find_classifier(model, name=model.fc).name == "fc"


def test_whether_the_head_is_affine():
    for module, affine in ((head(), True), (CosineHead(), False), (CosineLinear(D, K), False)):
        model = Net(lambda m, h: m.fc(h), fc=module)
        assert find_classifier(model, x()).is_affine is affine
        assert find_classifier(model, x(), name="fc").is_affine is affine
        assert find_classifier(model).is_affine is (True if affine else None)


class Offered(nn.Module):
    """A head of unknown type that is W h + b after all."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(K, D) * 30)
        self.bias = nn.Parameter(torch.randn(K))

    def forward(self, h):
        return h @ self.weight.T + self.bias


def test_unknown_type_of_head_that_is_affine():
    model = Net(lambda m, h: m.fc(h), fc=Offered())
    assert find_classifier(model, 100 * x()).is_affine is True


def test_reparametrised_weights_are_the_effective_ones():
    new = nn.utils.parametrizations.weight_norm(head())
    spectral = nn.utils.parametrizations.spectral_norm(head())
    for module in (new, spectral):
        model = Net(lambda m, h: m.fc(h), fc=module).eval()
        found = find_classifier(model, x())
        assert found.is_affine
        assert torch.equal(found.weight, module.weight)


def test_old_weight_norm_is_not_stale():
    with pytest.warns(FutureWarning, match="weight_norm"):
        module = nn.utils.weight_norm(head())
    model = Net(lambda m, h: m.fc(h), fc=module)
    with torch.no_grad():
        module.weight_g.mul_(2)  # an optimiser step: ``weight`` follows only in the next forward pass
    stale = module.weight.detach().clone()
    torch.testing.assert_close(find_classifier(model).weight, 2 * stale)
    torch.testing.assert_close(find_classifier(model, name="fc").weight, 2 * stale)


def test_reading_a_spectrally_normed_weight_changes_no_buffer():
    model = Net(lambda m, h: m.fc(h), fc=nn.utils.parametrizations.spectral_norm(head())).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    find_classifier(model)
    find_classifier(model, x())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


AMBIGUOUS = {
    "two heads in a tuple": (lambda: Net(lambda m, h: (m.a(h), m.b(h)), a=head(), b=head()), ["several", "'a'", "'b'"]),
    "two heads in a dict": (
        lambda: Net(lambda m, h: {"one": m.a(h), "two": m.b(h)}, a=head(), b=nn.Linear(D, 3)),
        ["several", "'a' (Linear, K=5", "'b' (Linear, K=3"],
    ),
    "mean of two heads": (
        lambda: Net(lambda m, h: (m.a(h) + m.b(h)) / 2, a=head(), b=head()),
        ["no layer", "'a'", "'b'"],
    ),
    "activation after the head": (lambda: Net(lambda m, h: m.fc(h).relu(), fc=head()), ["no layer", "'fc'"]),
    "negated logits": (lambda: Net(lambda m, h: -m.fc(h), fc=head()), ["no layer", "'fc'"]),
    "shifted logits": (lambda: Net(lambda m, h: m.fc(h) + torch.arange(5.0), fc=head()), ["no layer", "'fc'"]),
    "functional product": (
        lambda: Net(lambda m, h: h @ m.p.T, p=nn.Parameter(torch.randn(K, D))),
        ["gives as many numbers a row: the head is a function", "nn.Linear that shares the weight"],
    ),
    "nothing linear": (lambda: nn.Flatten(), ["no layer", "Form the logits in an nn.Linear"]),
    "not a number": (lambda: Net(lambda m, h: m.fc(h) * float("nan"), fc=head()), ["no layer", "NaN or infinity"]),
    "one output": (lambda: Net(lambda m, h: m.fc(h), fc=nn.Linear(D, 1)), ["at least 2 classes", "sigmoid"]),
    "no tensor": (lambda: Net(lambda *_: "done", fc=head()), ["no layer", "returned str"]),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_says_what_it_found_where_it_cannot_tell(case):
    build, words = AMBIGUOUS[case]
    with pytest.raises(InputError) as caught:
        find_classifier(build(), x())
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("case", ["two heads in a tuple", "mean of two heads", "activation after the head"])
def test_a_name_settles_it(case):
    model = AMBIGUOUS[case][0]()
    name = "fc" if hasattr(model, "fc") else "b"
    assert find_classifier(model, x(), name=name).name == name


class Stack(nn.Module):
    """Modules under names, never run."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


class Timm(Stack):
    """The attributes a timm model has."""

    def get_classifier(self):
        return self.top


STRUCTURE = {
    "common name": (lambda: Stack(body=nn.Linear(8, D), fc=head(), projector=nn.Linear(D, 7)), "fc"),
    "common name that is hidden": (lambda: Stack(fc=nn.Linear(8, D), result=head()), "result"),
    "wrapped": (lambda: Stack(model=Stack(conv=nn.Conv2d(3, D, 3), fc=head())), "model.fc"),
    "last linear": (lambda: Stack(one=nn.Linear(8, D), two=nn.Linear(D, D), three=head()), "three"),
    "mlp head": (lambda: Stack(features=nn.Conv2d(3, D, 3), classifier=mlp_head()), "classifier.3"),
    "sequential": (lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), "2"),
    "declared": (lambda: Timm(top=head(), fc=nn.Linear(D, 9)), "top"),
    "attention and its projections": (
        lambda: Stack(blocks=nn.ModuleList([nn.TransformerEncoderLayer(D, 2, 24)]), norm=nn.LayerNorm(D), head=head()),
        "head",
    ),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_by_structure(case):
    build, name = STRUCTURE[case]
    assert find_classifier(build()).name == name


STRUCTURE_ERRORS = {
    "two heads": (lambda: Stack(body=nn.Linear(8, D), head_a=head(), head_b=nn.Linear(D, 3)), ["'head_a'", "'head_b'"]),
    "two common names": (lambda: Stack(body=nn.Linear(8, D), fc=head(), head=head()), ["'fc'", "'head'"]),
    "heads in a dict": (
        lambda: Stack(b=nn.Linear(8, D), heads=nn.ModuleDict({"u": head(), "v": head()})),
        ["'heads.u'"],
    ),
    "headless": (lambda: Timm(body=nn.Linear(8, D), top=nn.Identity()), ["declares no classifier", "Identity"]),
    "nothing": (lambda: Stack(conv=nn.Conv2d(3, 3, 3)), ["no layer with a weight of shape (K, d)"]),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), ["without a shape yet", "run one batch"]),
}


@pytest.mark.parametrize("case", STRUCTURE_ERRORS)
def test_structure_that_does_not_tell(case):
    build, words = STRUCTURE_ERRORS[case]
    with pytest.raises(InputError) as caught:
        find_classifier(build())
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_names_that_are_no_classifier():
    model = Net(lambda m, h: m.fc(h), fc=head(), norm=nn.LayerNorm(D))
    with pytest.raises(InputError, match=r"no layer 'head'; expected a linear layer among body.0, fc"):
        find_classifier(model, name="head")
    with pytest.raises(InputError, match=r"LayerNorm has none"):
        find_classifier(model, name="norm")
    with pytest.raises(InputError, match=r"no layer the given Linear"):
        find_classifier(model, name=head())


def test_own_forward():
    model = Net(lambda m, h: m.fc(h), fc=head())
    found = find_classifier(model, {"image": x()}, forward=lambda model, inputs: model(inputs["image"]))
    assert found.name == "fc"


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_models_are_refused():
    model = torch.jit.script(nn.Sequential(nn.Linear(8, K)))
    with pytest.raises(InputError, match="give the model before scripting"):
        find_classifier(model)
