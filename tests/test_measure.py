"""``measure``, the main job, on real models and files. Promises P1, P2, P5, P6, P8 from end to end."""

import copy
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from neucollapse import ClassStatistics, InputError, NonFiniteError, measure
from neucollapse._errors import TrainModeWarning
from neucollapse.data import load_digits
from neucollapse.geometry import best_known, one_vs_rest, simplex
from neucollapse.metrics import PRESETS, REGISTRY, Decisions, collapse_metrics


def blobs(K, d, n, spread, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(K, d, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(K).repeat(n)
    return centres[labels] + spread * torch.randn(K * n, d, generator=generator), labels


def mlp(inputs, dim, K):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, dim))
    return nn.Sequential(body, nn.Linear(dim, K))


def loader(features, labels, size=32):
    return DataLoader(TensorDataset(features, labels), batch_size=size)


def codes(result):
    return {flag.code for flag in result.flags}


@pytest.fixture(scope="module")
def problem():
    """A model of four classes with features in six dimensions, and its train and test loaders."""
    splits = {"train": blobs(4, 10, 40, 0.5), "test": blobs(4, 10, 10, 0.5, seed=1)}
    return mlp(10, 6, 4).eval(), {name: loader(*split) for name, split in splits.items()}


def by_hand(model, loaders):
    """The statistics and decisions of each split, from a plain loop over the body of the model."""
    body, head = model[0], model[1]
    found = {}
    for name, batches in loaders.items():
        plain, unit = (ClassStatistics(4, 6, normalize=normalize) for normalize in (False, True))
        with torch.no_grad():
            parts = [(body(inputs), head(body(inputs)), labels) for inputs, labels in batches]
        for H, _, y in parts:
            plain.update(H, y)
            unit.update(H, y)
        found[name] = plain, unit, parts
    reference = found["train"][0]
    results = {}
    for name, (plain, unit, parts) in found.items():
        decisions = Decisions(reference, head.weight, head.bias)
        for H, Z, y in parts:
            decisions.update(H, y, Z)
        results[name] = collapse_metrics(plain, head.weight, head.bias, unit, decisions=decisions, reference=reference)
    return results


def test_a_model_and_its_loaders_give_what_a_loop_by_hand_gives(problem):
    model, loaders = problem
    result, expected = measure(model, loaders, progress=False), by_hand(model, loaders)
    assert result.splits == ("train", "test")
    for split in ("train", "test"):
        assert dict(result[split]) == pytest.approx(dict(expected[split]), rel=1e-9, abs=1e-13)
        assert result[split].absent == expected[split].absent
        assert result[split].optima == pytest.approx(expected[split].optima, rel=1e-9)
        assert {key for key in result[split].arrays if "margin" in key} >= {"margin_edges", "margin_counts"}
    assert {key.split("/")[0] for key in result} == {"train", "test"}
    assert result["train/nc4/mismatch"] == result["train"]["nc4/mismatch"]
    assert set(result["train"].numbers) | set(result["train"].absent) == set(REGISTRY)


def test_test_samples_are_held_against_the_training_means(problem):
    model, loaders = problem
    result = measure(model, loaders, progress=False)
    with torch.no_grad():
        (H, y), (X, t) = (
            (model[0](x).double(), labels) for x, labels in (split.dataset.tensors for split in loaders.values())
        )
    means = torch.stack([H[y == c].mean(0) for c in range(4)])
    between = (means - means.mean(0)).square().sum(1).mean()
    distances = (X[:, None] - means).square().sum(2)
    assert result["test/accuracy/ncc"] == (distances.argmin(1) == t).double().mean()
    strong = distances.gather(1, t[:, None]).mean() / between
    assert result["test/test_collapse/strong"] == pytest.approx(float(strong), rel=1e-6)
    assert result["test/test_collapse/weak"] == pytest.approx(float(distances.amin(1).mean() / between), rel=1e-6)
    assert result["train/test_collapse/strong"] == pytest.approx(result["train/nc1/trace_ratio"], rel=1e-6)
    # Alone, the test split is held against its own means.
    alone = measure(model, loaders["test"], progress=False)
    assert alone.splits == ()
    assert alone["test_collapse/strong"] == pytest.approx(alone["nc1/trace_ratio"], rel=1e-6)
    assert alone["test_collapse/strong"] != pytest.approx(float(strong), rel=1e-3)


def test_the_classifier_is_the_same_in_every_split(problem):
    result = measure(*problem, progress=False)
    for key in result["train"]:
        if key.endswith("@weight"):
            assert result[f"train/{key}"] == result[f"test/{key}"], key


def test_the_model_is_left_as_it_was(problem):
    model, loaders = copy.deepcopy(problem[0]).train(), problem[1]
    model[1].weight.requires_grad_(requires_grad=False)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with pytest.warns(TrainModeWarning):
        measure(model, loaders, layers="auto", progress=False)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [True] * 4 + [False, True]
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_inner_layers_have_keys_of_their_own(problem):
    model, loaders = problem
    result = measure(model, loaders, layers=["0.1"], progress=False)
    with torch.no_grad():
        x, y = loaders["train"].dataset.tensors
        inner = measure((model[0][:2](x), y), progress=False)
    for key in ("nc1/pinv", "nc2/etf_distance", "gnc2/margin", "accuracy/ncc", "rank/stable"):
        assert result[f"train/{key}@layer:0.1"] == pytest.approx(inner[key], rel=1e-6), key
    assert not any("@weight@layer" in key or "nc3/cosine@layer" in key for key in (*result, *result.absent))
    outer = measure(model, loaders, progress=False)
    assert {key: value for key, value in result.items() if "@layer" not in key} == dict(outer)
    assert "train/nc1/pinv@layer:0.3" in measure(model, loaders, layers="auto", progress=False)


def test_data_outside_all_classes(problem):
    model, loaders = problem
    outside = torch.randn(50, 10) + 2
    result = measure(model, loaders, ood=loader(outside, torch.full((50,), -1)), progress=False)
    with torch.no_grad():
        mean = model[0](outside).double().mean(0)
        x, y = loaders["train"].dataset.tensors
        H = model[0](x).double()
    means = torch.stack([H[y == c].mean(0) for c in range(4)])
    cosines = nn.functional.cosine_similarity(means, mean[None])
    assert result["train/nc5/cosine"] == pytest.approx(float(cosines.abs().mean()), rel=1e-5)
    assert "ood=" in measure(model, loaders, progress=False).absent["train/nc5/cosine"]


def test_what_the_report_needs_is_there(problem):
    result = measure(*problem, class_names=["a", "b", "c", "d"], progress=False)
    info = result.info
    assert (info["num_classes"], info["dim"], info["classifier"], info["class_names"][3]) == (4, 6, "1", "d")
    assert info["environment"]["packages"]["torch"]
    assert {"neucollapse", "papyan2020"} <= set(info["citations"])
    arrays = result.arrays
    assert arrays["weight"].shape == arrays["target"].shape == arrays["train/class_means"].shape == (4, 6)
    assert arrays["test/margin_counts"].sum() == 40
    torch.testing.assert_close(arrays["target"] @ arrays["target"].T, simplex(4) @ simplex(4).T)
    # The target is turned onto the means: no farther than the code as it comes.
    means = arrays["train/normalized_means"]
    assert (arrays["target"] * means).sum() >= (simplex(4, 6) * means).sum()
    assert "train/features_sample" not in arrays  # six dimensions cannot be drawn
    plane = measure(blobs(5, 2, 20, 0.1), progress=False)
    assert plane.arrays["features_sample"].shape == (100, 2)
    assert plane.arrays["labels_sample"].bincount().tolist() == [20] * 5


def test_a_preset(problem):
    result = measure(*problem, preset="papyan2020", progress=False)
    assert set(result["test"]) == set(PRESETS["papyan2020"])


def test_flags_of_each_split_say_where(problem):
    model, loaders = problem
    x, y = loaders["test"].dataset.tensors
    short = loader(x[y != 2], y[y != 2])
    result = measure(model, {"train": loaders["train"], "test": short}, progress=False)
    (flag,) = [flag for flag in result.flags if flag.code == "missing_classes"]
    assert flag.where == "test"
    assert "missing_classes" not in codes(result["train"])
    # All training means decide, also that of the class which test does not have.
    assert result["test/accuracy/ncc"] <= 1
    assert result["test"].arrays["class_means"][2].isnan().all()


def test_an_iterator_is_read_once_and_says_so(problem):
    model, loaders = problem
    result = measure(model, iter(loaders["train"]), progress=False)
    full = measure(model, loaders["train"], progress=False)
    assert "one_pass_only" in codes(result)
    assert "second pass" in result.absent["nc4/mismatch"]
    for key, value in result.items():
        assert value == pytest.approx(full[key], rel=1e-9, abs=1e-13), key
    assert "nc4/mismatch" in measure(model, loaders["train"], progress=False)
    skipped = measure(model, loaders["train"], second_pass=False, progress=False)
    assert "one_pass_only" not in codes(skipped)
    assert "nc4/mismatch" in skipped.absent


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.first, self.second = nn.Linear(10, 6), nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x):
        h = self.body(x).relu()
        return self.first(h) + self.second(h)


def test_an_ambiguous_classifier_has_to_be_named(problem):
    model, loaders = TwoHeads().eval(), problem[1]
    with pytest.raises(InputError, match=r"first.*second"):
        measure(model, loaders, progress=False)
    result = measure(model, loaders, classifier="second", progress=False)
    assert result.info["classifier"] == "second"
    assert torch.equal(result.arrays["weight"], model.second.weight.detach().double())


def test_a_code_is_searched_only_when_asked_and_only_where_none_is_proved():
    H, y = blobs(11, 4, 20, 0.05)
    assert best_known(11, 4).status != "proved"
    looked_up = measure((H, y), progress=False)
    solved = measure((H, y), optimum="solve", progress=False)
    assert 0 < solved["gnc2/margin_optimum"] < 1.02
    code = solved.arrays["target"]
    assert one_vs_rest(code).margin == pytest.approx(solved["gnc2/margin_optimum"], rel=1e-9)
    assert solved["gnc2/margin_ratio"] == pytest.approx(solved["gnc2/margin"] / solved["gnc2/margin_optimum"])
    assert solved["gnc2/margin"] == looked_up["gnc2/margin"]
    off = measure((H, y), optimum=None, progress=False)
    assert "gnc2/margin_optimum" in off.absent
    assert "target" not in off.arrays
    with pytest.raises(InputError, match="lookup"):
        measure((H, y), optimum="search")


def test_a_solved_code_counts_for_its_own_size_alone():
    # Inner layers have other dimensions: a code for the features is no optimum there.
    x, y = blobs(121, 4, 4, 0.3)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3), nn.Linear(3, 121)).eval()
    assert best_known(121, 3).status == best_known(121, 4).status == "bound"
    result = measure(model, loader(x, y), layers=["0"], optimum="solve", progress=False)
    assert result["gnc2/margin_optimum"] < 0.9
    assert result["gnc2/margin_optimum@layer:0"] == best_known(121, 4).margin == 1


# ---- features that are there already --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arrays():
    H, y = blobs(5, 7, 30, 0.4)
    return {"features": H, "labels": y, "weight": torch.randn(5, 7), "bias": torch.randn(5)}


def write(folder, kind, arrays):
    H, y = arrays["features"].numpy(), arrays["labels"].numpy()
    if kind == "safetensors":
        save_file(arrays, folder / "run.safetensors")
    elif kind == "npz":
        np.savez(folder / "run.npz", **{name: tensor.numpy() for name, tensor in arrays.items()})
    elif kind == "npy":
        np.save(folder / "features.npy", H)
        np.save(folder / "labels.npy", y)
        return folder / "features.npy"
    else:
        column = pa.FixedSizeListArray.from_arrays(pa.array(H.ravel()), 7)
        pq.write_table(pa.table({"features": column, "labels": y}), folder / "run.parquet", row_group_size=40)
    return folder / f"run.{kind}"


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy", "parquet"])
def test_files_give_the_numbers_of_the_tensors(kind, arrays, tmp_path):
    path = write(tmp_path, kind, arrays)
    classifier = {} if kind in ("safetensors", "npz") else {name: arrays[name] for name in ("weight", "bias")}
    from_file = measure(path, **classifier, progress=False)
    pair = arrays["features"], arrays["labels"]
    in_memory = measure(pair, weight=arrays["weight"], bias=arrays["bias"], progress=False)
    assert dict(from_file) == pytest.approx(dict(in_memory), rel=1e-6, abs=1e-12)
    assert measure(str(path), **classifier, progress=False).numbers == from_file.numbers


def test_splits_in_one_file_and_in_a_mapping(arrays, tmp_path):
    H, y = arrays["features"], arrays["labels"]
    both = {"train": (H[:100].clone(), y[:100].clone()), "test": (H[100:].clone(), y[100:].clone())}
    tensors = {
        f"{split}/{name}": part
        for split, pair in both.items()
        for name, part in zip(("features", "labels"), pair, strict=True)
    }
    save_file(tensors, tmp_path / "run.safetensors")
    from_file, in_memory = measure(tmp_path / "run.safetensors", progress=False), measure(both, progress=False)
    assert set(from_file.splits) == set(in_memory.splits) == {"train", "test"}
    assert dict(from_file) == pytest.approx(dict(in_memory), rel=1e-9, abs=1e-13)


def test_real_data_digits():
    digits = load_digits(flat=True)
    pair = tuple(digits.train.tensors)
    result = measure(pair, class_names=digits.class_names, progress=False)
    H, y = pair[0].double().numpy(), pair[1].numpy()
    mu = np.array([H[y == c].mean(0) for c in range(10)])
    within = np.mean(np.sum((H - mu[y]) ** 2, axis=1))
    between = np.mean(np.sum((mu - mu.mean(0)) ** 2, axis=1))
    assert result["nc1/trace_ratio"] == pytest.approx(within / between, rel=1e-6)
    assert result["accuracy/ncc"] == np.mean(((H[:, None] - mu) ** 2).sum(2).argmin(1) == y)
    assert result.info["num_classes"] == 10
    assert result.verdict()[0].startswith("The features have not collapsed")


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("nothing", "loader"), {}, "second argument"),
        ((nn.Linear(3, 2),), {}, "loader beside the model"),
        ((3,), {}, "a path to features"),
        (({},), {}, "at least one split"),
        (({"a/b": None},), {}, "'a/b'"),
        (((torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)),), {"weight": torch.zeros(3)}, r"\(K, d\)"),
        (((torch.zeros(4, 3), torch.tensor([0, 1, 2, 5])),), {"num_classes": 3}, "from 0 to 2"),
        (((torch.zeros(4, 3), torch.tensor([0, 1, 1, 0])),), {"weight": torch.zeros(2, 4)}, "weight of shape"),
        (((torch.zeros(4, 3), torch.tensor([0, 1, 1, 0])),), {"preset": "nobody1999"}, "nobody1999"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(arguments, options, words):
    with pytest.raises(InputError, match=words):
        measure(*arguments, progress=False, **options)


def test_splits_of_other_dimensions_are_refused():
    parts = {"train": (torch.randn(6, 3), torch.arange(6) % 3), "test": (torch.randn(6, 4), torch.arange(6) % 3)}
    with pytest.raises(InputError, match=r"one feature dimension, got \{'train': 3, 'test': 4\}"):
        measure(parts, progress=False)


def test_nan_in_features():
    H, y = blobs(3, 4, 20, 0.5)
    H[7, 1] = math.nan
    with pytest.raises(NonFiniteError, match="row 7"):
        measure((H, y), progress=False)
    dropped = measure((H, y), nan="drop", progress=False)
    kept = torch.arange(60) != 7
    assert dict(dropped) == pytest.approx(dict(measure((H[kept], y[kept]), progress=False)), rel=1e-6)
    assert "dropped_samples" in codes(dropped)


def test_ignored_labels():
    H, y = blobs(3, 4, 20, 0.5)
    y[5] = 255
    result = measure((H, y), num_classes=3, ignore_index=255, progress=False)
    kept = torch.arange(60) != 5
    assert dict(result) == pytest.approx(dict(measure((H[kept], y[kept]), progress=False)), rel=1e-6)
    assert "ignored_samples" in codes(result)
