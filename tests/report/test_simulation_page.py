"""The page of a simulation: what was written is what is drawn, text is text, damaged files get a sentence (P16)."""

import base64
import json

import numpy as np
import pytest
import torch

from neucollapse import FileFormatError
from neucollapse.report import is_simulation, read_size, write_simulation_page
from neucollapse.theory import Comparison, Findings, HeatMap, Line, Plot, Row, Simulation
from neucollapse.theory.settings import Settings

HOSTILE = "</script><script>window.owned=1</script><img src=x onerror='window.owned=2'>"


TITLES = {"title": "A plot", "x": "step", "y": "loss"}


class Made(Settings):
    name = "made"
    title = f"A model {HOSTILE}"
    citations = ("papyan2020",)


def findings():
    curve = Line("loss", [0.0, 1.0, 2.0], [1.0, 0.1, float("nan")])
    collapse = Plot(
        "Within classes",
        "step",
        "NC1",
        [Line("run", [1.0, 10.0, 100.0], [1.0, 1e-3, 0.0]), Line("theory", [1.0, 100.0], [0.5, 0.5], role="predicted")],
        caption=f"It falls {HOSTILE}",
        log_x=True,
        log_y=True,
        metric="nc1/pinv",
    )
    heat = HeatMap(
        "Which wins", "depth", "classes", ["2", "3"], ["4", "6"], [[1.0, 2.0], [3.0, float("nan")]], "A map."
    )
    return Findings(
        sentences=["The prediction holds to 1e-9.", f"And {HOSTILE}"],
        comparisons=[Comparison("nc1/pinv", 0.5, 0.25, "spread"), Comparison("endless", float("inf"), 1.0)],
        plots=[Plot("The loss", "step", "loss", [curve]), heat, collapse],
        tensors={"weight": torch.eye(3)},
        agrees=True,
    )


@pytest.fixture
def folder(tmp_path):
    Simulation(Made(seed=3), [Row("a", 0.0, "loss", 1.0)], findings(), 1.5).save(tmp_path)
    return tmp_path


def decoded(values):
    return np.frombuffer(base64.b64decode(values["bdata"]), dtype=np.dtype(values["dtype"]))


def plots(page):
    text = page.read_text(encoding="utf-8")
    start = text.index('id="plots">') + len('id="plots">')
    return json.loads(text[start : text.index("</script>", start)])


def test_numbers_are_drawn_as_they_were_written(folder):
    loss, heat, collapse = plots(write_simulation_page(folder))
    np.testing.assert_array_equal(decoded(loss["data"][0]["y"]), [1.0, 0.1, np.nan])
    np.testing.assert_array_equal(decoded(heat["data"][0]["z"]), [1.0, 2.0, 3.0, np.nan])
    assert heat["data"][0]["text"] == [["1", "2"], ["3", ""]]
    run, theory = collapse["data"]
    np.testing.assert_array_equal(decoded(run["y"]), [1.0, 1e-3, np.nan])  # 0 has no place on a log axis
    assert theory["line"]["dash"] == "dash"
    assert collapse["layout"]["xaxis"]["type"] == "log"


def test_words_are_words(folder):
    text = write_simulation_page(folder).read_text(encoding="utf-8")
    assert "The prediction holds to 1e-9." in text
    assert 'class="tone-good"' in text
    assert HOSTILE not in text
    assert "&lt;/script&gt;" in text
    assert "papyan2020" in text


def test_the_same_files_give_the_same_page(folder):
    first = write_simulation_page(folder).read_bytes()
    assert write_simulation_page(folder, folder / "again.html").read_bytes() == first


def test_a_measured_run_is_laid_over(folder, sphere_run):
    page = write_simulation_page(folder, overlay=sphere_run)
    *_, collapse = plots(page)
    measured = [trace for trace in collapse["data"] if trace["name"].startswith("measured")]
    assert measured
    x = decoded(measured[0]["x"])
    assert (x[0], x[-1]) == (pytest.approx(1), pytest.approx(100))  # stretched over the axis of the model
    text = page.read_text(encoding="utf-8")
    K, d = read_size(sphere_run)
    assert f"K = {K} classes in d = {d} dimensions; the model has" in text
    assert "Measured run" in text


def test_it_is_told_from_a_measured_run(folder, sphere_run):
    assert is_simulation(folder)
    assert not is_simulation(sphere_run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plots": [{**TITLES, "kind": "lines", "lines": [{"name": "", "x": [1], "y": []}]}]}, "as many x as y"),
        (
            {"plots": [{**TITLES, "kind": "heat", "x_labels": ["a"], "y_labels": [], "values": [[1]]}]},
            "a value for every pair",
        ),
        (
            {"plots": [{**TITLES, "kind": "lines", "lines": [{"name": "", "x": ["a"], "y": [1]}]}]},
            r"a number at plots\[0\]\.lines\[0\]\.x\[0\]",
        ),
        ({"sentences": None}, "expected a list at sentences"),
        ({"comparisons": [3]}, "expected an object"),
        ({"schema": "else"}, "expected schema"),
    ],
)
def test_a_damaged_file_gets_a_sentence(folder, change, words):
    path = folder / "simulation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FileFormatError, match=words):
        write_simulation_page(folder)


def test_a_simulation_that_did_not_end(tmp_path):
    with pytest.raises(FileFormatError, match="an empty folder"):
        write_simulation_page(tmp_path)


def test_it_draws_in_a_browser(folder, browser, tmp_path):
    if browser.find_chromium() is None:
        pytest.skip(browser.MISSING)
    with browser.chromium(tmp_path / "profile", viewport={"width": 900, "height": 700}) as context:
        page = context.new_page()
        watch = browser.Watch(page)
        page.goto(write_simulation_page(folder).as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        assert page.evaluate("() => [...document.querySelectorAll('[data-plot] .main-svg')].length") >= 3
        assert page.evaluate("() => window.owned") is None
        assert (watch.complaints, watch.requests) == ([], [])
