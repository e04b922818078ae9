"""The search: what it reaches, that it depends on the seed alone, and that nothing of it is lost."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
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
    _search,
    best_known,
    best_known_energy,
    coherence,
    max_cosine,
    mean_energy,
    one_vs_rest,
    solve,
)


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
    ("K", "d", "mu"), [(3, 2, 1 / 2), (6, 3, 5**-0.5), (10, 5, 1 / 3), (28, 7, 1 / 3), (12, 4, 0.5)]
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


def test_the_seed_alone_decides():
    one = solve(SphericalCode(13, 4), starts=40, workers=1)
    two = solve(SphericalCode(13, 4), starts=40, workers=2)
    other = solve(SphericalCode(13, 4), starts=40, workers=1, seed=1)
    assert torch.equal(one.points, two.points)
    assert one.stats["values"] == two.stats["values"]
    assert not torch.equal(one.points, other.points)
    assert solve(SphericalCode(13, 4), starts=80).value <= one.value + 1e-14


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


def test_an_interrupt_returns_the_best_so_far(monkeypatch):
    batches = []

    def interrupted(self, candidate):
        keep(self, candidate)
        batches.append(self.done)
        if self.done:
            raise KeyboardInterrupt

    keep = _search.Search._keep
    monkeypatch.setattr(_search.Search, "_keep", interrupted)
    solution = solve(SphericalCode(9, 3), starts=64)
    assert solution.result is Outcome.INTERRUPTED
    assert max_cosine(solution.points) == solution.value
    assert solution.stats["starts"] == 16
    with pytest.raises(SolverError, match="interrupted") as error:
        solve(SphericalCode(9, 3), starts=64, throw=True)
    assert error.value.solution.value == solution.value


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_search_resumes(tmp_path):
    file = tmp_path / "search.safetensors"
    code = (
        "from neucollapse.geometry import SphericalCode, solve\n"
        f"solve(SphericalCode(30, 5), starts=100000, checkpoint={str(file)!r}, workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 120
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = 48
    resumed = solve(SphericalCode(30, 5), starts=done, checkpoint=file, workers=1)
    assert resumed.stats["starts"] >= 16
    if resumed.stats["starts"] == done:
        assert torch.equal(resumed.points, solve(SphericalCode(30, 5), starts=done, workers=1).points)


def test_budget_and_target():
    solve(SphericalCode(30, 4), starts=1, workers=1)  # compiles what a fresh checkout has not, which no budget counts
    begin = time.monotonic()
    solution = solve(SphericalCode(30, 4), budget=1.0, workers=1)
    assert time.monotonic() - begin < 30
    assert solution.result.finished
    late = solve(SphericalCode(30, 4), starts=10_000, budget=0.5, workers=1)
    assert late.result is Outcome.OUT_OF_TIME
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
