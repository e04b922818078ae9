"""Reading a run folder: what fits is read, what does not ends in one sentence."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

from neucollapse import FileFormatError, write_report
from neucollapse._files import save_tensors
from neucollapse.report._run import read_run


def rewrite(folder, **changes):
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(make, tmp_path):
    rows = [make["row"]("nc1/pinv", 0.1)]
    arrays = {"class_means": np.eye(4, 8), "margin_edges": np.linspace(-2, 2, 5), "margin_counts": np.ones(4)}
    return make["run"](tmp_path / "run", {"metrics": rows}, arrays)


def refused(folder):
    with pytest.raises(FileFormatError) as caught:
        write_report(folder)
    assert not (folder / "report.html").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_folder_is_read(folder):
    run = read_run(folder)
    assert (run.num_classes, run.dim, run.splits) == (4, 8, [""])
    assert run.classes == ["class 0", "class 1", "class 2", "class 3"]
    assert run.find("nc1/pinv").value == 0.1
    assert run.array("class_means", "").shape == (4, 8)


def test_no_folder(tmp_path):
    assert "found no such folder" in refused(tmp_path / "nothing")


def test_no_result(tmp_path):
    assert "expected a folder with result.json, found an empty folder" in refused(tmp_path)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite(folder, text):
    path = folder / "result.json"
    path.write_text(path.read_text().replace("0.1", text))
    assert f"not valid JSON ({text} is " in refused(folder)


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_an_object_that_nests_too_deep(folder, depth):
    path = folder / "result.json"
    text = path.read_text()
    path.write_text(text.replace('"metrics"', f'"environment": {"[" * depth}{"]" * depth}, "metrics"', 1))
    if depth > 300:
        refused(folder)
    else:
        assert "an object at environment" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": "neucollapse/result/9"}, "expected schema"),
        ({"num_classes": "4"}, "expected an integer at num_classes, found '4'"),
        ({"num_classes": True}, "expected an integer at num_classes"),
        ({"num_classes": 0}, "expected num_classes from 1 to "),
        ({"num_classes": 10**12}, "expected num_classes from 1 to "),
        ({"dim": 10**400}, "and dim of at least 1, found 4 and an integer of 1329 bits"),
        ({"num_classes": "x" * 1000}, "expected an integer at num_classes, found 'xxx"),
        ({"seed": [10**400]}, "expected an integer at seed, found [1000"),
        ({"splits": [None]}, "expected a string at splits[0], found None"),
        ({"dim": None}, "expected an integer at dim"),
        ({"class_names": ["a"]}, "expected 4 class names, found 1"),
        ({"metrics": {}}, "expected a list at metrics"),
        ({"metrics": [3]}, "expected an object at metrics[0]"),
        ({"metrics": [{"key": "a", "name": "a", "value": "0"}]}, "expected a number at metrics[0].value"),
        ({"metrics": [{"name": "a"}]}, "expected metrics[0].key, found nothing there"),
        ({"definitions": {"a": {}}}, "expected definitions['a'].title, found nothing there"),
        ({"verdict": [{"tone": "good"}]}, "expected verdict[0].text, found nothing there"),
        ({"metrics": [{"key": "a", "name": "a", "value": 10**400}]}, "found an integer of 1329 bits"),
        (
            {"definitions": {"a": {"title": "a"}, "b": {"title": "b", "log": 1}}},
            "true or false at definitions['b'].log",
        ),
        ({"flags": ["a"]}, "expected an object at flags[0]"),
        ({"training": {"zero_error_epoch": "3"}}, "expected an integer at training.zero_error_epoch"),
        ({"environment": []}, "expected an object at environment"),
        ({"citations": "papyan2020"}, "expected a list at citations"),
    ],
)
def test_fields_that_do_not_fit(folder, changes, sentence):
    rewrite(folder, **changes)
    assert sentence in refused(folder)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"class_means": np.eye(3, 8)}, "expected class_means of shape (4, 8), found (3, 8)"),
        ({"test/class_means": np.zeros(4)}, "expected test/class_means of shape (4, 8)"),
        ({"weight": np.full((4, 8), np.inf)}, "in weight, found infinity"),
        ({"margin_edges": np.arange(3.0), "margin_counts": np.ones(3)}, "does not fit margin_counts (3)"),
        ({"margin_edges": np.arange(3.0)}, "does not fit margin_counts (none)"),
        ({"margin_edges": np.array([0.0, 2.0, 1.0]), "margin_counts": np.ones(2)}, "increasing edges"),
        ({"features_sample": np.ones((5, 8)), "labels_sample": np.ones(4)}, "does not fit labels_sample (4)"),
    ],
)
def test_arrays_that_do_not_fit(folder, arrays, sentence):
    tensors = {key: torch.as_tensor(array) for key, array in arrays.items()}
    save_tensors(folder / "arrays.safetensors", tensors, schema="neucollapse/arrays/1", metadata={})
    assert sentence in refused(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_truncated_files(folder, keep):
    for name in ("arrays.safetensors", "result.json"):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:keep])
        if name == "arrays.safetensors" or keep != -1:  # the last byte of the JSON is a line feed
            assert name in refused(folder)
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "columns",
    [
        {"epoch": [0], "key": ["a"]},
        {"epoch": [0], "key": [3], "value": [1.0]},
        {"epoch": ["zero"], "key": ["a"], "value": [1.0]},
    ],
)
def test_histories_that_do_not_fit(folder, columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "history.parquet")
    assert "history.parquet" in refused(folder)


def test_a_history_that_is_no_parquet(folder):
    (folder / "history.parquet").write_bytes(b"PAR1 not really")
    assert "expected a parquet table" in refused(folder)


def test_history_is_sorted_and_keeps_gaps(folder):
    table = {"epoch": [2, 0, 1, 0], "key": ["a", "a", "a", "b"], "value": [3.0, 1.0, float("inf"), None]}
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "history.parquet")
    history = read_run(folder).history
    assert list(history) == ["a", "b"]
    assert history["a"].x.tolist() == [0, 1, 2]
    assert np.array_equal(history["a"].y, [1.0, np.nan, 3.0], equal_nan=True)


def test_weights_share_the_definition_of_the_means(folder):
    rewrite(folder, definitions={"nc1/pinv": {"title": "spread", "at_collapse": "0"}})
    run = read_run(folder)
    assert run.definition("nc1/pinv@weight").title == "spread, of the weights"
    assert run.definition("unheard/of").title == "unheard/of"


def test_best_is_the_optimum_or_the_value_at_collapse(folder, make):
    row = make["row"]
    rewrite(
        folder,
        metrics=[row("a", 1.0, optimum=0.5), row("b", 1.0), row("c", 1.0), row("d", 1.0), row("floor", 0.25)],
        definitions={
            "a": {"title": "a", "at_collapse": "0"},
            "b": {"title": "b", "at_collapse": "0"},
            "c": {"title": "c", "at_collapse": "floor"},
            "d": {"title": "d", "at_collapse": "0 if rows are centred"},
        },
    )
    run = read_run(folder)
    assert [run.best(run.find(name)) for name in "abcd"] == [0.5, 0.0, 0.25, None]


def test_bfloat16_arrays_are_read(folder):
    tensors = {"weight": torch.eye(4, 8, dtype=torch.bfloat16)}
    save_tensors(folder / "arrays.safetensors", tensors, schema="neucollapse/arrays/1", metadata={})
    assert np.array_equal(read_run(folder).array("weight"), np.eye(4, 8))
