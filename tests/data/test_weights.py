"""The classifier out of weight files: the right matrix, or a sentence."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from neucollapse import FileFormatError
from neucollapse.data import load_weight

K, D = 4, 6


def state(**shapes):
    return {name.replace("__", "."): torch.randn(shape) for name, shape in shapes.items()}


def save(tensors, path):
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    else:
        torch.save(tensors, path)
    return path


@pytest.fixture(params=["a.safetensors", "a.npz", "a.pt", "a.pth"])
def path(request, tmp_path):
    return tmp_path / request.param


CHOICES = {
    "only": ({"weight": (K, D), "bias": (K,)}, "weight", "bias"),
    "only-without-bias": ({"proj__weight": (K, D)}, "proj.weight", None),
    "only-matrix": (
        {"conv__weight": (8, 3, 3, 3), "last__weight": (K, D), "last__bias": (K,)},
        "last.weight",
        "last.bias",
    ),
    "numpy-names": ({"W": (K, D), "b": (K,)}, "W", "b"),
    "resnet": (
        {"layer1__0__se__fc__weight": (9, D), "x__weight": (3, 3), "fc__weight": (K, D), "fc__bias": (K,)},
        "fc.weight",
        "fc.bias",
    ),
    "lightning": (
        {
            "state_dict__model__body__weight": (9, D),
            "state_dict__model__head__weight": (K, D),
            "optimizer_states__0__exp": (9, 9),
        },
        "state_dict.model.head.weight",
        None,
    ),
    "vgg": (
        {
            f"classifier__{i}__{kind}": (K, D) if kind == "weight" else (K,)
            for i in (0, 3, 10)
            for kind in ("weight", "bias")
        },
        "classifier.10.weight",
        "classifier.10.bias",
    ),
    "sequential": (
        {"0__weight": (9, 3), "2__weight": (D, 9), "10__weight": (K, D), "10__bias": (K,)},
        "10.weight",
        "10.bias",
    ),
    "language-model": (
        {"model__embed_tokens__weight": (K, D), "model__up__weight": (9, D), "lm_head__weight": (K, D)},
        "lm_head.weight",
        None,
    ),
    "tied": (
        {"model__embed_tokens__weight": (K, D), "model__layers__0__up__weight": (9, D), "model__norm__weight": (D,)},
        "model.embed_tokens.weight (tied embedding)",
        None,
    ),
    "tied-alone": ({"transformer__wte__weight": (K, D)}, "transformer.wte.weight (tied embedding)", None),
    "llama": (
        {"tok_embeddings__weight": (K, D), "output__weight": (K, D), "layers__0__wq__weight": (D, D)},
        "output.weight",
        None,
    ),
}


@pytest.mark.parametrize("case", CHOICES)
def test_the_classifier_is_found(path, case):
    shapes, name, bias = CHOICES[case]
    tensors = state(**shapes)
    found = load_weight(save(tensors, path))
    assert found.name == name
    assert torch.equal(found.weight, tensors[name.removesuffix(" (tied embedding)")])
    if bias is None:
        assert found.bias is None
    else:
        assert torch.equal(found.bias, tensors[bias])


def test_what_pytorch_saves(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, D), nn.ReLU(), nn.Linear(D, K))
    torch.save({"epoch": 3, "model_state_dict": model.state_dict(), "names": ["a"]}, tmp_path / "a.pt")
    weight, bias, name, _ = load_weight(tmp_path / "a.pt")
    assert name == "model_state_dict.3.weight"
    assert torch.equal(weight, model[3].weight)
    assert torch.equal(bias, model[3].bias)
    assert not weight.requires_grad


def test_names_decide_where_they_are_given(path):
    tensors = state(a__weight=(K, D), b__weight=(9, D), c=(K,), b__bias=(9,))
    save(tensors, path)
    found = load_weight(path, weight="a.weight", bias="c")
    assert torch.equal(found.weight, tensors["a.weight"])
    assert torch.equal(found.bias, tensors["c"])
    assert torch.equal(load_weight(path, weight="b.weight").bias, tensors["b.bias"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, r"not clear: name it \(--weight-key\); there are a.weight \(4, 6\), b.weight \(9, 6\)"),
        ({"weight": "d.weight"}, "no 'd.weight' in it; its matrices are a.weight"),
        ({"weight": "c"}, r"'c' is \(4,\) float32; expected"),
        ({"weight": "a.weight", "bias": "nothing"}, "no 'nothing' in it"),
        ({"weight": "a.weight", "bias": "b.bias"}, r"expected \(4,\) or \(6,\) to go with 'a.weight'"),
    ],
)
def test_what_is_not_clear_is_said(path, options, reason):
    save(state(a__weight=(K, D), b__weight=(9, D), c=(K,), b__bias=(9,)), path)
    with pytest.raises(FileFormatError, match=reason):
        load_weight(path, **options)


@pytest.mark.parametrize(
    "shapes",
    [
        {"ema__fc__weight": (K, D), "model__fc__weight": (K, D)},  # two at the same depth
        {"fc__weight": (K, D), "head__weight": (K, D)},
        {"wte__weight": (K, D), "embed_tokens__weight": (K, D)},
        {"a__0__weight": (K, D), "b__0__weight": (K, D)},  # two sequences
    ],
)
def test_two_classifiers_are_never_chosen_between(path, shapes):
    with pytest.raises(FileFormatError, match="not clear"):
        load_weight(save(state(**shapes), path))


def test_a_file_without_matrices(path):
    with pytest.raises(FileFormatError, match=r"'fc.weight' is stored as int8"):
        load_weight(save({"fc.weight": torch.zeros(K, D, dtype=torch.int8), "x": torch.zeros(3)}, path))
    with pytest.raises(FileFormatError, match="no floating-point matrix"):
        load_weight(save({"x": torch.zeros(3)}, path))


def test_a_bias_of_another_length_is_no_silent_loss(path):
    with pytest.raises(FileFormatError, match=r"bias 'fc\.bias'"):
        load_weight(save(state(fc__weight=(K, D), fc__bias=(K + 1,)), path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_kept(tmp_path, dtype):
    weight = torch.randn(K, D).to(dtype)
    for name in ("a.safetensors", "a.pt"):
        assert torch.equal(load_weight(save({"fc.weight": weight}, tmp_path / name)).weight, weight)


def test_one_array_in_npy(tmp_path):
    weight = torch.randn(K, D)
    for order in "CF":
        np.save(tmp_path / "w.npy", np.asarray(weight.numpy(), order=order))
        assert torch.equal(load_weight(tmp_path / "w.npy", transpose=False).weight, weight)
        assert torch.equal(load_weight(tmp_path / "w.npy", transpose=True).weight, weight.T)
    torch.save(weight, tmp_path / "w.pt")
    assert load_weight(tmp_path / "w.pt", transpose=False).name == "w"
    with pytest.raises(FileFormatError, match=r"not clear: K = 4 and d = 6, or K = 6 and d = 4.*--transpose True"):
        load_weight(tmp_path / "w.npy")


def test_old_files_of_torch(tmp_path):
    tensors = state(fc__weight=(K, D), fc__bias=(K,))
    torch.save(tensors, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(load_weight(tmp_path / "a.pt").weight, tensors["fc.weight"])


def test_a_sharded_checkpoint(tmp_path):
    tensors = state(model__a__weight=(9, D), lm_head__weight=(K, D))
    names = {"model.a.weight": "model-1.safetensors", "lm_head.weight": "model-2.safetensors"}
    for name, file in names.items():
        save({name: tensors[name]}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    for opened in (tmp_path, tmp_path / "model.safetensors.index.json"):
        assert torch.equal(load_weight(opened).weight, tensors["lm_head.weight"])


def test_a_whole_pickled_model_is_refused_with_advice(tmp_path):
    torch.save(nn.Linear(D, K), tmp_path / "a.pt")
    with pytest.raises(FileFormatError, match=r"torch.nn.modules.linear.Linear.*save model.state_dict\(\)"):
        load_weight(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.parquet", "a.bin", "a"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FileFormatError, match=r"\.safetensors"):
        load_weight(tmp_path / name)
