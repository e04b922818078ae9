"""``CollapseResult``: a mapping, its splits and files (promise P14), presets, definitions, citations and verdict."""

import json
import re

import pyarrow.parquet as pq
import pytest
import torch

from neucollapse import CollapseResult, FileFormatError, InputError
from neucollapse.geometry import polygon, simplex
from neucollapse.metrics import PRESETS, REGISTRY, Flag, describe, names, weight_metrics


@pytest.fixture
def two_splits(measured):
    """Noisy simplex features for train, noisier for test; the class-weighted scatter is absent."""
    code, labels = simplex(4, 6), torch.arange(4).repeat(30)

    def part(spread, classifier=code):
        noise = torch.randn(120, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        features = code[labels] + spread * noise
        return measured(features, labels, classifier, torch.zeros(4), counts_known=False)

    info = {"num_classes": 4, "dim": 6, "class_names": ["a", "b", "c", "d"], "citations": ["papyan2020", "jiang2023"]}
    return CollapseResult.join({"train": part(1e-3), "test": part(0.3)}, info)


def test_it_is_a_read_only_mapping(two_splits):
    assert two_splits["train/nc1/pinv"] == two_splits["train"]["nc1/pinv"] == two_splits.numbers["train/nc1/pinv"]
    assert list(two_splits) == list(two_splits.keys()) == list(two_splits.numbers)
    assert len(two_splits) == len(two_splits.to_dict()) > 150
    assert "test/nc1/pinv" in two_splits
    assert "nc1/pinv" not in two_splits
    assert dict(two_splits) == two_splits.to_dict()
    two_splits.to_dict().clear()
    assert len(two_splits)
    assert not hasattr(two_splits, "__setitem__")
    assert "train/nc1/pinv = " in repr(two_splits)


def test_a_missing_key_says_what_to_do(two_splits):
    with pytest.raises(KeyError, match="did you mean 'train/nc1/pinv'"):
        two_splits["nc1/pinv"]
    with pytest.raises(KeyError, match=r"train/nc1/pinv_class_scatter was not computed: .*class_counts"):
        two_splits["train/nc1/pinv_class_scatter"]
    with pytest.raises(
        KeyError, match="no metric 'nc9/none'; expected a metric among train, test, train/nc0/row_sum, "
    ):
        two_splits["nc9/none"]
    with pytest.raises(KeyError, match=r"did you mean 'train/nc1/pinv'"):
        two_splits["train/nc1/pniv"]
    with pytest.raises(KeyError, match=r"no metric 'trian'; did you mean 'train'"):
        two_splits["trian"]
    with pytest.raises(InputError, match="no split 'val'; expected a split among train, test"):
        two_splits.split("val")
    assert two_splits.get("nc9/none") is None


def test_a_split_holds_its_own_numbers_arrays_and_flags(measured):
    flags = [
        Flag("a", "of train", "train"),
        Flag("b", "of a key of train", "train/nc1/pinv"),
        Flag("c", "of test", "test"),
        Flag("d", "of a key of test", "test/nc1/pinv"),
        Flag("e", "of all"),
    ]
    arrays = {"train/counts": torch.ones(2), "test/counts": torch.zeros(2), "weight": torch.eye(2)}
    result = CollapseResult(
        {"train/nc1/pinv": 0.1, "test/nc1/pinv": 0.5},
        optima={"train/nc1/pinv": 0.0},
        absent={"test/nc1/cdnv": "no pairs"},
        flags=flags,
        arrays=arrays,
        splits=("train", "test"),
    )
    train, test = result.split("train"), result["test"]
    assert (dict(train), train.optima, train.absent) == ({"nc1/pinv": 0.1}, {"nc1/pinv": 0.0}, {})
    assert (dict(test), test.optima, test.absent) == ({"nc1/pinv": 0.5}, {}, {"nc1/cdnv": "no pairs"})
    assert [flag.code for flag in train.flags] == ["a", "b", "e"]
    assert [flag.code for flag in test.flags] == ["c", "d", "e"]
    assert torch.equal(train.arrays["counts"], torch.ones(2))
    assert str(flags[1]) == "train/nc1/pinv: of a key of train"
    assert str(flags[4]) == "of all"


def test_join_without_a_name_adds_no_prefix(measured):
    part = measured(simplex(3).repeat(2, 1), torch.arange(3).repeat(2))
    joined = CollapseResult.join({"": part}, {"dim": 2})
    assert joined.splits == ()
    assert joined.numbers == part.numbers
    assert [flag.where for flag in joined.flags] == [flag.where for flag in part.flags]


# ---- files ----------------------------------------------------------------------------------------------------------


def test_saved_and_loaded_it_is_the_same(two_splits, tmp_path):
    two_splits.info |= {"title": "A <b>title</b>", "seed": 3, "classifier": "head"}
    assert two_splits.save(tmp_path / "run") == tmp_path / "run"
    loaded = CollapseResult.load(tmp_path / "run")
    assert loaded.numbers == two_splits.numbers  # to the last bit
    assert list(loaded) == list(two_splits)
    for name in ("optima", "absent", "flags", "splits"):
        assert getattr(loaded, name) == getattr(two_splits, name), name
    assert loaded.arrays.keys() == two_splits.arrays.keys()
    for name, array in two_splits.arrays.items():
        torch.testing.assert_close(loaded.arrays[name], array, rtol=0, atol=0, equal_nan=True)
    for name in ("num_classes", "dim", "class_names", "title", "seed", "classifier", "citations"):
        assert loaded.info[name] == two_splits.info[name], name
    assert loaded.verdict() == two_splits.verdict()
    assert loaded.citation() == two_splits.citation()
    first = json.loads((tmp_path / "run/result.json").read_text())
    loaded.save(tmp_path / "again")
    again = json.loads((tmp_path / "again/result.json").read_text())
    assert first == again  # time, command and environment too: they are those of the measurement


def test_the_file_is_what_the_report_expects(two_splits, tmp_path):
    two_splits.save(tmp_path)
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["schema"] == "neucollapse/result/1"
    rows = {row["key"]: row for row in content["metrics"]}
    assert rows.keys() == two_splits.numbers.keys() | two_splits.absent.keys()
    row = rows["test/gnc2/margin@weight"]
    assert (row["split"], row["name"], row["layer"]) == ("test", "gnc2/margin@weight", "")
    assert row["value"] == two_splits["test/gnc2/margin@weight"]
    assert row["optimum"] == two_splits.optima["test/gnc2/margin@weight"]
    absent = rows["train/nc1/pinv_class_scatter"]
    assert absent["value"] is None
    assert "class_counts" in absent["absent"]
    assert {row["name"].split("@")[0] for row in content["metrics"]} == content["definitions"].keys()
    assert content["verdict"][0].keys() == {"tone", "text"}
    assert content["environment"]["python"]


def test_the_long_table(two_splits, tmp_path):
    two_splits.to_parquet(tmp_path / "metrics.parquet")
    table = pq.read_table(tmp_path / "metrics.parquet").to_pylist()
    assert {row["key"]: row["value"] for row in table if row["value"] is not None} == two_splits.to_dict()
    assert list(table[0]) == ["key", "split", "name", "layer", "value", "optimum", "absent"]
    CollapseResult().to_parquet(tmp_path / "empty.parquet")
    assert pq.read_table(tmp_path / "empty.parquet").num_rows == 0


def test_an_inner_layer_has_a_column_of_its_own(tmp_path):
    CollapseResult({"train/nc1/pinv@layer:net.0": 0.5}, splits=("train",)).to_parquet(tmp_path / "t.parquet")
    (row,) = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert (row["split"], row["name"], row["layer"]) == ("train", "nc1/pinv", "net.0")


def _break_json(folder, change):
    path = folder / "result.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


DAMAGE = {
    "no result": lambda folder: (folder / "result.json").unlink(),
    "no arrays": lambda folder: (folder / "arrays.safetensors").unlink(),
    "cut json": lambda folder: (folder / "result.json").write_bytes((folder / "result.json").read_bytes()[:-100]),
    "cut arrays": lambda folder: (folder / "arrays.safetensors").write_bytes(
        (folder / "arrays.safetensors").read_bytes()[:-9]
    ),
    "a flipped bit": lambda folder: _flip(folder / "arrays.safetensors"),
    "another schema": lambda folder: _break_json(folder, lambda content: content.update(schema="other/1")),
    "no metrics": lambda folder: _break_json(folder, lambda content: content.pop("metrics")),
    "metrics of another kind": lambda folder: _break_json(folder, lambda content: content.update(metrics=[1, 2])),
    "a metric without a value": lambda folder: _break_json(folder, lambda content: content["metrics"][0].pop("value")),
    "a flag too many": lambda folder: _break_json(folder, lambda content: content.update(flags=[{"x": 1}])),
    "a list": lambda folder: (folder / "result.json").write_text("[]"),
    "swapped files": lambda folder: (folder / "arrays.safetensors").write_bytes((folder / "result.json").read_bytes()),
}


def _flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused_in_a_sentence(damage, measured, tmp_path):
    measured(polygon(5).repeat(2, 1), torch.arange(5).repeat(2)).save(tmp_path)
    DAMAGE[damage](tmp_path)
    with pytest.raises(FileFormatError, match=re.escape(str(tmp_path))):
        CollapseResult.load(tmp_path)


# ---- words ----------------------------------------------------------------------------------------------------------


def test_every_metric_is_described():
    described = describe(REGISTRY)
    assert described.keys() == {name.split("@")[0] for name in REGISTRY}
    for name, words in described.items():
        assert all(words[field] for field in ("title", "symbol", "definition", "range", "at_collapse", "family")), name
        assert words["definition"].endswith("."), name
        json.dumps(words)
    assert described["nc1/pinv"]["family"] == "NC1"
    assert described["gnc2/margin"]["family"] == "GNC2"
    assert describe(["train/nc1/pinv".removeprefix("train/"), "nc1/pinv@layer:x"]).keys() == {"nc1/pinv"}


def test_every_citation_is_in_the_bibliography():
    for metric in REGISTRY.values():
        if metric.citation:
            result = CollapseResult(info={"citations": [metric.citation]})
            assert f"{{{metric.citation}," in result.citation()
    assert CollapseResult().citation() == ""


def test_citations_are_those_of_what_was_measured(measured):
    result = measured(simplex(3).repeat(2, 1), torch.arange(3).repeat(2), keys=["nc1/cdnv", "nc1/vci"])
    assert result.info["citations"] == ["galanti2022", "xu2023"]
    assert result.citation().count("@") == 2


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_one_paper_reports(preset, measured):
    assert names(preset) == list(PRESETS[preset])
    assert set(PRESETS[preset]) <= REGISTRY.keys()
    result = measured(
        simplex(3).repeat(2, 1),
        torch.arange(3).repeat(2),
        simplex(3),
        torch.zeros(3),
        ood=simplex(3) + 1,
        preset=preset,
    )
    assert list(result) == list(PRESETS[preset])
    assert f"{{{preset}," in CollapseResult(info={"citations": [preset]}).citation()


def test_unknown_presets_name_the_known_ones():
    assert names() == list(REGISTRY)
    with pytest.raises(InputError, match=r"no preset 'nobody1999'; expected a preset among papyan2020"):
        names("nobody1999")
    with pytest.raises(KeyError, match=r"no preset 'papyan'; did you mean 'papyan2020'\?"):
        names("papyan")


def test_the_weight_alone():
    result = weight_metrics(simplex(5, 7).float())
    assert all(key.endswith("@weight") for key in (*result, *result.absent))
    assert result["gnc2/margin_ratio@weight"] == pytest.approx(1, abs=1e-6)
    assert torch.equal(result.arrays["weight"], simplex(5, 7).float().double())
    assert "single_samples" not in {flag.code for flag in result.flags}


# ---- the verdict ----------------------------------------------------------------------------------------------------


def noisy(measured, code, spread, classifier=None):
    labels = torch.arange(len(code)).repeat(30)
    noise = torch.randn(len(labels), code.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return measured(code[labels] + spread * noise, labels, code if classifier is None else classifier)


@pytest.mark.parametrize(
    ("code", "spread", "headline"),
    [
        (simplex(4), 1e-3, "The features have collapsed, and lie close to their optimum (K = 4 classes in d = 3"),
        (polygon(8), 1e-3, "The features have collapsed, to 100.0% of the largest margin possible (K = 8"),
        (simplex(4), 0.15, "The features are collapsing, and are not there yet"),
        (simplex(4), 2.0, "The features have not collapsed"),
    ],
)
def test_the_headline(code, spread, headline, measured):
    assert noisy(measured, code, spread).verdict()[0].startswith(headline)


def test_collapsed_to_points_that_are_not_the_optimum(measured):
    bunched = torch.nn.functional.normalize(simplex(4) + torch.tensor([0.0, 0.0, 2.0]), dim=1)
    headline, *findings = noisy(measured, bunched, 1e-4).verdict()
    assert headline.startswith("The classes have collapsed to points, but not yet to their optimum")
    assert "nc2/etf_distance" in findings[1]


def test_each_finding_names_the_number_it_rests_on(measured):
    result = noisy(measured, polygon(8), 0.01)
    _, within, geometry, duality, decisions = result.verdict()
    assert f"{result['nc1/trace_ratio']:.2g}" in within
    assert f"{result['gnc2/margin_ratio']:.1%}" in geometry  # K > d + 1: the margin, not the simplex
    assert "gnc3/cosine" in duality
    assert "nc4/mismatch" in decisions


def test_train_is_compared_with_test(two_splits):
    sentences = two_splits.verdict()
    assert any("on train and" in sentence for sentence in sentences)
    assert any("test_collapse/strong" in sentence for sentence in sentences)


def test_too_little_for_a_verdict():
    assert CollapseResult().verdict()[0].startswith("Too little was measured")
