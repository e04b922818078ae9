"""The package as a whole: lazy import, public names (P17), and no code that a file could run (P14)."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import neucollapse

SOURCE = Path(neucollapse.__file__).parent


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, neucollapse, neucollapse._names, neucollapse._git, neucollapse._memory, neucollapse._conditions;"
        "print(sorted({'torch', 'numpy', 'scipy', 'plotly', 'lightning'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_public_names():
    doors = [
        "best_code",
        "describe",
        "inspect",
        "measure",
        "simulate",
        "solve",
        "train",
        "write_comparison",
        "write_report",
    ]
    rooms = [
        "data",
        "geometry",
        "heads",
        "losses",
        "metrics",
        "probe",
        "report",
        "statistics",
        "theory",
        "training",
    ]
    errors = [
        "FileFormatError",
        "FileWriteError",
        "InputError",
        "MissingExtraError",
        "NeucollapseError",
        "NonFiniteError",
        "SolverError",
    ]
    assert dir(neucollapse) == sorted([*doors, *rooms, "ClassStatistics", "CollapseResult", "collapse_metrics"])
    assert set(neucollapse.__all__) == {*dir(neucollapse), *errors}
    assert neucollapse.__all__ == sorted(neucollapse.__all__)
    for name in neucollapse.__all__:
        assert getattr(neucollapse, name) is not None
    assert neucollapse.__version__ == version("neucollapse")
    with pytest.raises(AttributeError, match="has no attribute 'mesure'; did you mean 'measure'"):
        _ = neucollapse.mesure
    assert not hasattr(neucollapse, "_nothing")
    from neucollapse import cli  # a part that is no public name is imported as any module is

    assert cli.__name__ == "neucollapse.cli"


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: keyword.value for keyword in node.keywords}


def test_no_call_can_run_a_file():
    found = 0
    for path in SOURCE.rglob("*.py"):
        for name, options in calls(ast.parse(path.read_text())):
            assert name not in (
                "eval",
                "exec",
                "yaml.load",
                "pickle.load",
                "pickle.loads",
                "pickle.dump",
                "torch.save",
            ), path
            if name == "torch.load":
                assert ast.unparse(options["weights_only"]) == "True", path
                found += 1
            if name in ("np.load", "numpy.load", "np.lib.format.read_array", "numpy.lib.format.read_array"):
                assert ast.unparse(options["allow_pickle"]) == "False", path
    assert found  # the rule has something to hold on to
