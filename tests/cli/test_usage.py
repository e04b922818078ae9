"""Words on the command line that nobody knows: one sentence, with what was likely meant, and exit code 2."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import tyro
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neucollapse import __version__
from neucollapse.cli import COMMANDS, main
from neucollapse.cli._usage import settings_of
from neucollapse.cli.measure import Measure
from neucollapse.training._config import CHOICES

PROGRAM = str(Path(sys.executable).parent / "neucollapse")
PLACES = [
    *((name,) for name in COMMANDS),
    *((name, second) for name, kinds in COMMANDS.items() if isinstance(kinds, dict) for second in kinds),
]


def run(arguments, capsys):
    """Exit code and the two streams."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_a_bare_command_lists_what_there_is(arguments, capsys):
    code, out, err = run(arguments, capsys)
    assert (code, err) == (0, "")
    assert all(f"  {name} " in out for name in COMMANDS)


def test_the_version(capsys):
    assert run(["--version"], capsys) == (0, f"neucollapse {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["mesure", "x"], "neucollapse has no subcommand 'mesure'; did you mean 'measure'?"),
        (["code", "tabel"], "neucollapse code has no subcommand 'tabel'; did you mean 'table'?"),
        (["simulate", "ufn"], "neucollapse simulate has no model 'ufn'; did you mean 'ufm'?"),
        (["train", "digits-spere"], "did you mean 'digits-sphere'"),
        (["train", "--epocs=3"], "neucollapse train has no option --epocs; did you mean --epochs?"),
        (["train", "--head", "cosin"], "got 'cosin'; did you mean 'cosine'?"),
        (["train", "--head", "cosine", "sclae=3"], "head cosine has no option 'sclae'; did you mean 'scale'?"),
        (["train", "--head", "cosine", "digits-sphere"], "as option=value, got 'digits-sphere'"),
        (["train", "--head"], "expected head among linear, cosine"),
        (["train", "--scale", "3"], "it is an option of head cosine, fixed"),
        (["train", "--margin-warmup=.3"], "written --loss cos-face margin-warmup=..."),
        (["train", "--schedule", "cosin"], "--schedule has no choice 'cosin'; did you mean 'cosine'"),
        (["train", "--epochs", "many"], "expected --epochs as INT: "),
        (["train", "--epochs"], "expected --epochs with a value, got none"),
        (["train", "digits-sphere", "again"], "neucollapse train has no place for 'again'"),
        (["measure", "--wieght", "x", "f"], "did you mean --weight"),
        (["code"], "neucollapse code expected --classes and --dim, got none"),
        (["code", "--clases", "3"], "neucollapse code has no option --clases; did you mean --classes"),
        (["code", "table", "--dmi", "3"], "neucollapse code table has no option --dmi; did you mean --dim?"),
        (["simulate", "ufm", "--clases=3"], "neucollapse simulate ufm has no option --clases; did you mean --classes"),
        (["inspect"], "neucollapse inspect expected head, got none"),
        (["inspect", "x", "--qqqq"], "`neucollapse inspect --help` lists what it has"),
        (["measure", "f", "--preset", "papyan"], "papyan2020"),
        (["measure", "f", "--fail-if", "nc1/pin>1"], "did you mean 'nc1/pinv'"),
        (["measure", "f", "--fail-if", "train/nc1/pivn>1"], "did you mean 'nc1/pinv'"),
    ],
)
def test_a_misspelt_word_is_told_with_what_was_meant(arguments, meant, capsys):
    code, out, err = run(arguments, capsys)
    assert (code, out) == (2, "")
    assert err.startswith("neucollapse: ")
    assert err.count("\n") == 1
    assert meant in err


@settings(max_examples=60)
@given(place=st.sampled_from(PLACES), word=st.from_regex(r"--[a-z]{1,8}(=x)?", fullmatch=True))
def test_any_unknown_option_is_one_sentence(place, word):
    """In every command: no box, no trace, and code 2."""
    kind = COMMANDS[place[0]] if len(place) == 1 else COMMANDS[place[0]][place[1]]
    kind = next(iter(kind.values())) if isinstance(kind, dict) else kind
    name = word.partition("=")[0]
    assume(name not in {"--help", *(f"--{setting.replace('_', '-')}" for setting in settings_of(kind))})
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main([*place, word]) == 2
    assert (out.getvalue(), err.getvalue().count("\n")) == ("", 1)
    assert err.getvalue().startswith(f"neucollapse: {' '.join(['neucollapse', *place])} has no option {name}; ")


@given(st.lists(st.lists(st.sampled_from(["nc1/pinv>1", "nc4/mismatch<=2"]), min_size=1, max_size=3), max_size=3))
def test_conditions_stand_in_a_row_or_apart(groups):
    words = [word for group in groups for word in ("--fail-if", *group)]
    command = tyro.cli(Measure, args=["file.npz", *words, "--json"])
    assert (command.features, command.json) == ("file.npz", True)
    assert command.fail_if == tuple(map(tuple, groups))


def test_a_file_behind_conditions_is_measured(tmp_path, capsys):
    for words in (["nc1/pinv>1", "missing.npz"], ["nc1/pinv>1", "nc4/mismatch>1", "missing.npz"]):
        assert main(["measure", "--fail-if", *words]) == 3
        assert "missing.npz" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(shell):
    done = subprocess.run([PROGRAM, "--tyro-print-completion", shell], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("layer-peeled", "required-dim", "stop-when", "fail-if"):
        assert word in done.stdout


def test_help_of_train_lists_what_can_be_chosen(capsys):
    code, out, err = run(["train", "--help"], capsys)
    assert (code, err) == (0, "")
    text = " ".join(out.replace("│", " ").split())
    for kinds in CHOICES.values():
        assert all(name in text for name in kinds)
    assert "cosine scale=16.0 learn-scale=False scale-start=None scale-over=0.5" in text
