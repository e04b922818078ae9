"""FeatureTap: what it takes, that it copies, that its hooks go."""

import pytest
import torch
from torch import nn

from neucollapse import InputError
from neucollapse.probe import FeatureTap, find_classifier


class Net(nn.Module):
    """Small residual network whose later in-place operations would reach a tap that does not copy."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(8, 6)
        self.relu = nn.ReLU(inplace=True)
        self.two = nn.Linear(6, 6)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        hidden = self.relu(self.one(x))
        features = hidden + self.two(hidden)
        logits = self.fc(features)
        features.mul_(0)
        return logits.mul_(2)


def hooks_of(model):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def test_values():
    model, x = Net(), torch.randn(4, 8)
    with FeatureTap(model, find_classifier(model), ["two", "one"], logits=True) as tap, torch.no_grad():
        model(x)
        got = tap.take()
    with torch.no_grad():
        before = model.one(x)
        hidden = before.relu()
        features = hidden + model.two(hidden)
        logits = model.fc(features)
    assert list(got.layers) == ["two", "one"]
    assert torch.equal(got.layers["one"], before)  # before the in-place ReLU
    assert torch.equal(got.layers["two"], model.two(hidden))
    assert torch.equal(got.features, features)  # not the zeros the model leaves behind
    assert torch.equal(got.logits, logits)  # not doubled
    assert torch.equal(got.decisions, logits.argmax(1))
    assert not got.features.requires_grad


def test_features_of_a_head_that_normalises_are_raw():
    class Cosine(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 6))

        def forward(self, features):
            return nn.functional.normalize(features) @ nn.functional.normalize(self.weight).T

    model = nn.Sequential(nn.Linear(8, 6), Cosine())
    x = torch.randn(4, 8)
    with FeatureTap(model, find_classifier(model, x)) as tap, torch.no_grad():
        model(x)
    torch.testing.assert_close(tap.take().features, model[0](x).detach())


def test_features_passed_by_keyword():
    class Head(nn.Linear):
        def forward(self, *, features):
            return super().forward(features)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = Head(4, 3)

        def forward(self, x):
            return self.head(features=x)

    model, x = Model(), torch.randn(2, 4)
    with FeatureTap(model, find_classifier(model, x)) as tap:
        model(x)
        assert torch.equal(tap.take().features, x)


def test_hooks_go_also_after_an_exception():
    model = Net()
    own = model.fc.register_forward_hook(lambda *_: None)
    before = hooks_of(model)
    with FeatureTap(model, find_classifier(model), "auto"):
        assert hooks_of(model) > before
    assert hooks_of(model) == before
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        FeatureTap(model, find_classifier(model), "auto"),
    ):
        model(torch.zeros(2, 5))
    assert hooks_of(model) == before
    own.remove()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(4, 4)
        self.unused = nn.Linear(4, 4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.shared(self.shared(x)))


def test_layers_that_cannot_be_measured():
    model = Twice()
    for name, why in (("shared", "it ran 2 times"), ("unused", "it did not run")):
        with FeatureTap(model, find_classifier(model), [name]) as tap:
            model(torch.zeros(2, 4))
            with pytest.raises(InputError, match=f"layer '{name}' cannot be measured: {why}"):
                tap.take()
    with FeatureTap(model, find_classifier(model), "auto") as tap:
        model(torch.zeros(2, 4))
        got = tap.take()
    assert got.layers == {}
    assert got.skipped == {"shared": "it ran 2 times", "unused": "it did not run"}


def test_layer_of_another_length():
    class SequenceFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Linear(4, 4)
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(self.encode(x.transpose(0, 1)).mean(0))

    model = SequenceFirst()
    with FeatureTap(model, find_classifier(model), ["encode"]) as tap:
        model(torch.zeros(2, 5, 4))
        with pytest.raises(InputError, match="it gave 5 vectors for 2 features of the classifier"):
            tap.take()


def test_classifier_that_runs_twice_or_never():
    model = Twice()
    for name, inputs in (("shared", 2), ("unused", 0)):
        with FeatureTap(model, find_classifier(model, name=name)) as tap:
            model(torch.zeros(2, 4))
            with pytest.raises(InputError, match=f"to run once .* it took {inputs} inputs"):
                tap.take()


def test_names_and_pools_that_do_not_exist():
    model = Net()
    with pytest.raises(InputError, match="no layer 'three'; expected a layer among one, two"):
        FeatureTap(model, find_classifier(model), ["one", "three"])
    with pytest.raises(InputError, match="list of names"):
        FeatureTap(model, find_classifier(model), "one")
    with pytest.raises(InputError, match="expected pool"):
        FeatureTap(model, find_classifier(model), pool="max")
