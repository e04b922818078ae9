"""The config: round trips, sentences, and that it needs no torch."""

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from neucollapse import FileFormatError, InputError
from neucollapse.theory.settings import SETTINGS
from neucollapse.training import PRESETS, TrainConfig

CHANGED = TrainConfig(
    dataset="fashion-mnist", backbone="convnet", width=8, dim=None, normalize=True, head="cosine", scale=5, learn_scale=True,
    optimizer="adam", lr=1e-3, momentum=0, weight_decay=0, schedule="step", epochs=3, batch_size=7, seed=5, measure_every=2,
    checkpoint_seconds=0, threads=1, accelerator="auto", bias=False,
)  # fmt: skip


@pytest.mark.parametrize("config", [TrainConfig(), CHANGED, *PRESETS.values()])
def test_round_trip(config, tmp_path):
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    config.save(tmp_path / "config.json")
    assert TrainConfig.load(tmp_path / "config.json") == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 1.0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"lr": 0.0}, "lr above 0"),
        ({"lr": float("nan")}, "lr above 0"),
        ({"scale": float("inf")}, "scale above 0 and finite"),
        ({"epochs": 0}, "epochs of at least 1"),
        ({"threads": 0}, "threads of at least 1"),
        ({"momentum": 1.0}, "momentum in"),
        ({"weight_decay": -1e-3}, "weight_decay of at least 0"),
        ({"seed": -1}, "seed in"),
        ({"backbone": "vgg"}, "among mlp, convnet, resnet18, got 'vgg'"),
        ({"head": None}, "head among"),
        ({"epochs": "5"}, "epochs to be int, got '5'"),
        ({"epochs": 5.0}, "epochs to be int"),
        ({"epochs": True}, "epochs to be int, got True"),
        ({"bias": 1}, "bias to be bool"),
        ({"dim": "3"}, "dim to be int or null"),
        ({"lr": False}, "lr to be float"),
        ({"learning_rate": 0.1}, "unknown setting 'learning_rate'"),
        ({"backbone": "resnet18", "depth": 3}, "settings of the mlp"),
        ({"backbone": "convnet", "batch_norm": False}, "settings of the mlp"),
        ({"uniformity": "mhd"}, "uniformity among mhe, mhs, mgd, got 'mhd'"),
        ({"head": "fixed", "learn_scale": True}, "learn_scale is a setting of head cosine; .* head fixed, got True"),
        ({"head": "cosine", "learn_scale": True, "scale_start": 2.0}, "either trained or annealed"),
        ({"scale_start": 2.0}, "scale_start is a setting of head cosine"),
        ({"head": "cosine", "code": "code.safetensors"}, "code is a setting of head fixed"),
        ({"head": "fixed-simplex", "reassign_every": 1}, "reassign_every is a setting of head fixed"),
        ({"head": "fixed", "reassign_every": 0}, "reassign_every of at least 1"),
        ({"mean_momentum": 0.5}, "mean_momentum is a setting of head class-means"),
        ({"head": "class-means", "mean_momentum": 1.0}, r"mean_momentum in \[0, 1\)"),
        ({"centres": 3}, "centres is a setting of head sub-centre"),
        ({"margin": 0.0}, "margin is a setting of loss cos-face or .* ada-face; .*cross-entropy, got 0.0"),
        ({"margin_warmup": 0.1}, "margin_warmup is a setting of loss cos-face"),
        ({"head": "cosine", "loss": "arc-face", "margin_warmup": 1.5}, r"margin_warmup in \[0, 1\]"),
        ({"smoothing": 0.1}, "smoothing is a setting of loss label-smoothing"),
        ({"loss": "hug", "head": "cosine", "gamma": 2.0}, "gamma is a setting of loss focal"),
        ({"loss": "arc-face"}, "arc-face expected the head cosine or .*, got linear: it trains directions alone"),
        ({"loss": "hug"}, "hug expected the head cosine or fixed .*, got linear: the rows of the head are its proxies"),
        (
            {"loss": "hug", "head": "cosine", "proxy": "static"},
            "hug expected the head class-means, got cosine: with static",
        ),
        ({"loss": "hug", "head": "class-means"}, "hug expected the head cosine .*, got class-means"),
        ({"loss": "sup-con", "head": "cosine"}, "sup-con expected the head class-means"),
        ({"loss": "dot-regression", "head": "class-means"}, "dot-regression expected the head fixed"),
        ({"head": "fixed", "head_lr": 0.1}, "expected no head_lr with head fixed and loss cross-entropy"),
        ({"imbalance": "exp"}, "an imbalance_ratio for imbalance exp"),
        ({"imbalance_ratio": 10.0}, "imbalance_ratio is a setting of imbalance exp or step"),
        ({"imbalance": "exp", "imbalance_ratio": 0.5}, "imbalance_ratio of at least 1"),
        ({"label_noise": 1.0}, r"label_noise in \[0, 1\)"),
        ({"stop_when": "nc1"}, "expected a condition such as 'nc1/pinv>0.1', got 'nc1'"),
    ],
)
def test_values_that_make_no_run(values, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        TrainConfig.from_dict(values)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"schema": "neucollapse/config/1", **values}))
    with pytest.raises(FileFormatError, match=r"config\.json"):
        TrainConfig.load(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weigth_decay": 0.1}, "unknown setting 'weigth_decay'; did you mean 'weight_decay'"),
        ({"head": "cosin"}, "got 'cosin'; did you mean 'cosine'"),
        ({"loss": "arcface"}, "got 'arcface'; did you mean 'arc-face'"),
        ({"backbone": "resnet"}, "got 'resnet'; did you mean 'resnet18'"),
        ({"epochs": 10**400}, r"epochs below 2\^63, got an integer of 1329 bits"),
    ],
)
def test_what_was_likely_meant(values, words):
    with pytest.raises(InputError, match=words):
        TrainConfig.from_dict(values)


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**300), 10**300) | st.floats() | st.text(max_size=8)
)
TREES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=4), part, max_size=2)
)
KINDS = [TrainConfig, *SETTINGS.values()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_tree_of_settings_is_taken_or_one_sentence(kind, data):
    """Whatever a JSON file holds: settings that come back the same, or an InputError; in training and in every model."""
    names = st.sampled_from([field.name for field in dataclasses.fields(kind)]) | st.text(max_size=6)
    values = data.draw(st.dictionaries(names, TREES, max_size=3))
    try:
        taken = kind.from_dict(values)
    except (
        InputError,
        TypeCheckError,
    ):  # the latter where shapes are executed, before the settings check their types themselves
        return
    assert kind.from_dict(json.loads(json.dumps(taken.to_dict()))) == taken


def test_importing_it_does_not_import_torch():
    """``--help`` is fast only as long as this holds."""
    code = "import sys; from neucollapse.training import PRESETS, TrainConfig; TrainConfig(); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
