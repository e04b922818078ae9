r"""Do filters keep the rank of clean data under noise? K in {2, 5, 10}, five draws of data and filters each.

The claim is tested as: filters of every draw within 25 % of 2K up to noise under which the stable rank of the data has grown
threefold. Two readings of the data: noise orthogonal to the signals, and noise in all directions. Controls, at K = 5:

- ``random filters``: the stable rank at the start, at every case;
- ``power 2``: the quadratic activation, whose filters do not choose a signal;
- ``few filters``: as many as signals, so that some filter has to learn several of them;
- ``smaller start``: in noise of all directions the first filter to grow then learns the noise of samples not fitted yet;
- ``more noise``: of norm 4, in every case: it breaks.

    python benchmarks/theory_conv_rank.py        writes benchmarks/results/theory_conv_rank.json
"""

from _timing import save  # first: it pins the threads

import dataclasses

from neucollapse.theory import simulate
from neucollapse.theory.conv_rank._findings import by_level, first_grown, kept_until
from neucollapse.theory.settings import ConvRank

BASE = ConvRank(runs=5, noise=(0.0, 1.25, 4.0))
SIZES = {2: {"width": 100}, 5: {"width": 300}, 10: {"width": 1000, "samples": 6, "steps": 200}}
"""Many more than K^2 filters, so that few win two signals; fewer samples at K = 10, to stay within minutes."""

CONTROLS = {
    "power 2": {"power": 2.0, "lr": 1.0, "width": 300, "noise": (0.0, 1.25)},
    "few filters": {"width": 5, "kappa": 1.0, "noise": (0.0, 1.25)},
    "smaller start": {"orthogonal": False, "init": 1e-3, "steps": 500, "noise": (0.0, 1.25)},
}
SHOWN = {
    "data": "stable rank of the data",
    "filters": "stable rank of the filters",
    "filters_by_the_winners": "stable rank by the winners",
    "random_filters": "stable rank of the filters at the start",
    "alignment": "alignment",
    "train_loss": "final train loss",
    "test_loss": "test loss",
    "test_error": "test error",
}


def row(name: str, settings: ConvRank) -> dict:
    """What the five draws have at every level of noise."""
    simulation = simulate(settings)
    levels: list[dict] = [{"noise": level} for level in settings.noise]
    for key, long in SHOWN.items():
        for content, values in zip(levels, by_level(settings, simulation.rows, long), strict=True):
            content[key] = values
    return {
        "case": name,
        "settings": settings.to_dict(),
        "clean_rank": 2 * settings.signals,
        "data_grown_threefold_at": first_grown(settings, simulation.rows),
        "filters_within_a_quarter_up_to": kept_until(settings, simulation.rows),
        "holds": simulation.findings.agrees,
        "seconds": round(simulation.seconds, 1),
        "levels": levels,
    }


def main() -> None:
    rows = [row(name, dataclasses.replace(BASE, **changes)) for name, changes in CONTROLS.items()]
    for K, sizes in SIZES.items():
        for orthogonal in (True, False):
            name = f"K = {K}, noise {'orthogonal to the signals' if orthogonal else 'in all directions'}"
            rows.append(row(name, dataclasses.replace(BASE, signals=K, orthogonal=orthogonal, **sizes)))
    save(
        "theory_conv_rank",
        "Whether filters stay within 25 % of 2K, the rank of clean data, under noise that grows the stable rank of the data "
        "threefold: by K, kind of noise and draw.",
        {"draws": BASE.runs, "rows": rows},
    )


if __name__ == "__main__":
    main()
