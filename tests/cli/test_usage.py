"""Words on the command line that nobody knows: one sentence, with what was likely meant, and exit code 2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neucollapse import __version__
from neucollapse.cli import _COMMANDS, main
from neucollapse.cli.measure import one_condition_each


def run(arguments, capsys):
    """Exit code and the two streams."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def test_a_bare_command_lists_what_there_is(capsys):
    code, out, err = run([], capsys)
    assert (code, err) == (0, "")
    assert all(f"  {name}" in out for name in _COMMANDS)


def test_the_version(capsys):
    assert run(["--version"], capsys) == (0, f"neucollapse {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["mesure", "x"], "did you mean 'measure'?"),
        (["code", "tabel"], "did you mean 'table'?"),
        (["simulate", "ufn"], "did you mean 'ufm'?"),
        (["train", "digits-spere"], "did you mean 'digits-sphere'"),
        (["train", "--epocs=3"], "neucollapse train has no option --epocs; did you mean --epochs?"),
        (["train", "--head", "cosin"], "--head has no choice 'cosin'; did you mean 'cosine'?"),
        (["measure", "--wieght", "x", "f"], "did you mean --weight"),
        (["code", "--clases", "3"], "neucollapse code has no option --clases; did you mean --classes"),
        (["code", "table", "--dmi", "3"], "neucollapse code table has no option --dmi; did you mean --dim?"),
        (["simulate", "ufm", "--clases=3"], "neucollapse simulate ufm has no option --clases; did you mean --classes"),
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


@given(st.lists(st.sampled_from(["nc1/pinv>1", "nc4/mismatch<=2", "--json", "file.npz", "--out", "--fail-if"])))
def test_conditions_never_take_another_word(words):
    """Every condition that follows --fail-if has one of its own before it; nothing else is added or lost."""
    given_words = ["measure", *words]
    done = one_condition_each(given_words)
    assert [word for word in done if word != "--fail-if"] == [word for word in given_words if word != "--fail-if"]
    assert done.count("--fail-if") >= given_words.count("--fail-if")
    at = done.index("--fail-if") if "--fail-if" in done else len(done)
    assert all(done[i - 1] == "--fail-if" for i in range(at, len(done)) if added(done, i))


def added(words, i):
    """Whether a word is a condition that stands right behind another or behind the option."""
    return "/" in words[i] and ("/" in words[i - 1] or words[i - 1] == "--fail-if") and words[i - 2] == "--fail-if"


def test_options_of_other_commands_are_left_alone():
    assert one_condition_each(["train", "--fail-if", "a>1", "b>1"]) == ["train", "--fail-if", "a>1", "b>1"]
