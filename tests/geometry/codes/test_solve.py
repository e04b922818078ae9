"""The search: what it reaches, that it depends on the seed alone, and that nothing of it is lost."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import torch

from neucollapse import FileFormatError, InputError, SolverError
from neucollapse.geometry import (
    GrassmannianFrame,
    MaximumGramDeterminant,
    MinimumEnergy,
    Outcome,
    SoftmaxCode,
    SphericalCode,
    best_known,
    best_known_energy,
    coherence,
    max_cosine,
    mean_energy,
    one_vs_rest,
    solve,
)
from neucollapse.geometry.codes import _search

from ...slow import slow_but


@pytest.mark.parametrize(("K", "d"), [(10, 3), (12, 3), (24, 3), (10, 4), (16, 5), (27, 6)])
def test_reaches_what_is_known(K, d):
    solution, best = solve(SoftmaxCode(K, d), starts=32), best_known(K, d)
    assert solution.result is Outcome.POLISHED
    assert solution.value == pytest.approx(best.margin, abs=1e-12)
    assert max_cosine(solution.points) == pytest.approx(best.max_cosine, abs=1e-12)
    assert one_vs_rest(solution.points).margin == pytest.approx(solution.value, abs=1e-15)
    torch.testing.assert_close(solution.points.norm(dim=1), torch.ones(K, dtype=torch.float64), rtol=0, atol=1e-15)
    assert solution.certificate.kkt_residual <= 1e-12
    assert abs(solution.value - (1 - max_cosine(solution.points))) <= 1e-10


@pytest.mark.parametrize(
    ("K", "d", "mu"), [(3, 2, 1 / 2), (6, 3, 5**-0.5), (10, 5, 1 / 3), (16, 6, 1 / 3), (12, 4, 0.5)]
)
def test_lines(K, d, mu):
    solution = solve(GrassmannianFrame(K, d), starts=32)
    assert coherence(solution.points) == pytest.approx(mu, abs=1e-13)
    assert solution.value == pytest.approx(coherence(solution.points), abs=1e-15)


@pytest.mark.parametrize(("K", "d", "s"), [(12, 3, 1), (12, 3, 0), (24, 3, 1), (10, 5, 2), (32, 3, 1)])
def test_energies(K, d, s):
    solution, known = solve(MinimumEnergy(K, d, s), starts=32), best_known_energy(K, d, s)
    assert mean_energy(solution.points, s) == pytest.approx(
        known.value, rel=2e-12 if known.status == "proved" else 1e-10
    )
    assert solution.value == pytest.approx(mean_energy(solution.points, s), rel=1e-14)


@pytest.mark.parametrize(("K", "d"), [(5, 4), (4, 6), (7, 4), (8, 3), (9, 3), (6, 1)])
def test_largest_determinant(K, d):
    r = min(K - 1, d)
    solution = solve(MaximumGramDeterminant(K, d))
    assert solution.result is Outcome.PROVED
    assert solution.value == pytest.approx(np.log(K / r), abs=1e-12)


@pytest.mark.slow
def test_the_seed_alone_decides():
    problem = SphericalCode(11, 3)  # 18 starts: the second batch hops from the best of the first
    one = solve(problem, starts=18, workers=1)
    two = solve(problem, starts=18, workers=2)
    other = solve(problem, starts=18, workers=1, seed=1)
    assert torch.equal(one.points, two.points)
    assert one.stats["values"] == two.stats["values"]
    assert not torch.equal(one.points, other.points)
    assert solve(problem, starts=32, workers=1).value <= one.value + 1e-14


def test_a_checkpoint_goes_on_where_it_was(tmp_path):
    whole = solve(SphericalCode(14, 4), starts=48)
    solve(SphericalCode(14, 4), starts=16, checkpoint=tmp_path / "search.safetensors")
    resumed = solve(SphericalCode(14, 4), starts=48, checkpoint=tmp_path / "search.safetensors")
    assert torch.equal(whole.points, resumed.points)
    assert whole.stats["values"] == resumed.stats["values"]
    with pytest.raises(FileFormatError, match="another search"):
        solve(SphericalCode(15, 4), checkpoint=tmp_path / "search.safetensors")
    (tmp_path / "search.safetensors").write_bytes((tmp_path / "search.safetensors").read_bytes()[:-9])
    with pytest.raises(FileFormatError):
        solve(SphericalCode(14, 4), checkpoint=tmp_path / "search.safetensors")


_INTERRUPTED = """
import os, signal, sys
from neucollapse.geometry import SphericalCode, max_cosine, solve
from neucollapse.geometry.codes import _search

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what runs in the background
descend, calls = _search.anneal, []

def interrupted(*arguments, **options):
    calls.append(None)
    if len(calls) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGINT)
    return descend(*arguments, **options)

_search.anneal = interrupted
solution = solve(SphericalCode(9, 3), starts=64, workers=1)
assert abs(max_cosine(solution.points) - solution.value) < 1e-15
print(solution.result.name, solution.stats["starts"], solution.value)
"""


INTERRUPTS = [(1, 0, 0.9), (4, 3, 0.4), (30, 16, 1 / 3 + 1e-12)]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(("call", "starts", "worst"), slow_but((4, 3, 0.4), of=INTERRUPTS))
def test_an_interrupt_returns_the_best_of_every_finished_start(call, starts, worst):
    ended = subprocess.run([sys.executable, "-c", _INTERRUPTED, str(call)], capture_output=True, text=True, check=True)
    name, done, value = ended.stdout.split()
    assert (name, int(done) >= starts, float(value) <= worst) == ("INTERRUPTED", True, True), ended.stdout


def _kill_one(after: str) -> None:
    """Kill a worker as soon as there is one, or as soon as a batch is in that file."""
    here = psutil.Process()
    while after and not os.path.exists(after):
        time.sleep(0.01)
    workers = []
    while not workers:
        time.sleep(0.01)
        workers = [child for child in here.children() if "popen_loky" in " ".join(child.cmdline())]
    workers[-1].kill()


@pytest.mark.parametrize("batches", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_killed_worker_costs_nothing_but_its_own_start(tmp_path, batches):
    file = tmp_path / "search.safetensors"
    killer = threading.Thread(target=_kill_one, args=(str(file) if batches else "",))
    killer.start()
    solution = solve(SphericalCode(20, 5), starts=10**6, workers=2, checkpoint=file, progress=False)
    killer.join()
    assert solution.result is Outcome.WORKER_LOST
    assert max_cosine(solution.points) == pytest.approx(solution.value, abs=1e-15)
    if batches:
        assert solution.stats["starts"] >= 16
        assert solution.value <= 0.32


def test_what_was_cut_short_is_raised_with_the_code(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_search, "hop", interrupted)
    with pytest.raises(SolverError, match="interrupted") as error:
        solve(SphericalCode(9, 3), starts=64, throw=True, workers=1)
    assert error.value.solution.value == pytest.approx(1 / 3, abs=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_search_resumes(tmp_path):
    file = tmp_path / "search.safetensors"
    code = (
        "from neucollapse.geometry import SphericalCode, solve\n"
        f"solve(SphericalCode(12, 4), starts=16, checkpoint={str(file)!r}, workers=1)\n"
        "print(flush=True)\n"
        f"solve(SphericalCode(12, 4), starts=100000, checkpoint={str(file)!r}, workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()  # a batch is done; wherever it is killed after that
    finally:
        process.kill()
        process.communicate()
    first = solve(SphericalCode(12, 4), starts=1, checkpoint=file, workers=1)  # asks for nothing more
    done = first.stats["starts"] + 16
    resumed = solve(SphericalCode(12, 4), starts=done, checkpoint=file, workers=1)
    assert first.stats["starts"] >= 16
    assert torch.equal(resumed.points, solve(SphericalCode(12, 4), starts=done, workers=1).points)


@pytest.mark.parametrize("starts", [None, 10_000])
def test_a_budget_that_ends_before_the_first_batch_is_said_to(starts):
    solution = solve(SphericalCode(30, 4), starts=starts, budget=1e-9, workers=1)
    assert solution.result is Outcome.OUT_OF_TIME
    assert solution.stats["starts"] < 16
    assert solution.value == pytest.approx(max_cosine(solution.points), abs=1e-15)
    with pytest.raises(SolverError, match="first batch"):
        solve(SphericalCode(30, 4), starts=starts, budget=1e-9, workers=1, throw=True)


def test_a_budget_that_does_not_end_changes_nothing():
    patient = solve(SphericalCode(12, 4), starts=16, budget=1e9, workers=1)
    assert patient.result.finished
    assert torch.equal(patient.points, solve(SphericalCode(12, 4), starts=16, workers=1).points)


def test_a_target_ends_the_search():
    early = solve(SphericalCode(10, 3), starts=10_000, target=0.4044, workers=1)
    assert early.value <= 0.4044
    assert early.stats["starts"] < 10_000


def test_leaves_torch_as_it_was():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    solve(SphericalCode(7, 3), starts=16)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"starts": 0}, "starts"),
        ({"seed": -1}, "seed"),
        ({"workers": 0}, "workers"),
        ({"budget": 0}, "budget"),
        ({"budget": float("nan")}, "budget"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(InputError, match=f"expected {words}"):
        solve(SphericalCode(7, 3), **arguments)


@pytest.mark.parametrize(
    "make", [lambda: SphericalCode(1, 3), lambda: SoftmaxCode(4, 0), lambda: MinimumEnergy(4, 3, -1)]
)
def test_problems_refuse(make):
    with pytest.raises(InputError):
        make()
