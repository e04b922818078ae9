"""The config: round trips, sentences, and that it needs no torch."""

import dataclasses
import json
import subprocess
import sys
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from neucollapse import FileFormatError, InputError
from neucollapse.heads import CosineHead, FixedHead
from neucollapse.losses import HUGLoss
from neucollapse.theory.settings import SETTINGS
from neucollapse.training import PRESETS, AdamOptimizer, ConvNetBackbone, ExpImbalance, TrainConfig
from neucollapse.training._choices import as_words, options_of, parse_choice, read_choice
from neucollapse.training._config import CHOICES

CHANGED = TrainConfig(
    dataset="fashion-mnist", backbone=ConvNetBackbone(width=8), dim=None, normalize=True,
    head=CosineHead(scale=5.0, learn_scale=True), loss=HUGLoss(uniformity="mhs", alpha=2.0), optimizer=AdamOptimizer(), lr=1e-3,
    weight_decay=0, schedule="step", epochs=3, batch_size=7, seed=5, measure_every=2, checkpoint_seconds=0, threads=1,
    accelerator="auto", imbalance=ExpImbalance(10.0),
)  # fmt: skip


@pytest.mark.parametrize("config", [TrainConfig(), CHANGED, *PRESETS.values()])
def test_round_trip(config, tmp_path):
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    config.save(tmp_path / "config.json")
    assert TrainConfig.load(tmp_path / "config.json") == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 1.0


def of(setting, name, **options):
    """A choice as JSON has it."""
    return {setting: {"name": name, **options}}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"lr": 0.0}, "lr above 0"),
        ({"lr": float("nan")}, "lr above 0"),
        (of("head", "cosine", scale=float("inf")), "scale above 0 and finite"),
        ({"epochs": 0}, "epochs of at least 1"),
        ({"threads": 0}, "threads of at least 1"),
        (of("optimizer", "sgd", momentum=1.0), "momentum in"),
        (of("optimizer", "adam", momentum=0.5), "optimizer adam has no option 'momentum'; it has none"),
        ({"weight_decay": -1e-3}, "weight_decay of at least 0"),
        ({"seed": -1}, "seed in"),
        ({"backbone": "vgg"}, "backbone among mlp, convnet, resnet18, got 'vgg'"),
        ({"head": None}, "head to be LinearHead or CosineHead"),
        ({"head": 3}, "head among linear, cosine, .*, got 3"),
        ({"head": {"scale": 3.0}}, "head among linear, cosine, .*, got None"),
        ({"epochs": "5"}, "epochs to be int, got '5'"),
        ({"epochs": 5.0}, "epochs to be int"),
        ({"epochs": True}, "epochs to be int, got True"),
        (of("backbone", "mlp", batch_norm=1), "batch_norm to be bool"),
        ({"dim": "3"}, "dim to be int or null"),
        ({"lr": False}, "lr to be float"),
        ({"learning_rate": 0.1}, "unknown setting 'learning_rate'"),
        (of("backbone", "resnet18", depth=3), "backbone resnet18 has no option 'depth'"),
        ({"schedule": "steps"}, "schedule among constant, cosine, step, got 'steps'; did you mean 'step'"),
        (of("head", "fixed", learn_scale=True), "head fixed has no option 'learn_scale'"),
        (of("head", "cosine", learn_scale=True, scale_start=2.0), "either trained or annealed"),
        (of("head", "fixed", reassign_every=0), "reassign_every of at least 1"),
        (of("head", "class-means", momentum=1.0), r"momentum in \[0, 1\)"),
        (of("loss", "arc-face", margin_warmup=1.5) | {"head": "cosine"}, r"margin_warmup in \[0, 1\]"),
        ({"loss": "arc-face"}, "arc-face expected the head cosine or .*, got linear: it trains directions alone"),
        ({"loss": "hug"}, "hug expected the head cosine or fixed .*, got linear: the rows of the head are its proxies"),
        (
            of("loss", "hug", proxy="static") | {"head": "cosine"},
            "hug expected the head class-means, got cosine: with static",
        ),
        ({"loss": "hug", "head": "class-means"}, "hug expected the head cosine .*, got class-means"),
        ({"loss": "sup-con", "head": "cosine"}, "sup-con expected the head class-means"),
        ({"loss": "dot-regression", "head": "class-means"}, "dot-regression expected the head fixed"),
        ({"head": "fixed", "head_lr": 0.1}, "expected no head_lr with head fixed and loss cross-entropy"),
        ({"imbalance": "exp"}, "imbalance exp with a ratio, got none"),
        (of("imbalance", "exp", ratio=0.5), "ratio of at least 1"),
        ({"label_noise": 1.0}, r"label_noise in \[0, 1\)"),
        ({"stop_when": "nc1"}, "expected a condition such as 'nc1/pinv>0.1', got 'nc1'"),
    ],
)
def test_values_that_make_no_run(values, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        TrainConfig.from_dict(values)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"schema": "neucollapse/config/2", **values}))
    with pytest.raises(FileFormatError, match=r"config\.json"):
        TrainConfig.load(path)


def test_a_file_of_the_first_schema_is_told_how_it_is_written_now(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"schema": "neucollapse/config/1", "head": "cosine", "scale": 5.0}')
    with pytest.raises(FileFormatError, match=r'expected schema .*/config/2.*"head": {"name": "cosine"'):
        TrainConfig.load(path)
    with pytest.raises(InputError, match="unknown setting 'scale'; it is an option of head cosine, fixed"):
        TrainConfig.from_dict({"head": "cosine", "scale": 5.0})


def test_a_choice_is_one_of_them():
    """Not a word, as in JSON: types say what there is, and what options it has."""
    with pytest.raises((InputError, TypeCheckError)):
        TrainConfig(head="cosine")


ALL = [(setting, name) for setting, kinds in CHOICES.items() for name in kinds]
VALUES = {
    bool: st.booleans(), int: st.integers(1, 9), float: st.floats(0.0, 0.99) | st.floats(1.0, 9.0),
    str: st.sampled_from(["a.st", "b=c"]),
}  # fmt: skip


@given(data=st.data())
@pytest.mark.parametrize(("setting", "name"), ALL)
def test_a_choice_comes_back_from_words_and_from_json(setting, name, data):
    """The same from Python, from JSON and from the command line."""
    kinds = CHOICES[setting]
    values = {}
    for option, annotation in get_type_hints(kinds[name]).items():
        if option in options_of(kinds[name]):
            parts = get_args(annotation) or (annotation,)
            literal = get_origin(annotation) is Literal
            values[option] = data.draw(st.sampled_from(parts) if literal else VALUES[parts[0]])
    try:
        choice = kinds[name](**values)
    except InputError:
        return
    assert read_choice(setting, kinds, json.loads(json.dumps({"name": name, **values}))) == choice
    assert parse_choice(setting, kinds, as_words(choice).replace("_", "-").split()) == choice


@pytest.mark.parametrize("dash", "-_")
def test_options_in_words(dash):
    words = ["cosine", "scale=.5", f"scale{dash}start=none", f"learn{dash}scale=True"]
    assert parse_choice("head", CHOICES["head"], words) == CosineHead(scale=0.5, learn_scale=True)
    assert parse_choice("head", CHOICES["head"], ["fixed", "code=a=b.st"]) == FixedHead(code="a=b.st")
    for wrong, sentence in (
        ([], "got ''"),
        (["mlp", "5"], "as option=value, got '5'"),
        (["mlp", "width=x"], "got 'x'"),
    ):
        with pytest.raises(InputError, match=sentence):
            parse_choice("backbone", CHOICES["backbone"], wrong)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weigth_decay": 0.1}, "unknown setting 'weigth_decay'; did you mean 'weight_decay'"),
        ({"head": "cosin"}, "got 'cosin'; did you mean 'cosine'"),
        (of("head", "cosine", scael=3.0), "head cosine has no option 'scael'; did you mean 'scale'"),
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
