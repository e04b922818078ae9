"""The page as a file: the same bytes for the same run, nothing remote, no user string that is more than text (P16)."""

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser

import pytest

from neucollapse import FileFormatError, write_report


class Page(HTMLParser):
    """Elements, their attributes and the text of scripts, as a browser would split them."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.scripts, self.words = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script":
            self.scripts[-1] += data
        self.words.append(data)

    def handle_endtag(self, tag):
        self.elements.append(("/" + tag, {}))

    @property
    def policy(self):
        return next(attrs["content"] for tag, attrs in self.elements if attrs.get("http-equiv"))


@pytest.fixture(scope="module")
def page(sphere_run, tmp_path_factory):
    return Page(write_report(sphere_run, tmp_path_factory.mktemp("page") / "page.html"))


def test_the_page_stands_in_the_folder_of_the_run(sphere_run, tmp_path):
    run = shutil.copytree(sphere_run, tmp_path / "run")
    before = {path.name for path in run.iterdir()}
    assert write_report(str(run)) == run / "report.html"
    assert {path.name for path in run.iterdir()} - before == {"report.html"}


def test_same_files_same_bytes(sphere_run, tmp_path):
    elsewhere = shutil.copytree(sphere_run, tmp_path / "another name")
    one, other = write_report(sphere_run, tmp_path / "a.html"), write_report(elsewhere, tmp_path / "b.html")
    assert one.read_bytes() == other.read_bytes()


def test_a_page_that_cannot_be_written_leaves_the_old_one(sphere_run, tmp_path):
    run = shutil.copytree(sphere_run, tmp_path / "run")
    page = write_report(run)
    old = page.read_bytes()
    (run / "arrays.safetensors").write_bytes(b"damaged")
    with pytest.raises(FileFormatError):
        write_report(run)
    assert page.read_bytes() == old
    assert {path.name for path in run.iterdir() if path.name.startswith(".")} <= {".lock"}


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attrs in page.elements:
        for name in ("src", "srcset", "data", "poster", "action", "background"):
            assert name not in attrs, (tag, attrs)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form", "img")
        assert attrs.get("href", "#").startswith("#")
    style = next(text for text in page.words if "color-scheme" in text)
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_our_scripts_by_hash_and_no_request(page):
    directives = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["base-uri"] == directives["form-action"] == "'none'"
    assert directives["img-src"] == "data: blob:"
    _, *code = page.scripts
    assert len(code) == 2
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in code]
    assert directives["script-src"].split() == hashes
    assert set(directives) == {"default-src", "base-uri", "form-action", "img-src", "script-src", "style-src"}


def test_the_policy_comes_before_everything_it_governs(page):
    tags = [(tag, attrs) for tag, attrs in page.elements if not tag.startswith("/")]
    place = next(i for i, (_, attrs) in enumerate(tags) if attrs.get("http-equiv"))
    assert [tag for tag, _ in tags[:place]] == ["html", "head", "meta"]


def test_no_name_becomes_an_element(page, make):
    assert [tag for tag, _ in page.elements if tag in ("img", "b")] == []
    assert len(page.scripts) == 3
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)


def test_hostile_strings_everywhere_stay_text(make, tmp_path):
    bad = make["hostile"]
    definition = dict.fromkeys(("title", "symbol", "definition", "range", "at_collapse", "citation", "family"), bad)
    content = {
        "title": bad,
        "command": bad,
        "classifier": bad,
        "created": bad,
        "splits": [bad],
        "class_names": [bad] * 4,
        "verdict": [{"tone": bad, "text": bad}] * 2,
        "metrics": [
            make["row"](bad, 0.5, split=bad),
            make["row"]("b", None, split=bad, absent=bad),
            make["row"](bad, 0.7, split=bad, layer=bad),
        ],
        "definitions": {bad: definition},
        "flags": [{"code": bad, "sentence": bad, "where": bad, "severity": bad}],
        "environment": {bad: bad, "packages": {bad: bad}},
        "training": {"config": {bad: [bad, {bad: bad}]}},
        "citations": [bad],
    }
    page = write_report(make["run"](tmp_path / "run", content))
    parsed = Page(page)
    assert [tag for tag, _ in parsed.elements if tag == "img"] == []
    assert len(parsed.scripts) == 3
    assert sum(bad in text for text in parsed.words) >= 12
    for plot in make["plots"](page):
        assert bad not in str(plot)


def test_every_metric_stands_in_the_table_with_its_reason(make, tmp_path):
    rows = [make["row"](f"nc1/v{i}", i / 7, split="train", optimum=0.25) for i in range(40)]
    rows.append(make["row"]("nc9/gone", None, split="train", absent="there is no classifier"))
    definitions = {"nc1/v3": {"title": "third", "definition": "Spread of the third kind.", "range": "[0, 9]"}}
    flags = [{"code": "c", "sentence": "Mind the third.", "where": "train/nc1/v3", "severity": "warning"}]
    content = {"splits": ["train"], "metrics": rows, "definitions": definitions, "flags": flags}
    text = " ".join(Page(write_report(make["run"](tmp_path / "run", content))).words)
    for i in range(40):
        assert f"nc1/v{i}" in text
    assert "Absent: there is no classifier" in text
    assert "Spread of the third kind." in text
    assert text.count("Mind the third.") == 2  # in the list of flags and beside the metric
    assert "[0, 9]" in text
    assert "0.25" in text


def test_the_verdict_stands_first_and_in_words(page, sphere_run):
    text = " ".join(" ".join(page.words).split())
    headline = text.index("have collapsed")
    order = [
        "Accuracy of the classifier",
        "Each plot follows",
        "Cosine between every two",
        "The cosine margin",
        "Every vector",
    ]
    order += ["The same metrics on the features of inner layers", "What to know beside the numbers", "This run"]
    places = [headline, *(text.index(words, headline) for words in order)]
    assert places == sorted(places)


def test_citations_are_bibtex_and_unknown_keys_are_named(make, tmp_path):
    content = {"citations": ["papyan2020", "nobody2031"]}
    text = " ".join(Page(write_report(make["run"](tmp_path / "run", content))).words)
    assert re.search(r"@article\{papyan2020,", text)
    assert "Not among the references of this version: nobody2031." in text
