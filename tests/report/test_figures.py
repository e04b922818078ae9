"""What the figures draw, against the numbers written out slowly."""

import base64
import math

import numpy as np
import plotly.graph_objects as go
import pytest

from neucollapse import write_report
from neucollapse._records import write_table
from neucollapse._schema import HISTORY, Line, Plot, SimulationFile
from neucollapse.report._run import read_run
from neucollapse.report.figures import cosines, figures, gram, history, layers, margins
from neucollapse.report.figures.simulation import simulation_figures


def unpacked(packed):
    array = np.frombuffer(base64.b64decode(packed["bdata"]), dtype=np.dtype(packed["dtype"]).newbyteorder("<"))
    return array.reshape([int(size) for size in packed["shape"].split(",")]) if "shape" in packed else array


def coloured(item):
    """The figure with every colour name looked up, as page.js does."""
    if isinstance(item, list):
        return [coloured(part) for part in item]
    if isinstance(item, dict):
        return "#123456" if "$" in item else {key: coloured(part) for key, part in item.items()}
    return item


def ids(run):
    return [figure.id for figure in figures(run)[0]]


@pytest.fixture(scope="module")
def sphere(sphere_run):
    return read_run(sphere_run)


def test_a_full_run_has_every_figure_in_order(sphere):
    assert ids(sphere) == ["history", "gram", "margins", "sphere", "layers"]


def test_plotly_accepts_every_plot(sphere):
    for figure in figures(sphere)[0]:
        for panel in figure.panels + figure.more:
            go.Figure({"data": coloured(panel.data), "layout": coloured(panel.layout)})


def test_figures_explain_themselves(sphere):
    for figure in figures(sphere)[0]:
        assert len(figure.caption) > 60
        assert all(panel.title for panel in figure.panels)


def test_a_minimal_run_says_why_it_has_no_figures(make, tmp_path):
    run = read_run(make["run"](tmp_path / "run", {"metrics": [make["row"]("nc1/pinv", 0.1)]}))
    drawn, reasons = figures(run)
    assert drawn == []
    assert [reason.partition(":")[0] for reason in reasons] == [
        "Collapse over epochs",
        "Gram matrices",
        "Margins",
        "Sphere",
        "Layer-wise curves",
    ]


def slow_cosines(rows, centre):
    rows = [list(map(float, row)) for row in rows]
    if centre:
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        rows = [[x - m for x, m in zip(row, mean, strict=True)] for row in rows]
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    return [[dot(a, b) / math.sqrt(dot(a, a) * dot(b, b)) for b in rows] for a in rows]


@pytest.mark.parametrize(("K", "d", "centre"), [(5, 8, True), (9, 8, True), (10, 8, False)])
def test_gram_matrices_are_cosines_about_the_mean_only_where_a_simplex_fits(make, tmp_path, K, d, centre):
    rows = np.random.default_rng(0).standard_normal((K, d)) + 1
    unit = rows / 3
    arrays = {"class_means": rows, "normalized_means": unit, "weight": 2 * rows}
    run = read_run(make["run"](tmp_path / "run", {"num_classes": K, "dim": d}, arrays))
    figure = gram.build(run)
    assert [panel.title for panel in figure.panels] == ["Class means", "Classifier weights"]
    for panel in figure.panels:
        (trace,) = panel.data
        assert (trace["zmin"], trace["zmax"]) == (-1, 1)
        np.testing.assert_allclose(unpacked(trace["z"]), slow_cosines(rows, centre), atol=1e-6)


def test_absent_classes_are_gaps_and_are_counted(make, tmp_path):
    means = np.random.default_rng(0).standard_normal((4, 8))
    means[2] = np.nan
    run = read_run(make["run"](tmp_path / "run", {}, {"class_means": means}))
    panel = gram.build(run).panels[0]
    z = unpacked(panel.data[0]["z"])
    assert np.isnan(z[2]).all()
    assert np.isnan(z[:, 2]).all()
    present = [0, 1, 3]
    np.testing.assert_allclose(z[np.ix_(present, present)], slow_cosines(means[present], True), atol=1e-6)
    assert panel.note.endswith("1 of 4 classes absent")


def test_equal_class_names_keep_their_rows_apart(make, tmp_path):
    content = {"class_names": ["same", "same", "same · 1", "other"]}
    run = read_run(make["run"](tmp_path / "run", content, {"weight": np.eye(4, 8)}))
    names = gram.build(run).panels[0].data[0]["y"]
    assert len(set(names)) == 4


def test_many_classes_become_a_histogram_of_all_pairs(make, tmp_path):
    K, d = 250, 6
    weight = np.random.default_rng(0).standard_normal((K, d))
    run = read_run(make["run"](tmp_path / "run", {"num_classes": K, "dim": d}, {"weight": weight, "target": weight}))
    figure = cosines.build(run)
    (trace,) = figure.panels[0].data
    shares, centres = unpacked(trace["y"]), unpacked(trace["x"])
    unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    pairs = np.array([unit[i] @ unit[j] for i in range(K) for j in range(i)])
    assert shares.sum() == pytest.approx(100, abs=1e-3)
    assert (shares * centres).sum() / 100 == pytest.approx(pairs.mean(), abs=0.01)
    assert figure.panels[0].layout["shapes"][0]["x0"] == pytest.approx(pairs.max())
    assert gram.build(run) == ""


def test_fifty_thousand_classes_never_need_all_pairs(make, tmp_path):
    K = 50_000
    weight = np.random.default_rng(0).standard_normal((K, 4)).astype(np.float32)
    run = read_run(make["run"](tmp_path / "run", {"num_classes": K, "dim": 4}, {"weight": weight}))
    assert "Of the 50,000 classes, every 25th is taken." in cosines.build(run).caption


def test_curves_carry_optimum_zero_error_and_terminal_phase(sphere):
    panels = {panel.code: panel for panel in history.build(sphere).panels + history.build(sphere).more}
    panel = panels["gnc2/margin"]
    lines = {trace["name"]: trace for trace in panel.data}
    assert set(lines) == {"train", "test", "optimum"}
    assert set(unpacked(lines["optimum"]["y"])) == {sphere.find("gnc2/margin", "train").optimum}
    np.testing.assert_array_equal(unpacked(lines["train"]["y"]), sphere.history["train/gnc2/margin"].y)
    zone, line = panel.layout["shapes"]
    assert zone["x0"] == line["x0"] == line["x1"] == sphere.zero_error_epoch
    assert panel.layout["annotations"][0]["text"] == f"zero error, epoch {sphere.zero_error_epoch}"
    assert panels["nc1/pinv"].layout["yaxis"]["type"] == "log"
    assert "type" not in panel.layout["yaxis"]
    assert {trace["name"] for trace in panels["nc2/etf_distance"].data} == {"train", "test", "optimum"}  # its floor


def test_zeros_on_a_log_axis_are_said(make, sphere_run):
    run = read_run(sphere_run)
    run.history["train/nc1/pinv"].y[3] = 0.0
    panel = next(panel for panel in history.build(run).panels if panel.code == "nc1/pinv")
    assert "train: values of 0 or below cannot stand on a log axis" in panel.note
    assert np.isnan(unpacked(panel.data[0]["y"])[3])


def test_margins_are_shares_and_mark_zero_and_the_best(sphere):
    figure = margins.build(sphere)
    (panel,) = figure.panels
    for trace, split in zip(panel.data, ("train", "test"), strict=True):
        counts = sphere.array("margin_counts", split)
        np.testing.assert_allclose(unpacked(trace["y"]), 100 * counts / counts.sum(), atol=1e-5)
    assert [shape["x0"] for shape in panel.layout["shapes"]] == [0, sphere.find("gnc2/margin", "train").optimum]
    low, high = panel.layout["xaxis"]["range"]
    assert low < 0
    assert high > 0.5956


def test_layers_stand_in_order_with_the_classifier_input_last(sphere):
    figure = layers.build(sphere)
    panel = next(panel for panel in figure.panels if panel.code == "nc1/trace_ratio")
    assert panel.layout["xaxis"]["ticktext"] == ["features.0", "classifier input"]
    train = next(trace for trace in panel.data if trace["name"] == "train")
    found = [sphere.find("nc1/trace_ratio", "train", layer).value for layer in ("features.0", "")]
    assert unpacked(train["y"]).tolist() == found


def test_points_stand_on_the_sphere_with_their_class(sphere):
    figure = next(figure for figure in figures(sphere)[0] if figure.id == "sphere")
    traces = {trace["name"]: trace for trace in figure.panels[0].data if "name" in trace}
    features = traces["features, train"]
    points = np.stack([unpacked(features[axis]) for axis in "xyz"], axis=1).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-6)
    raw = sphere.array("features_sample", "train")
    np.testing.assert_allclose(points, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    labels = sphere.array("labels_sample", "train")
    assert "&lt;img src=x" in features["text"][list(labels).index(2)]
    assert traces["features, test"]["visible"] == "legendonly"
    assert {"class means, train", "classifier weights"} <= set(traces)


@pytest.mark.parametrize(("K", "d"), [(1, 1), (2, 1), (1, 3), (3, 2), (2, 3), (1000, 16)])
def test_runs_at_the_edges_give_a_page(make, tmp_path, K, d):
    rows = np.random.default_rng(0).standard_normal((K, d))
    rows[0] = np.nan if K > 2 else 0.0
    arrays = {"class_means": rows, "weight": rows, "target": rows, "counts": np.ones(K)}
    arrays |= {"features_sample": rows, "labels_sample": np.full(K, -100)}
    arrays |= {"margin_edges": np.array([0.0, 1.0]), "margin_counts": np.zeros(1)}
    page = write_report(make["run"](tmp_path / "run", {"num_classes": K, "dim": d}, arrays))
    for plot in make["plots"](page):
        go.Figure({"data": coloured(plot["data"]), "layout": coloured(plot["layout"])})


def test_no_two_of_many_lines_look_alike(make, tmp_path):
    epochs = [(epoch, f"s{i:02}/loss", 1.0 + i) for i in range(24) for epoch in range(4)]
    folder = make["run"](tmp_path / "run", {"splits": [f"s{i:02}" for i in range(24)]})
    write_table(folder / "history.parquet", HISTORY, epochs)
    figure = history.build(read_run(folder))
    looks = [
        (t["line"]["color"]["$"], t["mode"], t["marker"]["symbol"] * ("mark" in t["mode"]))
        for t in figure.panels[0].data
    ]
    assert len(set(looks)) == 24
    assert len({swatch.look for swatch in figure.legend if swatch.kind == "line"}) == 24


def test_of_seven_lines_of_a_simulation_each_looks_its_own_way_and_predictions_look_like_what_they_predict():
    found = [Line(f"run {i}", [1.0, 2.0, 3.0], [1.0, 2.0, float(i)]) for i in range(7)]
    predicted = [Line(f"run {i}, predicted", [1.0, 3.0], [1.0, float(i)], role="predicted") for i in range(7)]
    plot = Plot("Seven", "step", "loss", [*found, *predicted])
    (figure,) = simulation_figures(SimulationFile("made", "Made", [], plots=[plot]))
    looks = {swatch.text: swatch.look for swatch in figure.legend}
    assert len(set(looks.values())) == 7
    assert all(looks[f"run {i}, predicted"] == looks[f"run {i}"] for i in range(7))
