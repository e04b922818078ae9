"""Which way round a stored classifier is, which vector is its bias, and what it is composed of: told, asked, never guessed."""

import json
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from neucollapse import FileFormatError
from neucollapse.data import load_weight, open_features

K, D = 4, 6
W, B = torch.arange(24.0).reshape(K, D).sin(), torch.arange(4.0)


def load(tmp_path, tensors, name="a.safetensors", **options):
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, **{key: tensor.numpy() for key, tensor in tensors.items()})
    elif path.suffix == ".pt":
        torch.save(tensors, path)
    else:
        save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, path)
    return load_weight(path, **options)


def assert_is_the_classifier(found, bias=True):
    torch.testing.assert_close(found.weight, W)
    assert found.weight.is_contiguous()
    if bias:
        assert torch.equal(found.bias, B)
    else:
        assert found.bias is None


LAYOUTS = {
    "torch": {"fc.weight": W, "fc.bias": B},
    "wrapped": {"_orig_mod.module.fc.weight": W, "_orig_mod.module.fc.bias": B},
    "flax": {"params/head/kernel": W.T, "params/head/bias": B},
    "keras": {"logits/kernel:0": W.T, "logits/bias:0": B},
    "slim": {"logits/weights": W.T, "logits/biases": B},
    "paddle": {"fc.weight": W.T, "fc.bias": B},
    "haiku": {"linear/w": W.T, "linear/b": B},
    "numpy": {"W": W, "b": B},
    "numpy-turned": {"W": W.T, "b": B},
    "scikit-learn": {"coef_": W, "intercept_": B},
    "scikit-learn-network": {"coefs_.0": torch.zeros(9, D), "coefs_.1": W.T, "intercepts_.1": B},
    "row-bias": {"W2": W.T, "b2": B[None]},
    "column-bias": {"head_weight": W, "head_bias": B[:, None]},
    "convolution": {"classifier.1.weight": W[:, :, None, None], "classifier.1.bias": B, "conv.weight": torch.ones(9, 9, 1, 1)},
    "adapter": {
        "m.classifier.modules_to_save.default.weight": W,
        "m.classifier.modules_to_save.default.bias": B,
        "m.classifier.original_module.weight": torch.zeros(K, D),
        "m.classifier.original_module.bias": torch.zeros(K),
    },
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt"])
@pytest.mark.parametrize("case", LAYOUTS)
def test_every_librarys_layout(tmp_path, case, suffix):
    options = {"weight": "coefs_.1"} if case == "scikit-learn-network" else {}
    assert_is_the_classifier(load(tmp_path, LAYOUTS[case], f"a.{suffix}", **options))


@pytest.mark.parametrize("tensors", [{"head.kernel": W.T}, {"fc.weight": W}, {"coef_": W}])
def test_a_known_name_without_bias_tells(tmp_path, tensors):
    found = load(tmp_path, tensors)
    assert_is_the_classifier(found, bias=False)
    assert any("are the classes" in note for note in found.notes)


@pytest.mark.parametrize("name", ["W", "centers", "weights", "proxies"])
def test_an_unknown_name_without_bias_is_asked_about(tmp_path, name):
    with pytest.raises(FileFormatError, match=r"K = 6 and d = 4, or K = 4 and d = 6; say transpose=False"):
        load(tmp_path, {name: W.T})
    assert_is_the_classifier(load(tmp_path, {name: W.T}, transpose=True), bias=False)
    assert_is_the_classifier(load(tmp_path, {name: W.T, "offset": B}, bias="offset"))


@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.sampled_from(["W", "x.kernel", "x.weight", "w", "odd"]))
@settings(max_examples=60, deadline=None)
def test_a_bias_settles_it_whatever_the_name_and_a_square_needs_a_name(tmp_path_factory, k, d, turned, name):
    weight, bias = torch.randn(k, d), torch.randn(k)
    bias_name = {"W": "b", "w": "b"}.get(name, name.rpartition(".")[0] + "." * ("." in name) + "bias")
    tensors = {name: weight.T if turned else weight, bias_name: bias}
    try:
        found = load(tmp_path_factory.mktemp("w"), tensors)
    except FileFormatError:
        undecided = k == d and name in ("W", "w", "odd")
        assert undecided
    else:
        held = tensors[name]
        turned = name.endswith("kernel") if k == d else turned
        assert torch.equal(found.weight, held.T if turned else held)
        assert torch.equal(found.bias, bias)


@pytest.mark.parametrize(
    ("tensors", "options", "reason"),
    [
        ({"fc.weight": W, "fc.bias": torch.zeros(5)}, {}, r"expected \(4,\) or \(6,\)"),
        ({"fc.weight": W, "fc.bias": torch.zeros(2, 2)}, {}, r"expected \(4,\)"),
        ({"fc.weight": W, "fc.bias": torch.zeros(4, dtype=torch.int8)}, {}, "int8"),
        ({"fc.weight": W, "fc.bias": B}, {"transpose": True}, "bias 'fc.bias' has 4 entries, and K is 6"),
        ({"fc.weight": W, "b": B}, {"bias": "c"}, "no 'c' in it; it holds b"),
        ({"fc.weight": W, "wte.weight": W}, {"weight": "fc.wieght"}, "did you mean.*fc.weight"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, tensors, options, reason):
    with pytest.raises(FileFormatError, match=reason):
        load(tmp_path, tensors, **options)


def test_what_was_passed_over_is_named(tmp_path):
    tensors = {"fc.weight": W, "offset": B, "body.weight": torch.ones(D, 9), "ema.model.head.weight": W}
    notes = " | ".join(load(tmp_path, tensors).notes)
    assert "rows of fc.weight (4, 6) are the classes" in notes
    assert "no bias was found; of 4 entries are offset" in notes
    assert "passed over: ema.model.head.weight (4, 6), body.weight (6, 9)" in notes


# Weights kept in parts


def trained_a_little(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter))
    layer(torch.randn(5, D))
    return layer.eval()


PARTS = {
    "weight-norm": lambda: torch.nn.utils.parametrizations.weight_norm(nn.Linear(D, K)),
    "weight-norm-of-columns": lambda: torch.nn.utils.parametrizations.weight_norm(nn.Linear(D, K), dim=1),
    "spectral-norm": lambda: torch.nn.utils.parametrizations.spectral_norm(nn.Linear(D, K)),
    "old-spectral-norm": lambda: torch.nn.utils.spectral_norm(nn.Linear(D, K)),
    "pruned": lambda: prune.random_unstructured(nn.Linear(D, K), "weight", 0.5),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_weight_in_parts_is_composed(tmp_path, case):
    model = nn.Sequential(trained_a_little(PARTS[case]()))
    state = model.state_dict()
    found = load(tmp_path, {f"model.{name}": tensor for name, tensor in state.items()})
    with torch.no_grad():
        torch.testing.assert_close(found.weight, model[0].weight, rtol=1e-5, atol=1e-6)
    assert torch.equal(found.bias, state["0.bias"])
    assert "composed of" in found.notes[0]


def test_the_direction_is_never_taken_for_the_weight(tmp_path):
    lengths = torch.rand(K, 1) + 1
    found = load(tmp_path, {"fc.weight_g": lengths, "fc.weight_v": W, "fc.bias": B})
    torch.testing.assert_close(found.weight, lengths * W / W.norm(dim=1, keepdim=True))
    with pytest.raises(FileFormatError, match="weight_g"):
        load(tmp_path, {"fc.weight_v": W, "fc.bias": B})
    with pytest.raises(FileFormatError, match=r"only a part of fc.weight \(4, 6\)"):
        load(tmp_path, {"fc.weight_g": lengths, "fc.weight_v": W}, weight="fc.weight_v")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (
            {"fc.parametrizations.weight.original": W, "fc.parametrizations.weight.0.base": torch.eye(D)},
            "does not describe",
        ),
        ({"lm_head.qweight": torch.ones(K, D, dtype=torch.int32), "wte.weight": W}, "quantised"),
        ({"lm_head.weight": W.to(torch.int8), "lm_head.weight_scale": W[:, :1], "wte.weight": W}, "stored as int8"),
        ({"lm_head.weight": W.to(torch.float8_e4m3fn), "wte.weight": W}, "stored as"),
        ({"fc.lora_A.weight": W, "fc.lora_B.weight": W.T}, "LoRA"),
    ],
)
def test_a_head_that_cannot_be_read_is_never_replaced_by_another_matrix(tmp_path, tensors, reason):
    with pytest.raises(FileFormatError, match=reason):
        load(tmp_path, tensors)


# Names that stand twice, or are damaged


def test_a_name_that_stands_twice_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", weight=W.numpy())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a.npz", "a") as file:
        file.writestr("weight.npy", file.read("weight.npy"))
    torch.save({"a": {"weight": W}, "a.weight": B}, tmp_path / "a.pt")
    entry = b'"weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}'
    header = b"{" + entry + b"," + entry + b"}"
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for name in ("a.npz", "a.pt", "a.safetensors"):
        with pytest.raises(FileFormatError, match=r"two .* called|twice"):
            load_weight(tmp_path / name)


def test_a_tensor_in_two_shards_and_a_doubled_index_are_refused(tmp_path):
    for shard in ("a-1.safetensors", "a-2.safetensors"):
        save_file({"fc.weight": W.contiguous()}, tmp_path / shard)
    with pytest.raises(FileFormatError, match=r"'fc.weight' stands in a-1.safetensors and in a-2.safetensors"):
        load_weight(tmp_path)
    (tmp_path / "x.index.json").write_text(
        '{"weight_map": {"fc.weight": "a-1.safetensors", "fc.weight": "a-2.safetensors"}}'
    )
    with pytest.raises(FileFormatError, match="twice"):
        load_weight(tmp_path / "x.index.json")


@pytest.mark.parametrize("name", ["weight.npx", "weight", "weight.txt"])
def test_a_damaged_member_name_never_drops_the_classifier(tmp_path, name):
    np.savez(tmp_path / "a.npz", features=np.ones((6, D)), labels=np.arange(6) % K)
    np.save(tmp_path / "w.npy", W.numpy())
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file:
        file.writestr(name, (tmp_path / "w.npy").read_bytes())
    for read in (open_features, load_weight):
        with pytest.raises(FileFormatError, match=f"'{name}' is no .npy array"):
            read(tmp_path / "a.npz")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_directory_that_leaves_a_member_out_is_noticed(tmp_path, lost):
    np.savez(tmp_path / "a.npz", weight=W.numpy(), bias=B.numpy(), x=B.numpy())
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file:
        file.filelist.pop(lost)
        file.comment = b"x"  # so that the directory is written again
    with pytest.raises(FileFormatError, match="belong to none of its 2 members"):
        load_weight(tmp_path / "a.npz")


def test_damaged_bytes_of_a_torch_file_do_not_pass_its_checksums(tmp_path):
    torch.save({"fc.weight": W}, tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[content.index(W.numpy().tobytes()) + 3] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(FileFormatError, match="CRC"):
        load_weight(tmp_path / "a.pt")


def test_a_list_that_holds_itself_many_times_ends(tmp_path):
    nested: list = [W[0, 0]]
    for _ in range(7):
        nested = [nested] * 50
    torch.save({"a": nested}, tmp_path / "a.pt")
    with pytest.raises(FileFormatError, match="items"):
        load_weight(tmp_path / "a.pt")


def test_an_index_is_json(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([1]))
    with pytest.raises(FileFormatError, match="index of shards"):
        load_weight(tmp_path / "a.json")


@pytest.mark.parametrize("shape", [(), (7,), (3, 1), (1, 3), (2, 2)])
def test_lengths_of_a_weight_norm_that_fit_no_rows_and_no_columns_are_refused(shape, tmp_path):
    entries = {"fc.weight_g": torch.ones(shape), "fc.weight_v": torch.ones(4, 7)}
    with pytest.raises(FileFormatError, match=r"its lengths 'fc.weight_g' of shape .* save the weight itself"):
        load(tmp_path, entries)
