import subprocess
import sys

import pytest

from neucollapse._errors import InputError
from neucollapse._lock import locked

_COUNT = """
import sys, time
from pathlib import Path
from neucollapse._lock import locked

path = Path(sys.argv[1])
for _ in range(20):
    with locked(path):
        number = int(path.read_text())
        time.sleep(0.001)
        path.write_text(str(number + 1))
"""
_DIE = """
import os, sys
from neucollapse._lock import locked

with locked(sys.argv[1]):
    os.kill(os.getpid(), 9)
"""


def test_changes_of_several_processes_are_all_kept(tmp_path):
    path = tmp_path / "count"
    path.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", _COUNT, path]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert path.read_text() == "80"


def test_a_killed_holder_leaves_nothing_locked(tmp_path):
    subprocess.run([sys.executable, "-c", _DIE, tmp_path / "file"])
    with locked(tmp_path / "file", wait=0):
        pass


@pytest.mark.parametrize("folder", [False, True])
def test_a_second_holder_is_told_who_is_in_the_way(tmp_path, folder):
    path = tmp_path if folder else tmp_path / "file"
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(path)  # one thing by two names is one lock
    with locked(path), pytest.raises(InputError, match=r"another process is training in .*-link; expected one"):  # noqa: SIM117
        with locked(link, wait=0, doing="training in"):
            pass
