"""Several runs on one page: every number under its run, the runs found again, the same bytes, no user string more than text."""

import shutil

import pytest

from neucollapse import FileFormatError, InputError
from neucollapse.cli import main
from neucollapse.report import write_comparison, write_report

HOSTILE = "</script><script>window.owned=3</script>"


@pytest.fixture(scope="module")
def pair(make, sphere_run, tmp_path_factory):
    """A full run with its report, and one written by hand, with other metrics and no history."""
    folder = tmp_path_factory.mktemp("pair")
    shutil.copytree(sphere_run, folder / "full run")
    write_report(folder / "full run")
    rows = [
        make["row"]("gnc2/margin_ratio", 0.8125, "train", optimum=1.0),
        make["row"]("accuracy/linear", None, "train", absent="there is no classifier"),
        make["row"]("own/number", 3.25, "train"),
    ]
    verdict = [{"tone": "bad", "text": "Nothing has collapsed."}]
    content = {"splits": ["train"], "metrics": rows, "verdict": verdict, "title": HOSTILE}
    make["run"](folder / "by hand", content)
    return folder


def words(page):
    text = page.read_text(encoding="utf-8")
    return text[text.index("<main") : text.index("</main>")]


def test_numbers_stand_under_their_runs_with_their_optima(pair):
    page = write_comparison({"full": pair / "full run", "hand": pair / "by hand"}, pair / "page.html")
    text = words(page)
    ratio = text[text.index("<code>gnc2/margin_ratio</code>") :].partition("</tr>")[0]
    cells = [cell.partition("</td>")[0] for cell in ratio.split("<td")[1:]]
    assert len(cells) == 3
    assert "0.8125" not in cells[0]
    assert 'title="0.8125">0.8125 <span class="soft">/ 1</span>' in cells[1]
    own = text[text.index("own/number") :].partition("</tr>")[0]
    assert 'title="not measured">—' in own
    assert "3.25" in own
    assert 'title="there is no classifier">absent' in text
    assert text.index("Nothing has collapsed.") < text.index("<table")


def test_runs_with_a_report_are_linked_from_where_the_page_stands(pair, tmp_path):
    text = words(write_comparison({"full": pair / "full run", "hand": pair / "by hand"}, pair / "page.html"))
    assert 'href="full%20run/report.html"' in text
    assert text.count("href=") == 1
    elsewhere = words(write_comparison({"a": pair / "full run", "b": pair / "by hand"}, tmp_path / "page.html"))
    assert "/full%20run/report.html" in elsewhere


def test_curves_of_all_runs_share_a_plot_and_spheres_stand_beside_each_other(make, pair):
    runs = {"one": pair / "full run", "two": pair / "full run"}
    plots = make["plots"](write_comparison(runs, pair / "page.html"))
    flat = [plot for plot in plots if "scene" not in plot["layout"]]
    assert all({"one", "two"} <= {trace["name"] for trace in plot["data"]} for plot in flat)
    assert len({str(trace["line"]["color"]) for trace in flat[0]["data"][:2]}) == 2
    assert sum("scene" in plot["layout"] for plot in plots) == 2


def test_same_files_same_bytes_and_hostile_text_stays_text(pair):
    runs = {"full": pair / "full run", HOSTILE: pair / "by hand"}
    one, other = write_comparison(runs, pair / "a.html"), write_comparison(runs, pair / "b.html")
    assert one.read_bytes() == other.read_bytes()
    assert "window.owned=3</script>" not in one.read_text(encoding="utf-8")


def test_from_the_command_line(pair, monkeypatch, capsys):
    monkeypatch.chdir(pair)
    assert main(["report", "full run", "by hand"]) == 0
    assert capsys.readouterr().out == "comparison.html\n"
    assert '<th scope="col" class="value">by hand</th>' in words(pair / "comparison.html")
    shutil.copytree(pair / "by hand", pair / "deeper" / "by hand")
    assert main(["report", "by hand", "deeper/by hand", "--page", "c.html"]) == 0
    assert "deeper/by hand</th>" in words(pair / "c.html")


def test_what_cannot_be_compared_is_a_sentence(pair, capsys):
    with pytest.raises(InputError, match="two or more runs to compare, got 1"):
        write_comparison({"full": pair / "full run"}, pair / "page.html")
    with pytest.raises(FileFormatError, match=r"no such folder"):
        write_comparison({"full": pair / "full run", "none": pair / "none"}, pair / "none.html")
    assert not (pair / "none.html").exists()
    assert main(["report"]) == 2
    assert "expected the folder of a run, got none" in capsys.readouterr().err
