"""The revision of a result: read from git's files, whatever they hold, and no program of the folder is run."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import neucollapse
from neucollapse._git import git_revision

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def repository(folder, head, **files):
    git = folder / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "objects").mkdir()
    for name, text in {"HEAD": head, **files}.items():
        path = git / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return git


CASES = {
    "a branch": ("ref: refs/heads/main\n", {"refs__heads__main": COMMIT + "\n"}, COMMIT[:12]),
    "a commit": (COMMIT + "\n", {}, COMMIT[:12]),
    "a packed branch": (
        "ref: refs/heads/a/b\n",
        {"packed-refs": f"# pack-refs\n{OTHER} refs/heads/x/refs/heads/a/b\n{COMMIT} refs/heads/a/b\n"},
        COMMIT[:12],
    ),
    "SHA-256": ("ab" * 32, {}, "ab" * 6),
    "no commit yet": ("ref: refs/heads/main\n", {}, None),
    "another file's contents": ("ref: refs/heads/main\n", {"refs__heads__main": "password\n"}, None),
    "a way out": ("ref: refs/../../secret\n", {"refs__heads__main": COMMIT}, None),
    "no text": ("\x00\xff", {}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_repository_has_checked_out(case, tmp_path):
    head, files, expected = CASES[case]
    repository(tmp_path, head, **files)
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_text(COMMIT)
    assert git_revision(tmp_path) == git_revision(tmp_path / "inside") == expected


def test_a_worktree_and_what_is_no_repository(tmp_path):
    git = repository(tmp_path / "main", "ref: refs/heads/main", refs__heads__side=COMMIT)
    (git / "worktrees" / "side").mkdir(parents=True)
    (git / "worktrees" / "side" / "HEAD").write_text("ref: refs/heads/side\n")
    (git / "worktrees" / "side" / "commondir").write_text("../..\n")
    tree = tmp_path / "side"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {git}/worktrees/side\n")
    assert git_revision(tree) == COMMIT[:12]
    (tree / ".git").write_text("gitdir: .git\n")  # itself
    assert git_revision(tree) is None
    (tree / ".git").unlink()
    os.mkfifo(tree / ".git")
    assert git_revision(tree) is None
    assert git_revision(tmp_path / "nowhere") is None
    assert git_revision("a\0b") is None


def test_measuring_runs_no_program_of_the_current_folder(tmp_path):
    (tmp_path / "spy").write_text("#!/bin/sh\ntouch ran\n")
    (tmp_path / "spy").chmod(0o755)
    (tmp_path / "git").symlink_to("spy")
    config = "[core]\nrepositoryformatversion = 0\nfsmonitor = ./spy\npager = ./spy\nhooksPath = .\n"
    repository(tmp_path, "ref: refs/heads/main\n", refs__heads__main=COMMIT, config=config)
    code = (
        "import torch, neucollapse as nc\n"
        "r = nc.measure((torch.randn(8, 3), torch.arange(8) % 2), progress=False)\n"
        "print(r.info['environment']['git_revision'])"
    )
    path = os.pathsep.join(("", os.environ["PATH"]))  # an empty entry of PATH is the current folder
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == COMMIT[:12]
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_workers_of_a_search_import_nothing_of_the_current_folder(tmp_path):
    for name in ("random", "json", "numpy", "joblib"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n")
    script = tmp_path / "elsewhere" / "search.py"
    script.parent.mkdir()
    script.write_text(
        "import os\n"
        "from neucollapse.geometry import SoftmaxCode, solve\n"
        "if __name__ == '__main__':\n"
        "    print(solve(SoftmaxCode(7, 3), starts=2, workers=2, progress=False).problem.K, os.environ.get('PYTHONSAFEPATH'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7", "None"]
    assert not (tmp_path / "ran").exists()


def test_nothing_here_starts_another_program():
    names = {"subprocess", "os.system", "os.popen", "os.startfile", "webbrowser", "pty", "os.exec"}
    for path in Path(neucollapse.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            used = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            used += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            used += [ast.unparse(node)] if isinstance(node, ast.Attribute) else []
            assert not any(word.startswith(tuple(names)) for word in used), path
