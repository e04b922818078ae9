"""Search for softmax codes and keep the best in the atlas: `python scripts/make_atlas.py [SIZES] [--starts N] [--seed N]`.

SIZES are pairs such as 3-8:7-40 (dimensions and numbers of points) or 10,20,30:100,200. A code enters the atlas if it
beats what is there by more than rounding; so the script can be run again with another seed, for longer, on some sizes.
With `--polish` nothing is searched: the codes held of these sizes are polished again, from several sharpnesses.
"""

import argparse
from pathlib import Path

from neucollapse.geometry import SoftmaxCode, best_known, solve
from neucollapse.geometry.atlas import Atlas, Entry
from neucollapse.geometry.codes._descent import SIGNED
from neucollapse.geometry.codes._polish import polish

FILE = Path(__file__).parents[1] / "src/neucollapse/geometry/atlas/codes.safetensors"


def numbers(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def polished(entry):
    """The same code or a better one near it, and what is left of the optimality conditions."""
    ends = [polish(entry.points.numpy(), SIGNED, sharpness) for sharpness in (1e4, 1e5, 1e6)]
    entries = [Entry.of(end.points, entry.source) for end in ends]
    best = max(range(3), key=lambda at: (round(entries[at].margin, 12), -ends[at].residual))
    return entries[best], ends[best].residual


def polish_all(atlas, sizes):
    for held in list(atlas):
        if held.kind == "code" and (held.K, held.d) in sizes:
            new, residual = polished(held)
            kept = atlas.add(new)
            print(f"({held.d}, {held.K}) {held.margin:.13f} {new.margin:.13f} {residual:.0e} {kept}", flush=True)
    atlas.save(FILE)


def search_all(atlas, sizes, starts, seed, workers):
    for K, d in sizes:
        solution = solve(SoftmaxCode(K, d), starts=starts, seed=seed, workers=workers)
        entry = Entry.of(solution, f"our search, {solution.stats['starts']} starts with seed {seed}")
        kept = atlas.add(entry)
        known = best_known(K, d)
        print(
            f"({d}, {K}) margin {entry.margin:.12f} held {atlas.get(K, d).margin:.12f} known {known.margin:.12f} {known.status} "
            f"{solution.result.name} {solution.certificate.kkt_residual:.0e} {solution.stats['seconds']:.1f} s "
            f"{'kept' if kept else 'not better'}",
            flush=True,
        )
        if kept:
            atlas.save(FILE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["3-8:7-40"])
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--polish", action="store_true")
    options = parser.parse_args()
    atlas = Atlas.load(FILE) if FILE.exists() else Atlas()
    pairs = [tuple(map(list, map(numbers, part.split(":")))) for part in options.sizes]
    sizes = [(K, d) for dims, points in pairs for d in dims for K in points if K > 2 * d and d > 2]
    if options.polish:
        polish_all(atlas, sizes)
    else:
        search_all(atlas, sizes, options.starts, options.seed, options.workers)


if __name__ == "__main__":
    main()
