"""The page in a real browser with its network off: it draws, turns, changes its colours, fits a phone and paper."""

import re
from itertools import pairwise

import pytest

from neucollapse import write_report
from neucollapse.report import write_comparison

_ACTIVE = "() => [...document.querySelectorAll('[data-plot]')].filter((item) => !item.closest('details:not([open])'))"
_WIDEST = f"Math.max(...({_ACTIVE})().map((place) => place.querySelector('.main-svg').clientWidth))"


@pytest.fixture(scope="module")
def context(browser, tmp_path_factory):
    if browser.find_chromium() is None:
        pytest.skip(browser.MISSING)
    with browser.chromium(tmp_path_factory.mktemp("profile"), viewport={"width": 900, "height": 700}) as context:
        yield context


def opened(browser, context, page_file):
    page = context.new_page()
    watch = browser.Watch(page)
    page.emulate_media(color_scheme="light")
    page.goto(page_file.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    return page, watch


@pytest.fixture(scope="module")
def sphere(browser, context, sphere_run, tmp_path_factory):
    """The page of the full run, opened once; tests leave it light, on a screen, 900 wide."""
    page, watch = opened(browser, context, write_report(sphere_run, tmp_path_factory.mktemp("page") / "page.html"))
    yield page, watch
    page.close()


@pytest.fixture
def page(sphere):
    page, watch = sphere
    yield page
    assert watch.complaints == []
    assert watch.requests == []


def test_every_plot_is_drawn(page):
    plots = page.evaluate(
        f"""() => ({_ACTIVE})().map((place) => {{
            const drawing = place.querySelector('.main-svg').getBoundingClientRect();
            return {{ traces: place.data.length, width: drawing.width, height: drawing.height,
                      marks: place.querySelectorAll('.trace, .scatterlayer path, image, canvas').length }};
        }})"""
    )
    assert len(plots) > 15
    assert all(plot["traces"] and plot["marks"] and plot["width"] > 150 and plot["height"] > 150 for plot in plots)


def themed(page, place, *, dark):
    """Wait until the page and one of its plots have the colours of a theme."""
    page.wait_for_function(
        """([place, dark]) => {
            const sum = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).reduce((total, part) => total + Number(part), 0);
            const body = sum(getComputedStyle(document.body).backgroundColor), ink = sum(place._fullLayout.font.color);
            return body < 300 === dark && ink > 400 === dark;
        }""",
        arg=[place.element_handle(), dark],
    )


def test_the_sphere_is_there_and_turns(page, browser):
    place = page.locator(".ball [data-plot]")
    place.evaluate("(place) => place.scrollIntoView({ block: 'center' })")
    assert place.locator("canvas").count() > 0
    picture = page.locator(".ball img.paper-only").get_attribute("src")
    assert len(picture) > 20_000  # an empty canvas packs to almost nothing
    eye = "(place) => Object.values(place._fullLayout.scene._scene.getCamera().eye)"
    before = place.evaluate(eye)
    box = place.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 5):  # at the pace of a hand, a few frames a step
        page.mouse.move(x + 30 * step, y + 15 * step)
        browser.frames(page, 3)
    page.mouse.up()
    turned = place.evaluate(eye)
    assert max(abs(a - b) for a, b in zip(turned, before, strict=True)) > 0.1
    for scheme in ("dark", "light"):  # a change of theme does not turn it back
        page.emulate_media(color_scheme=scheme)
        themed(page, place, dark=scheme == "dark")
        browser.frames(page, 3)
        assert place.evaluate(eye) == pytest.approx(turned)


def test_hostile_names_are_text(page, make):
    assert page.evaluate("window.owned") is None
    assert page.locator("img:not(.paper-only)").count() == 0
    ticks = page.locator(".square .ytick text").all_text_contents()
    assert any(text.startswith("<img src=") for text in ticks)
    assert any(text.startswith("</script>") for text in ticks)
    cells = page.locator(".square .nsewdrag").first
    cells.scroll_into_view_if_needed()
    box = cells.bounding_box()
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.25 * box["height"])  # column 3, row 2
    page.wait_for_selector(".square .hoverlayer .hovertext", state="attached")
    hover = page.locator(".square .hoverlayer").first.text_content()
    assert make["hostile"] in hover
    assert "</script><script>window.owned=2</script>" in hover
    assert page.evaluate("window.owned") is None


def rgb(page, selector, what):
    return page.evaluate(
        "([selector, what]) => getComputedStyle(document.querySelector(selector))[what]", [selector, what]
    )


def brightness(colour):
    return sum(float(channel) for channel in re.findall(r"[\d.]+", colour)[:3]) / 3


def test_dark_follows_the_reader_and_the_button(page):
    tick = ".small .ytick text"
    assert brightness(rgb(page, "body", "backgroundColor")) > 200
    assert brightness(rgb(page, tick, "fill")) < 120
    page.emulate_media(color_scheme="dark")
    themed(page, page.locator(".small [data-plot]").first, dark=True)
    assert brightness(rgb(page, "body", "backgroundColor")) < 60
    assert brightness(rgb(page, tick, "fill")) > 140
    page.locator("#theme").click()
    assert brightness(rgb(page, "body", "backgroundColor")) > 200
    assert brightness(rgb(page, tick, "fill")) < 120
    page.emulate_media(color_scheme="light")
    page.evaluate("document.documentElement.dataset.theme = 'auto'")


def test_a_phone_scrolls_in_one_direction(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(f"() => {_WIDEST} < 390")  # drawn again at the new width
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate(f"() => {_WIDEST}") > 200
    outside = page.evaluate(
        """() => [...document.querySelectorAll('main *')]
            .filter((item) => !item.closest('.scroll, pre, .unseen, svg, details:not([open])'))
            .filter((item) => item.getBoundingClientRect().right > 391).map((item) => item.outerHTML.slice(0, 80))"""
    )
    assert outside == []
    assert page.evaluate("document.querySelector('.scroll').scrollWidth > 390")  # the table scrolls inside
    page.set_viewport_size({"width": 900, "height": 700})
    page.wait_for_function(f"() => {_WIDEST} > 700")


def test_the_filter_finds_metrics(page):
    page.fill("#filter", "gnc2 margin weight")
    names = page.locator("tr.metric:visible code").all_text_contents()
    assert "gnc2/margin@weight" in names
    assert all("margin" in page.locator("tr.metric:visible").nth(i).text_content().lower() for i in range(len(names)))
    assert page.locator("#count").text_content().startswith(f"{len(names)} of ")
    page.fill("#filter", "no such metric")
    assert page.locator("tr.metric:visible").count() == 0
    page.fill("#filter", "")
    everything = page.locator("tr.metric:visible").count()
    page.check("#measured")
    assert 0 < page.locator("tr.metric:visible").count() < everything
    page.uncheck("#measured")


def test_inner_layers_fold_out(page):
    folded = page.locator("tbody.folded")
    assert folded.count() == 1
    assert folded.locator("tr.metric:visible").count() == 0
    page.locator(".fold").click()
    assert page.locator(".fold").get_attribute("aria-expanded") == "true"
    assert page.locator("tbody tr.metric:visible").count() == page.locator("tr.metric").count()
    page.locator(".fold").click()


def test_more_plots_are_drawn_when_asked_for(page):
    more = page.locator("#layers details.more")
    assert more.locator(".main-svg").count() == 0
    more.locator("summary").click()
    page.wait_for_function(
        "() => document.querySelectorAll('#layers details.more [data-plot]:not(.js-plotly-plot)').length === 0"
    )
    sizes = more.locator("[data-plot]").evaluate_all(
        "(items) => items.map((item) => item.querySelector('.main-svg').clientWidth)"
    )
    assert min(sizes) > 150
    more.locator("summary").click()


def test_paper_is_light_fits_and_is_left_behind(page):
    page.emulate_media(color_scheme="dark")
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page[^s]", pdf)) <= 30
    assert brightness(rgb(page, "body", "backgroundColor")) < 60  # the screen is dark again
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert brightness(rgb(page, "body", "backgroundColor")) > 250
    assert brightness(rgb(page, ".small .ytick text", "fill")) < 120
    drawings = page.evaluate(f"() => ({_ACTIVE})().filter((place) => place.offsetParent).map((place) => "
                             "place.querySelector('.main-svg').getBoundingClientRect().right)")  # fmt: skip
    assert max(drawings) <= 700
    picture = page.locator(".ball img.paper-only")
    assert picture.is_visible()
    assert picture.evaluate("(item) => item.naturalWidth") == 1400
    assert page.locator("#run details").last.get_attribute("open") is not None
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".paper").count() == 0
    page.emulate_media(color_scheme="light")


def test_everything_has_a_name_and_a_heading(page):
    assert page.locator("h1").count() == 1
    assert page.evaluate(
        "[...document.querySelectorAll('[data-plot]')].every((item) => item.getAttribute('aria-label'))"
    )
    assert page.evaluate("[...document.querySelectorAll('button, input')].every((item) => item.labels?.length"
                         " || item.getAttribute('aria-label') || item.textContent.trim())")  # fmt: skip
    levels = page.locator("h1, h2, h3").evaluate_all("(items) => items.map((item) => Number(item.tagName[1]))")
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_the_circle_at_two_dimensions(browser, context, make, tmp_path):
    run = make["built"](tmp_path / "run", K=8, d=2, epochs=0, layers=())
    page, watch = opened(browser, context, write_report(run))
    place = page.locator(".ball [data-plot]")
    assert place.locator("canvas").count() == 0
    assert place.locator(".scatterlayer .trace").count() >= 4
    assert (watch.complaints, watch.requests) == ([], [])
    page.close()


def test_a_run_with_numbers_alone(browser, context, make, tmp_path):
    run = make["run"](tmp_path / "run", {"metrics": [make["row"]("nc1/pinv", 0.1)]})
    page, watch = opened(browser, context, write_report(run))
    assert page.locator("h1").text_content() == "This run holds measurements and no verdict."
    assert page.locator("tr.metric:visible").count() == 1
    assert (watch.complaints, watch.requests) == ([], [])
    page.close()


def test_the_watch_can_complain(browser, context, tmp_path):
    """The assertions above rest on it: it must see an error, a forbidden script and a request."""
    bad = tmp_path / "bad.html"
    bad.write_text('<meta http-equiv="Content-Security-Policy" content="script-src \'unsafe-inline\'">'
                   '<script>console.error("seen"); eval("1")</script><img src="https://example.invalid/a.png">')  # fmt: skip
    page = context.new_page()
    watch = browser.Watch(page)
    page.goto(bad.as_uri())
    while len(watch.complaints) < 2 or not watch.requests:
        page.wait_for_timeout(10)
    assert any("seen" in text for text in watch.complaints)
    assert any("unsafe-eval" in text for text in watch.complaints)
    assert watch.requests == ["https://example.invalid/a.png"]
    page.close()


def test_a_comparison_is_drawn_without_a_complaint(browser, context, sphere_run, tmp_path):
    page, watch = opened(
        browser, context, write_comparison({"one": sphere_run, "two": sphere_run}, tmp_path / "page.html")
    )
    plots = page.evaluate(f"({_ACTIVE})().map((place) => place.querySelectorAll('.main-svg, canvas').length)")
    assert len(plots) == 8
    assert all(plots)
    page.fill("#filter", "margin_ratio")
    assert (
        page.locator("tr.metric:visible").count() == page.locator("tr.metric:visible", has_text="margin_ratio").count()
    )
    page.close()
    assert watch.complaints == []
    assert watch.requests == []
