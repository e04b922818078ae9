"""inspect: a dry run that says what would be measured."""

import io
import json

import pytest
import rich.console
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import neucollapse as nc
from neucollapse import InputError
from neucollapse.probe import inspect


class Net(nn.Module):
    def __init__(self, K=10, d=16):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.stage = nn.Sequential(nn.Conv2d(4, d, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.unused = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.fc = nn.Linear(d, K)
        self.aux = nn.Linear(d, 2)

    def forward(self, x):
        return self.fc(self.stage(self.stem(x)).flatten(1))


@pytest.fixture
def loader():
    return DataLoader(TensorDataset(torch.randn(8, 3, 8, 8), torch.randint(10, (8,))), batch_size=4)


def test_is_the_public_name():
    assert nc.inspect is inspect


def test_from_a_loader(loader):
    seen = inspect(Net().eval(), loader, layers="auto")
    assert (seen.classifier, seen.kind, seen.num_classes, seen.dim, seen.bias) == ("fc", "Linear", 10, 16, True)
    assert (seen.regime, seen.is_affine, seen.training) == ("simplex", True, False)
    assert [(plan.name, plan.kind, plan.dim) for plan in seen.layers] == [("stage", "Sequential", 16)]
    assert seen.skipped["unused"] == "it did not run"
    assert seen.skipped["aux"] == "another head, K = 2: choose it with classifier='aux'"
    assert seen.parameters == sum(p.numel() for p in Net().parameters())
    assert seen.bytes_full == 2 * 8 * (10 * 16 + 16 * 16)
    assert seen.bytes_trace == 2 * 8 * 10 * 16
    assert seen.notes == ()


def test_from_an_example_and_a_name():
    seen = inspect(Net().eval(), example=torch.zeros(1, 3, 8, 8), classifier="fc", layers=["stem"])
    assert (seen.classifier, seen.num_classes, seen.layers[0].dim) == ("fc", 10, 4)
    with pytest.raises(InputError, match=r"'aux' .* did not run .* it decides nothing"):
        inspect(Net().eval(), example=torch.zeros(1, 3, 8, 8), classifier="aux")


def test_from_the_structure_alone():
    model = Net()
    seen = inspect(model, layers="auto")
    assert seen.classifier == "fc"
    assert seen.layers[0].dim is None
    assert "pass a loader or example=" in str(seen)
    assert seen.notes[1:] == ("the model is in train mode; it is measured in eval mode and put back",)


@pytest.mark.parametrize(
    ("K", "d", "regime"),
    [
        (2, 1, "simplex"),
        (17, 16, "simplex"),
        (18, 16, "orthoplex"),
        (32, 16, "orthoplex"),
        (33, 16, "beyond"),
        (3, 1, "beyond"),
    ],
)
def test_regimes(K, d, regime):
    seen = inspect(nn.Linear(d, K))
    assert seen.regime == regime
    assert f"regime              {regime}: " in str(seen)


def test_text_names_what_matters():
    text = str(inspect(Net(K=50_257, d=768).eval()))
    assert "K = 50,257, d = 768" in text
    assert "beyond: K > 2d" in text
    assert "299 MiB with full scatter, 294.5 MiB with traces alone" in text


def test_rich_rendering_does_not_read_names_as_markup():
    model = nn.ModuleDict({"[bold]fc": nn.Linear(4, 3)})
    out = io.StringIO()
    rich.console.Console(file=out, width=200).print(inspect(model.eval()))
    assert "[bold]fc: Linear" in out.getvalue()


def test_to_dict_is_json():
    seen = inspect(Net(), example=torch.zeros(1, 3, 8, 8), layers="auto")
    assert json.loads(json.dumps(seen.to_dict()))["layers"][0] == {
        "name": "stage",
        "kind": "Sequential",
        "dim": 16,
    }


class Cosine(nn.Linear):
    def forward(self, features):
        return nn.functional.normalize(features) @ nn.functional.normalize(self.weight).T


def test_notes():
    model = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), Cosine(4, 3)).eval()
    notes = inspect(model, example=torch.randn(2, 4), num_classes=2).notes
    assert "not affine" in notes[0]
    assert notes[1] == "the classifier has 3 outputs, of which 2 have labels"
    assert "share a batch" in notes[2]
    _, note = inspect(nn.Linear(4, 3).bfloat16().eval()).notes
    assert "floor under NC1" in note


def test_notes_of_the_loader():
    data = TensorDataset(torch.randn(8, 3, 8, 8), torch.randint(10, (8,)))
    seen = inspect(Net().eval(), DataLoader(data, batch_size=3, shuffle=True, drop_last=True))
    assert "each pass misses 2 of 8 samples" in seen.notes[0]


def test_input_errors(loader):
    with pytest.raises(InputError, match="between 2 and the classifier's 10 outputs, got 11"):
        inspect(Net(), num_classes=11)
    with pytest.raises(InputError, match="got both"):
        inspect(Net(), loader, example=torch.zeros(1, 3, 8, 8))
    with pytest.raises(InputError, match="no samples"):
        inspect(Net(), [])
    with pytest.raises(InputError, match="no layer 'nope'"):
        inspect(Net(), layers=["nope"])
