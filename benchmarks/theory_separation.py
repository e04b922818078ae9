"""The law of separation over seeds: how straight and how steep, by optimiser, width and share of random labels."""

import statistics

from _timing import save

from neucollapse.theory import simulate
from neucollapse.theory.settings import LayerSeparation

SEEDS = 5
CASES = {
    "Adam, width 100": {},
    "Adam, width 32": {"width": 32},
    "Adam, width 100, 20 % random labels": {"random_labels": 0.2},
    "gradient descent with momentum, width 100": {"optimiser": "momentum", "lr": 0.05},
}
KEYS = ("rho", "r_squared", "D", "tunnel", "depth")


def main() -> None:
    """Run every case with every seed."""
    cases = {
        name: summary([measured(LayerSeparation(seed=seed, **options)) for seed in range(SEEDS)])
        for name, options in CASES.items()
    }
    claim = "a trained ReLU network follows the law of separation, and no linear network goes below its floor"
    save("theory_separation", claim, {"settings": LayerSeparation().to_dict(), "seeds": SEEDS, "cases": cases})


def measured(settings: LayerSeparation) -> dict[str, float | None]:
    """What stands at the end of a simulation."""
    simulation = simulate(settings)
    last = {(row.series, row.key): row.value for row in simulation.rows if row.x == settings.steps}
    floor = simulation.findings.comparisons[0].predicted
    ends = {f"D@{settings.depth}": "D"}
    numbers = {
        ends.get(key, key): value for (net, key), value in last.items() if net == "ReLU" and ends.get(key, key) in KEYS
    }
    linear = min(row.value for row in simulation.rows if row.series == "linear" and row.key.startswith("D@"))
    before = {row.key: row.value for row in simulation.rows if row.x == 0 and row.series == "ReLU"}
    return numbers | {
        "floor": floor,
        "least of the linear network": linear,
        "rho before training": before["rho"],
        "seconds": simulation.seconds,
        "agrees": simulation.findings.agrees,
    }


def summary(runs: list[dict]) -> dict:
    """Median and range over the seeds; depths are absent where no layer gets below the threshold."""
    names = list(dict.fromkeys(name for run in runs for name in run))
    found = {name: [run[name] for run in runs if name in run] for name in names}
    return {
        name: {"median": statistics.median(values), "least": min(values), "largest": max(values), "runs": len(values)}
        for name, values in found.items()
    }


if __name__ == "__main__":
    main()
