r"""Unconstrained features on the sphere at (d, K) = (10, 100): the margin over the temperature, annealed and not.

One free unit feature and one free unit direction a class, cross-entropy, L-BFGS of at most 500 iterations a temperature, five
seeds, float64. The margin is the exact one-vs-rest margin of the class directions.

- ``curve``: from random starts at each temperature down to 1/20, on the loss itself, beside the value of one seed that
  the project's notes hold for each;
- ``cold``: from random starts at 1/50 and 1/200, on the loss and on its logarithm;
- ``annealed``: six temperatures from 1/10 to 1/200, each begun where the last one ended, on the logarithm: six times the
  iterations of a row of ``cold``.

    python benchmarks/theory_ufm_temperatures.py        writes benchmarks/results/theory_ufm_temperatures.json
"""

from _timing import save  # first: it pins the threads

import statistics
import time

from neucollapse.geometry import best_known
from neucollapse.theory.settings import UFM
from neucollapse.theory.ufm.model import UFMModel, temperatures

D, K, SEEDS, KEY = 10, 100, range(5), "gnc2/margin@weight"
NOTED = {1.0: 0.5685, 5.0: 0.6091, 7.0: 0.6174, 10.0: 0.6222, 20.0: 0.6361}


def margins(seed: int, start: float, end: float, points: int, objective: str) -> list[float]:
    """Margins along a path of temperatures."""
    settings = UFM(
        classes=K, dim=D, samples=1, constraint="sphere", temperature_start=start, temperature=end, points=points,
        objective=objective, cold=False, gd_steps=0, starts=1, seed=seed,
    )  # fmt: skip
    return [row.value for row in UFMModel(settings).run() if row.key == KEY]


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "largest": max(values)}


def of_best(values: list[float], best: float) -> dict[str, float]:
    """The summary, and shares of the best known margin."""
    found = summary(values)
    return found | {"median_share": found["median"] / best, "least_share": found["least"] / best}


def main() -> None:
    began, best = time.process_time(), best_known(K, D).margin
    curve = []
    for inverse, noted in NOTED.items():
        found = summary([margins(seed, 1 / inverse, 1 / inverse, 1, "loss")[-1] for seed in SEEDS])
        curve.append({"inverse_temperature": inverse, "noted": noted, **found, "off": found["median"] - noted})
    cold = [
        {"inverse_temperature": inverse, "objective": objective, **of_best(ends, best)}
        for inverse in (50.0, 200.0)
        for objective in ("loss", "log")
        for ends in [[margins(seed, 1 / inverse, 1 / inverse, 1, objective)[-1] for seed in SEEDS]]
    ]
    paths = [margins(seed, 0.1, 0.005, 6, "log") for seed in SEEDS]
    path = temperatures(UFM(constraint="sphere", temperature_start=0.1, temperature=0.005, points=6))
    annealed = [
        {"inverse_temperature": 1 / temperature, **of_best(list(found), best)}
        for temperature, found in zip(path, zip(*paths, strict=True), strict=True)
    ]
    save(
        "theory_ufm_temperatures",
        "Unconstrained features at (d, K) = (10, 100): margin over the temperature, from random starts and annealed, on the loss "
        "and on its logarithm.",
        {
            "d": D,
            "K": K,
            "seeds": len(SEEDS),
            "margin_of_the_best_code": best,
            "curve": curve,
            "curve_within_0.02": all(abs(row["off"]) <= 0.02 for row in curve),
            "cold": cold,
            "annealed": annealed,
            "cpu_seconds": time.process_time() - began,
        },
    )


if __name__ == "__main__":
    main()
