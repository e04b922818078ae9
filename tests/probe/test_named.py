"""A classifier that is named, or advised, is held against what the model returns."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, linear, normalize

from neucollapse import InputError, inspect, measure
from neucollapse._errors import ClassifierWarning
from neucollapse.probe import feature_batches, find_classifier

K, D, N = 5, 8, 40
FEW = {"preset": "papyan2020", "optimum": None, "progress": False}


def batch(seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(N) % K
    return torch.randn(K, 16, generator=draw)[labels] + 0.3 * torch.randn(N, 16, generator=draw), labels


class Net(nn.Module):
    """A body of 16 -> D numbers, heads, and what is returned of them."""

    def __init__(self, finish, **parts):
        super().__init__()
        self.body = nn.Linear(16, D)
        for name, part in parts.items():
            setattr(self, name, part)
        self.finish = finish

    def forward(self, x):
        return self.finish(self, self.body(x).relu())


def head():
    return nn.Linear(D, K)


def three_heads():
    return Net(lambda m, h: (m.head(h) + m.second(h) + m.third(h)) / 3, head=head(), second=head(), third=head())


DISAGREE = {
    "average of heads": three_heads,
    "negated": lambda: Net(lambda m, h: -m.head(h), head=head()),
    "shifted": lambda: Net(lambda m, h: m.head(h) + 10 * torch.arange(5.0), head=head()),
    "permuted": lambda: Net(lambda m, h: m.head(h).flip(-1), head=head()),
    "activation after it": lambda: Net(lambda m, h: m.head(h).relu(), head=head()),
    "bounded": lambda: Net(lambda m, h: m.head(h).tanh(), head=head()),
    "another head returned": lambda: Net(lambda m, h: (m.head(h), m.used(h))[1], head=head(), used=head()),
    "logits of another size": lambda: Net(lambda m, h: (m.head(h), m.used(h))[1], head=head(), used=nn.Linear(D, 3)),
    "no scores": lambda: Net(lambda m, h: {"loss": m.head(h).sum()}, head=head()),
    "an embedding returned": lambda: Net(lambda m, h: (m.head(h), normalize(h))[1], head=head()),
}
AGREE = {
    "plain": lambda: Net(lambda m, h: m.head(h), head=head()),
    "temperature": lambda: Net(lambda m, h: m.head(h) / 0.07, head=head()),
    "probabilities": lambda: Net(lambda m, h: m.head(h).softmax(-1), head=head()),
    "among other outputs": lambda: Net(lambda m, h: {"x": h, "logits": m.head(h)}, head=head()),
    "one of two returned": lambda: Net(lambda m, h: (m.head(h), m.other(h)), head=head(), other=head()),
    "half precision inside": lambda: Net(lambda m, h: m.head(h.bfloat16()).float(), head=head().bfloat16()),
}


@pytest.mark.parametrize("case", [*DISAGREE, *AGREE])
def test_a_named_classifier_is_compared_with_the_model(case):
    model, differs = {**DISAGREE, **AGREE}[case]().eval(), case in DISAGREE
    x, y = batch()
    found = find_classifier(model, x, name="head")
    assert (found.disagreement is not None) is differs
    result = measure(model, [(x, y)], classifier="head", **FEW)
    flags = [flag.sentence for flag in result.flags if flag.code == "classifier_differs"]
    assert len(flags) == differs
    assert not differs or "'head' was named, and its output is not the model's" in flags[0]
    seen = inspect(model, [(x, y)], classifier="head")
    assert seen.is_confirmed is not differs
    assert any("is not the model's" in note for note in seen.notes) is differs
    if differs:
        with pytest.raises(InputError, match="is not the model's"):
            measure(model, [(x, y)], classifier="head", strict=True, **FEW)
        with pytest.warns(ClassifierWarning, match="is not the model's"):
            list(feature_batches(model, [(x, y)], classifier="head"))


def test_one_of_three_averaged_heads_has_not_the_accuracy_of_the_model():
    model, (x, y) = three_heads().eval(), batch()
    result = measure(model, {"train": [(x, y)], "test": [(x, y)]}, classifier="head", optimum=None, progress=False)
    of_model = (model(x).argmax(1) == y).double().mean()
    assert result["train/accuracy/linear"] != of_model
    assert [flag.code for flag in result.flags].count("classifier_differs") == 1
    assert "classifier_differs" in {flag.code for flag in result["test"].flags}


def test_a_classifier_that_does_not_run_decides_nothing():
    model = Net(lambda m, h: m.used(h), head=head(), used=head()).eval()
    with pytest.raises(InputError, match=r"'head' .* did not run .* decides nothing"):
        measure(model, [batch()], classifier="head", **FEW)


# Advice


def parameter(*shape):
    return nn.Parameter(torch.randn(*shape))


HEADLESS = {
    "head is a product": lambda: Net(lambda m, h: h @ m.p.T, p=parameter(K, D)),
    "head is a function of unit rows": lambda: Net(lambda m, h: normalize(h) @ normalize(m.p).T, p=parameter(K, D)),
    "head is a function of its own class": lambda: Net(lambda m, h: linear(h, m.p) * 3, p=parameter(K, D)),
    "distances to prototypes": lambda: Net(lambda m, h: -torch.cdist(h, m.p), p=parameter(K, D)),
    "embedding of unit norm": lambda: Net(lambda m, h: normalize(m.embed(h)), embed=nn.Linear(D, 8)),
    "embedding behind a normalisation": lambda: Net(
        lambda m, h: m.norm(m.embed(h)), embed=nn.Linear(D, 8), norm=nn.LayerNorm(8)
    ),
    "embedding behind an activation": lambda: Net(lambda m, h: m.embed(h).relu(), embed=nn.Linear(D, 8)),
    "body alone": lambda: Net(lambda _, h: h),
    "negated": DISAGREE["negated"],
    "average of heads": three_heads,
    "nothing but a loss": lambda: Net(lambda _, h: h.sum()),
}


def advised(sentence):
    return re.findall(r'classifier="([^"]*)"', sentence)


@pytest.mark.parametrize("case", HEADLESS)
def test_no_layer_is_advised_that_is_not_the_head(case):
    for call in (measure, inspect):
        with pytest.raises(InputError) as caught:
            call(HEADLESS[case]().eval(), [batch()])
        assert advised(str(caught.value)) == []
        assert "measure((features, labels), weight=W)" in str(caught.value) or case == "nothing but a loss"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    after=st.sampled_from(["relu", "tanh", "square", "add one", "reverse", "unit", "double row"]),
    with_labels=st.booleans(),
)
def test_an_advised_layer_decides_as_the_model_does(seed, after, with_labels):
    operations = {
        "relu": torch.relu,
        "tanh": lambda z: 3 * z.tanh(),
        "square": torch.square,
        "add one": lambda z: z + 1,
        "reverse": lambda z: z.flip(-1),
        "unit": normalize,
        "double row": lambda z: z * torch.arange(1.0, K + 1),
    }
    torch.manual_seed(seed)
    model = Net(lambda m, h: operations[after](m.head(h)), head=head(), aside=nn.Linear(16, K)).eval()
    x, y = batch(seed)
    with torch.no_grad():
        z = model.head(model.body(x).relu())
        same = torch.equal(z.argmax(-1), operations[after](z).argmax(-1))
        right = (z.argmax(-1) == y).double().mean()
    with pytest.raises(InputError) as caught:
        find_classifier(model, x, labels=y if with_labels else None)
    names = advised(str(caught.value))
    assert names in ([], ["head"])
    if names:
        assert same
        assert not with_labels or right > 1 / K
    elif not with_labels and after != "unit":
        assert not same


def test_a_trained_head_behind_an_activation_is_advised_and_then_flagged():
    model, (x, y) = Net(lambda m, h: m.head(h).sigmoid(), head=head()), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(model.head(model.body(x).relu()), y).backward()
        optimizer.step()
    with pytest.raises(InputError) as caught:
        measure(model.eval(), [(x, y)], **FEW)
    assert advised(str(caught.value)) == ["head"]
    result = measure(model, [(x, y)], classifier="head", **FEW)
    assert "classifier_differs" in {flag.code for flag in result.flags}


def test_without_a_batch_a_layer_is_a_candidate():
    model = Net(lambda m, h: -m.head(h), head=head()).eval()
    for options in ({}, {"classifier": "head"}):
        seen = inspect(model, **options)
        assert not seen.is_confirmed
        assert "\ncandidate " in str(seen)
        assert "\nclassifier " not in str(seen)
        assert "no batch was run" in seen.notes[0]
        assert seen.to_dict()["is_confirmed"] is False
    right = Net(lambda m, h: m.head(h), head=head()).eval()
    assert "\nclassifier " in str(inspect(right, [batch()]))


def test_two_heads_without_a_batch_are_listed_and_none_is_advised():
    with pytest.raises(InputError, match=r"'one'.*'two'.*Give a loader") as caught:
        find_classifier(Net(lambda m, h: m.one(h) + m.two(h), one=head(), two=head()))
    assert advised(str(caught.value)) == []
