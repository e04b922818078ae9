"""Calls over processes: what is lost is said, whenever it is lost."""

import time

import psutil
import pytest

from neucollapse.geometry.codes._workers import WorkerLost, mapping


def test_a_process_that_is_gone_before_work_is_handed_out():
    with mapping(2) as map_:
        assert sorted(map_(abs, [(-1,), (-2,)], None)) == [(0, 1), (1, 2)]
        for child in psutil.Process().children():
            if "popen_loky" in " ".join(child.cmdline()):
                child.kill()
        for _ in range(2):  # at the latest the second finds them gone when it hands out work
            with pytest.raises(WorkerLost):
                list(map_(abs, [(-1,)] * 4, None))
            time.sleep(0.1)
    with mapping(2) as map_:
        assert list(map_(abs, [(-3,)], None)) == [(0, 3)]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_call_begins_after_the_deadline(workers):
    with mapping(workers) as map_:
        assert list(map_(abs, [(-1,), (-2,)], time.monotonic() - 1)) == []
