"""``neucollapse code``, ``code table``, ``code verify`` and ``code required-dim`` as a person runs them."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neucollapse import geometry
from neucollapse._errors import InputError
from neucollapse._files import load_tensors
from neucollapse.cli import _codes, main
from neucollapse.data import load_weight
from neucollapse.geometry import Atlas, icosahedron, max_cosine, one_vs_rest, polygon, simplex

PROGRAM = str(Path(sys.executable).parent / "neucollapse")


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, **options)


def words(text):
    return " ".join(text.split())


def test_a_code_is_printed_saved_and_read_again(tmp_path):
    out = tmp_path / "code.safetensors"
    done = run("code", "--classes", 12, "--dim", 3, "--budget", "0", "-o", out)
    assert done.returncode == 0, done.stderr
    assert "0.5527864045" in done.stdout  # 1 - 1/sqrt(5), the icosahedron
    assert "how it ended" in done.stdout
    assert "strict local optimum" in words(done.stdout)
    tensors, metadata = load_tensors(out, schema="neucollapse/code/1")
    rows = tensors["weight"]
    assert rows.dtype == torch.float64
    assert one_vs_rest(rows).margin == pytest.approx(1 - 1 / math.sqrt(5), abs=1e-12)
    assert metadata["value"] == pytest.approx(one_vs_rest(rows).margin, abs=1e-14)
    assert (metadata["kind"], metadata["K"], metadata["d"]) == ("softmax", 12, 3)
    assert metadata["certificate"]["contacts"] == 30  # edges of the icosahedron
    assert metadata["source"]
    assert torch.equal(load_weight(out).weight, rows)
    seen = json.loads(run("inspect", out, "--json").stdout)
    assert seen["numbers"]["gnc2/margin_ratio@weight"] == pytest.approx(1, abs=1e-9)


def test_a_search_is_bounded_by_a_budget_or_by_starts(capsys):
    arguments = ["code", "--classes", "5", "--dim", "4", "--kind", "energy", "--exponent", "2", "--json"]
    assert main([*arguments, "--budget", "1s"]) == 0
    found = json.loads(capsys.readouterr().out)
    # Every distance of the simplex of K points is sqrt(2K/(K-1)), so the mean of ‖·‖^-2 is (K-1)/(2K).
    assert found["value"] == pytest.approx(4 / 10, abs=1e-12)
    assert found["certificate"]["local_optimum"] is True
    assert found["certificate"]["gradient"] < 1e-12
    # A size that nothing is known of: the search has to find it.
    assert main(["code", "--classes", "5", "--dim", "3", "--kind", "grassmannian", "--starts", "4", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert lines["stats"]["starts"] == 4
    assert lines["margin"] is None
    assert lines["value"] <= 1 / math.sqrt(5) + 1e-12  # five diagonals of the icosahedron do as well
    assert lines["value"] >= lines["bound"] - 1e-12


def test_budgets_and_ranges_are_read():
    assert [_codes.seconds(text) for text in ("60", "60s", "2m", "1h", "0.5m", "0")] == [60, 60, 120, 3600, 30, 0]
    assert [list(_codes.span(text, "--dim")) for text in ("3", "3-5")] == [[3], [3, 4, 5]]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("softmax", 1 - math.cos(2 * math.pi / 7)), ("spherical", math.cos(2 * math.pi / 7)), ("determinant", None)],
)
def test_proved_optima_need_no_search(kind, value, capsys):
    assert main(["code", "--classes", "7", "--dim", "2", "--kind", kind, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["result"] == "PROVED"
    assert found["value"] == pytest.approx(math.log(7 / 2) if value is None else value, abs=1e-12)
    assert abs(found["relative_gap"]) < 1e-12


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--classes", "1", "--dim", "3"], "number of classes"),
        (["--classes", "5", "--dim", "0"], "dimension"),
        (["--classes", "7", "--dim", "3", "--budget", "-5"], "expected --budget as a time"),
        (["--classes", "7", "--dim", "3", "--budget", "5 parsecs"], "60s, 2m or 1h"),
        (["--classes", "7", "--dim", "3", "--budget", "inf"], "expected --budget"),
        (["--classes", "7", "--dim", "3", "--budget", ""], "expected --budget"),
        (["--classes", "7", "--dim", "3", "-o", "code.pt"], ".safetensors"),
        (["--classes", "7", "--dim", "3", "--plot", "page"], ".html"),
        (["--classes", "900", "--dim", "7", "--budget", "0"], "no code of 900 points"),
        (["--classes", "7", "--dim", "3", "--kind", "energy", "--save-to-atlas", "a.safetensors"], "--save-to-atlas"),
        (["--classes", "7", "--dim", "3", "--kind", "energy", "--exponent", "-1", "--budget", "0"], "exponent"),
        (["table", "--dim", "8-3"], "expected --dim as a number or a range"),
        (["table", "--dim", "0"], "expected --dim"),
        (["table", "--classes", "few"], "expected --classes"),
        (["table", "--classes", "1-4"], "from 2 upwards"),
        (["table", "--classes", "2-90000"], "at most 20,000 sizes"),
        (["table", "--json", "--csv"], "got both"),
        (["required-dim", "--classes", "10", "--margin", "1.5"], "expected a margin"),
    ],
)
def test_wrong_usage_is_exit_code_two_and_one_sentence(arguments, sentence, capsys):
    assert main(["code", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--classes", "7", "--dim", "3", "--kind", "best"), "spherical"),
        (("--classes", "7"), "--dim"),
        (("tables",), "tables"),
    ],
)
def test_options_that_cannot_be_read_are_exit_code_two(arguments, sentence):
    done = run("code", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_used_is_exit_code_three(tmp_path, capsys):
    save_file({"weight": torch.tensor([[1.0, 0.0], [torch.nan, 1.0]])}, tmp_path / "nan.safetensors")
    save_file({"weight": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}, tmp_path / "zero.safetensors")
    save_file({"weight": torch.ones(1, 4)}, tmp_path / "one.safetensors")
    np.save(tmp_path / "cut.npy", np.eye(3))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-9])
    for name in ("nan.safetensors", "zero.safetensors", "one.safetensors", "cut.npy", "none.npy"):
        assert main(["code", "verify", str(tmp_path / name)]) == 3
        error = capsys.readouterr().err
        assert error.startswith("neucollapse: cannot use ")
        assert name in error
        assert error.count("\n") == 1
    search = ["code", "--classes", "7", "--dim", "3"]  # and before any search, not after it
    assert main([*search, "--atlas", str(tmp_path / "none.safetensors")]) == 3
    assert main([*search, "--save-to-atlas", str(tmp_path / "one.safetensors")]) == 3


@pytest.mark.skipif(os.name == "nt", reason="there are no signals to send")
def test_ctrl_c_prints_and_writes_the_best_so_far(tmp_path):
    out = tmp_path / "code.safetensors"
    script = (
        "import os, signal, sys\n"
        "from neucollapse.cli import main\n"
        "from neucollapse.geometry.codes import _search\n"
        "anneal, calls = _search.anneal, []\n"
        "def interrupted(*arguments, **options):\n"
        "    calls.append(None)\n"
        "    if len(calls) == 40: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return anneal(*arguments, **options)\n"
        "_search.anneal = interrupted\n"
        "size = ['--classes', '13', '--dim', '4', '--budget', '1h', '--workers', '1']\n"
        f"sys.exit(main(['code', *size, '-o', {str(out)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "The search was interrupted" in words(done.stdout)
    assert "Traceback" not in done.stderr
    tensors, metadata = load_tensors(out, schema="neucollapse/code/1")
    assert metadata["result"] == "INTERRUPTED"
    assert max_cosine(tensors["weight"]) <= geometry.best_known(13, 4).max_cosine + 1e-10  # what is known competes


def test_ctrl_c_before_there_is_any_code(monkeypatch, capsys):
    def never(*_, budget, **__):
        if budget == 0:
            raise InputError("no code is known")
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(geometry, "best_code", never)
    before = signal.getsignal(signal.SIGINT)
    assert main(["code", "--classes", "90", "--dim", "7"]) == 130
    assert "before the search had a first code" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_the_table_is_aligned_and_full(capsys):
    assert main(["code", "table", "--dim", "3", "--classes", "4-12"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split()[:5] == ["d", "K", "margin", "max", "cosine"]
    rows = [line.split(maxsplit=5) for line in lines[2:]]
    assert [int(row[1]) for row in rows] == list(range(4, 13))
    assert rows[0][2:5] == ["1.333333333333", "-0.333333333333", "proved"]
    assert rows[-1][2] == f"{1 - 1 / math.sqrt(5):.12f}"
    assert len({line.index(row[4]) for line, row in zip(lines[2:], rows, strict=True)}) == 1
    assert main(["code", "table", "--dim", "3", "--classes", "4-12", "--json"]) == 0
    codes = json.loads(capsys.readouterr().out)["codes"]
    assert main(["code", "table", "--dim", "3", "--classes", "4-12", "--csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["margin"]) for row in table] == [code["margin"] for code in codes]
    assert [row["source"] for row in table] == [code["source"] for code in codes]


def test_a_table_without_a_code_says_so(capsys):
    assert main(["code", "table", "--dim", "3", "--classes", "100000"]) == 0
    assert "No code of these sizes is known" in capsys.readouterr().out


def test_verify_certifies_compares_and_keeps(tmp_path, capsys):
    mine, worse, atlas = tmp_path / "mine.npy", tmp_path / "worse.npy", tmp_path / "atlas.safetensors"
    np.save(mine, 3 * icosahedron().numpy())
    generator = torch.Generator().manual_seed(0)
    np.save(worse, (icosahedron() + 0.05 * torch.randn(12, 3, generator=generator, dtype=torch.float64)).numpy())
    assert main(["code", "verify", str(worse), "--save-to-atlas", str(atlas)]) == 0
    assert "Worse by" in words(capsys.readouterr().out)
    first = Atlas.load(atlas).get(12, 3)
    assert main(["code", "verify", str(mine), "--save-to-atlas", str(atlas), "--source", "by hand"]) == 0
    said = words(capsys.readouterr().out)
    assert "As good as the best known" in said
    assert "lengths from 3 to 3" in said
    assert "in place of a worse code" in said
    kept = Atlas.load(atlas).get(12, 3)
    assert kept.source == "by hand"
    assert kept.margin > first.margin
    stored = atlas.read_bytes()
    assert main(["code", "verify", str(worse), "--save-to-atlas", str(atlas)]) == 0
    assert "nothing was added" in words(capsys.readouterr().out)
    assert atlas.read_bytes() == stored


def test_verify_knows_single_precision_and_lines(tmp_path, capsys):
    save_file({"head.weight": icosahedron().float()}, tmp_path / "single.safetensors")
    assert main(["code", "verify", str(tmp_path / "single.safetensors"), "--kind", "spherical", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "head.weight"
    assert found["certificate"]["contacts"] == 30
    np.save(tmp_path / "lines.npy", np.eye(4))
    assert main(["code", "verify", str(tmp_path / "lines.npy"), "--kind", "grassmannian", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] == pytest.approx(0, abs=1e-15)
    assert found["margin"] is None
    assert found["comparison"].startswith("As good as the best known")


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (polygon(5).numpy() * [[1.0], [1], [1], [1], [2]], "Its 5 rows were read as the points"),  # of several lengths
        (icosahedron().numpy(), "Its 12 rows were read as the points; if its 3 columns are, say --transpose True."),
        (geometry.unit_rows(torch.randn(7, 4, generator=torch.Generator().manual_seed(0))).numpy(), ""),
    ],
    ids=["no lengths", "both lengths", "rows alone"],
)
def test_verify_says_which_way_round_a_bare_array_was_read(tmp_path, points, said, capsys):
    np.save(tmp_path / "points.npy", points)
    assert main(["code", "verify", str(tmp_path / "points.npy"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["K"], found["d"]) == points.shape
    assert found["remark"].startswith(said)
    assert said or not found["remark"]
    assert main(["code", "verify", str(tmp_path / "points.npy"), "--transpose", "False", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == found["value"]


def test_verify_asks_where_columns_look_like_the_points(tmp_path, capsys):
    rows = geometry.unit_rows(torch.randn(7, 4, generator=torch.Generator().manual_seed(0)))
    np.save(tmp_path / "turned.npy", rows.T.numpy())
    assert main(["code", "verify", str(tmp_path / "turned.npy")]) == 3
    assert "--transpose True for K = 7 points in d = 4 dimensions" in words(capsys.readouterr().err)
    assert main(["code", "verify", str(tmp_path / "turned.npy"), "--transpose", "True", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(one_vs_rest(rows).margin, abs=1e-12)
    save_file({"head.kernel": rows.T.contiguous()}, tmp_path / "kernel.safetensors")  # as Flax stores it
    assert main(["code", "verify", str(tmp_path / "kernel.safetensors"), "--json"]) == 0
    assert "columns of head.kernel (4, 7) are the classes" in json.loads(capsys.readouterr().out)["remark"]


def test_an_atlas_of_ones_own_is_looked_in(tmp_path, capsys):
    path = tmp_path / "atlas.safetensors"
    atlas = Atlas()
    generator = torch.Generator().manual_seed(1)
    rows = geometry.unit_rows(torch.randn(600, 6, generator=generator))  # a size the package has no code for
    atlas.add(geometry.Entry.of(rows, "random"))
    atlas.save(path)
    assert main(["code", "--classes", "600", "--dim", "6", "--budget", "0", "--json"]) == 2
    assert "no code of 600 points in 6 dimensions is known" in capsys.readouterr().err
    assert main(["code", "--classes", "600", "--dim", "6", "--budget", "0", "--json", "--atlas", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] == pytest.approx(one_vs_rest(rows).margin, abs=1e-12)
    assert found["source"] == "Best known code: random."


def test_required_dim(capsys):
    assert main(["code", "required-dim", "--classes", "1000", "--margin", "1.001"]) == 0
    assert capsys.readouterr().out.startswith("d = 999:")  # only a simplex exceeds 1
    assert main(["code", "required-dim", "--classes", "1000", "--margin", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["d"] == 500  # the cross-polytope
    assert found["at_least"] <= 500


def test_a_page_is_written_and_unwritable_places_are_a_sentence(tmp_path, capsys):
    page = tmp_path / "deep" / "code.html"
    assert main(["code", "--classes", "6", "--dim", "2", "--plot", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "no code does better" in text
    assert "60° apart" in text
    assert f"Page: {page}" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert main(["code", "--classes", "6", "--dim", "2", "-o", str(tmp_path / "file" / "a.safetensors")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    np.save(tmp_path / "square.npy", polygon(4).numpy())
    assert main(["code", "verify", str(tmp_path / "square.npy"), "--plot", str(tmp_path / "square.html")]) == 0
    assert "90° apart" in (tmp_path / "square.html").read_text(encoding="utf-8")
    assert simplex(3).shape == (3, 2)


_KEEP = """
import sys
import numpy as np
from pathlib import Path
from neucollapse.cli import _codes
from neucollapse.geometry import simplex
sys.stdin.read(1)
_codes.keep(Path(sys.argv[1]), simplex(int(sys.argv[2])), "softmax", "here")
"""


@pytest.mark.slow
def test_codes_added_at_the_same_time_are_all_kept(tmp_path):
    atlas, sizes = tmp_path / "atlas.safetensors", range(3, 6)
    started = [
        subprocess.Popen([sys.executable, "-c", _KEEP, str(atlas), str(K)], stdin=subprocess.PIPE) for K in sizes
    ]
    for process in started:
        process.stdin.close()
    assert [process.wait() for process in started] == [0, 0, 0]
    assert {entry.K for entry in Atlas.load(atlas)} == set(sizes)


def test_a_code_added_since_the_command_began_is_kept(tmp_path):
    path = tmp_path / "atlas.safetensors"
    for K in (4, 5, 6):  # each as if the others had been at work meanwhile
        _codes.check_atlas(path, "softmax")
        assert _codes.keep(path, geometry.simplex(K), "softmax", "here").startswith("Added")
    assert len(Atlas.load(path)) == 3
    assert "nothing was added" in _codes.keep(path, geometry.simplex(5), "softmax", "again")
