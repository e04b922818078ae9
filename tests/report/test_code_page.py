"""The page of a code: figures that say what the points say, text that is text; drawn in a real browser, network off."""

import json

import numpy as np
import pytest

from neucollapse.geometry import icosahedron, polygon
from neucollapse.report import CodePage, Number, write_code_page


def code_page(points, **changes):
    words = {
        "title": "A code",
        "headline": "The closest two are apart.",
        "sentences": ["It is a local optimum.", "It has contacts."],
        "numbers": [Number("margin", "0.5527864045", "least distance to the hull"), Number("gap", "0")],
        "facts": [("Source", "by hand"), ("Seed", "0")],
    }
    return CodePage(np.asarray(points), **{**words, **changes})


def decoded(values):
    import base64

    flat = np.frombuffer(base64.b64decode(values["bdata"]), dtype=np.dtype(values["dtype"]))
    return flat.reshape([int(size) for size in values["shape"].split(",")]) if "shape" in values else flat


def plots(path):
    text = path.read_text(encoding="utf-8")
    start = text.index('id="plots">') + len('id="plots">')
    return json.loads(text[start : text.index("</script>", start)])


def test_figures_say_what_the_points_say(tmp_path):
    points = icosahedron().numpy()
    page = write_code_page(
        code_page(points, least_cosine=1 / 5**0.5, least_cosine_name="Fejes Toth"), tmp_path / "a.html"
    )
    ball, bars, matrix = plots(page)
    edges = next(trace for trace in ball["data"] if trace.get("mode") == "lines" and trace["line"]["width"] == 3)
    assert len(decoded(edges["x"])) == 3 * 30  # both ends and a gap for every edge of the icosahedron
    x, y = (decoded(bars["data"][0][name]) for name in "xy")
    counts = {round(float(angle)): int(count) for angle, count in zip(x, y, strict=True) if count}
    assert counts == {63: 30, 117: 30, 180: 6}
    marked = sorted(shape["x0"] for shape in bars["layout"]["shapes"])
    assert marked == pytest.approx([np.degrees(np.arctan(2))] * 2)
    np.testing.assert_allclose(decoded(matrix["data"][0]["z"]), points @ points.T, atol=1e-6)
    text = page.read_text(encoding="utf-8")
    assert "no code has its closest pair beyond 63.43° (Fejes Toth)" in text
    assert "Lines join the 30 closest pairs" in text


def test_lines_are_taken_without_sign(tmp_path):
    axes = np.array([[1.0, 0, 0], [0, 1, 0], [-0.8, 0, 0.6]])
    ball, bars, _ = plots(write_code_page(code_page(axes, lines=True), tmp_path / "a.html"))
    assert bars["layout"]["shapes"][0]["x0"] == pytest.approx(np.degrees(np.arccos(0.8)))
    edges = next(trace for trace in ball["data"] if trace.get("mode") == "lines" and trace["line"]["width"] == 3)
    np.testing.assert_allclose(decoded(edges["x"])[:2], [1, 0.8], atol=1e-6)  # to the nearer end
    ends = [sorted(decoded(trace["x"]).tolist()) for trace in ball["data"] if trace.get("mode") == "markers"]
    np.testing.assert_allclose(ends[0], sorted(-np.array(ends[1])))  # every line has two


@pytest.mark.parametrize(
    ("K", "d", "count", "labelled"),
    [(10, 5, 2, 10), (60, 5, 2, 12), (61, 5, 2, 0), (201, 4, 1, 0), (2500, 3, 2, 0), (2, 2, 3, 2)],
)
def test_labels_thin_out_and_large_matrices_are_left_out(K, d, count, labelled, tmp_path):
    rows = np.random.default_rng(0).standard_normal((K, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    page = write_code_page(code_page(rows), tmp_path / "a.html")
    drawn = plots(page)
    assert len(drawn) == count
    if count > 1 and d != 3:
        ticks = drawn[-1]["layout"]["yaxis"]
        assert (len(ticks["tickvals"]) if ticks["showticklabels"] else 0) == labelled
    if d > 3:
        assert "a sphere can be drawn at 3" in page.read_text(encoding="utf-8")


def test_hostile_text_is_text_and_the_same_code_gives_the_same_bytes(tmp_path):
    hostile = '</script><script>window.owned=1</script><img src=x onerror="window.owned=2">'
    page = code_page(polygon(5), title=hostile, headline=hostile, sentences=[hostile], facts=[(hostile, hostile)])
    first, again = (write_code_page(page, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == again
    assert b"<img src=x" not in first
    assert b"<script>window.owned" not in first


@pytest.fixture(scope="module")
def context(browser, tmp_path_factory):
    if browser.find_chromium() is None:
        pytest.skip(browser.MISSING)
    with browser.chromium(tmp_path_factory.mktemp("profile"), viewport={"width": 900, "height": 700}) as context:
        yield context


@pytest.mark.parametrize(("make_points", "canvases"), [(icosahedron, True), (lambda: polygon(7), False)])
def test_a_browser_draws_everything_without_network(make_points, canvases, browser, context, tmp_path):
    page = context.new_page()
    watch = browser.Watch(page)
    path = write_code_page(code_page(make_points(), least_cosine=0.4, least_cosine_name="a bound"), tmp_path / "a.html")
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    sizes = page.locator("[data-plot] .main-svg:first-child").evaluate_all(
        "(all) => all.map((item) => item.clientWidth)"
    )
    assert len(sizes) == 3
    assert min(sizes) > 150
    assert page.locator(".barlayer .point path").count() > 0
    assert page.locator(".hm image, .heatmaplayer image").count() == 1
    assert (page.locator(".ball canvas").count() > 0) is canvases
    assert page.locator("h1").text_content() == "The closest two are apart."
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("() => document.querySelector('[data-plot] .main-svg').clientWidth < 391")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate(
        "[...document.querySelectorAll('[data-plot]')].every((item) => item.getAttribute('aria-label'))"
    )
    assert (watch.complaints, watch.requests) == ([], [])
    page.close()
