"""The steps of CONTRIBUTING, done: a metric, a loss, a head and a model of the theory are added to a copy, which runs them.

What is added is a module a kind in ``tests/additions``: new files, and replacements in files that are there. No file is touched
that CONTRIBUTING does not name, and ``FILES`` is how many they may be.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
ADDITIONS = Path(__file__).with_name("additions")
FILES = {"metric": 3, "loss": 4, "head": 4, "model": 4}
COPIED = (
    "src",
    "tests",
    "docs",
    "pyproject.toml",
    "mkdocs.yml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
)


def addition(kind: str) -> dict[str, Any]:
    return runpy.run_path(str(ADDITIONS / f"{kind}.py"))


def add(parts: dict[str, Any], copy: Path) -> None:
    """Make the new files of an addition in a copy of the project, and its replacements."""
    for name, text in parts["NEW"].items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    for name, edits in parts["EDITS"].items():
        text = (copy / name).read_text(encoding="utf-8")
        for old, new in edits:
            assert text.count(old) == 1, f"{name} has {text.count(old)} places for {new!r}, at {old!r}"
            text = text.replace(old, new)
        (copy / name).write_text(text, encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project without what it was made from."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(copy: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("kind", FILES)
def test_one_more_is_used_and_tested_by_the_steps(kind: str, copy: Path) -> None:
    parts = addition(kind)
    add(parts, copy)
    assert parts["SEEN"] in run(copy, "-c", parts["USED"])
    for tests in (parts["TESTS"], parts["DOCUMENTED"]):
        counted = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        assert int(re.findall(r"(\d+) passed", counted)[0]) > 0


@pytest.mark.parametrize(("kind", "most"), FILES.items())
def test_every_file_that_is_touched_is_named(kind: str, most: int) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## Add a {kind}\b.*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    named = [re.escape(name).replace("<name>", r"\w+") for name in re.findall(r"`([\w/.<>-]+\.\w+)`", section)]
    touched = [*addition(kind)["NEW"], *addition(kind)["EDITS"]]
    assert len(touched) <= most
    for path in touched:
        assert any(re.search(f"(^|/){name}$", path) for name in named), f"CONTRIBUTING does not name {path}"
