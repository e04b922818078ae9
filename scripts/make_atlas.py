"""Search for softmax codes and keep the best in the atlas: `python scripts/make_atlas.py [SIZES] [--starts N] [--seed N]`.

SIZES are pairs such as 3-8:7-40 (dimensions and numbers of points) or 10,20,30:100,200. A code enters the atlas if it
beats what is there by more than rounding; so the script can be run again with another seed, for longer, on some sizes.
"""

import argparse
from pathlib import Path

from neucollapse.geometry import SoftmaxCode, best_known, solve
from neucollapse.geometry.atlas import Atlas, Entry

FILE = Path(__file__).parents[1] / "src/neucollapse/geometry/atlas/codes.safetensors"


def numbers(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["3-8:7-40"])
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    atlas = Atlas.load(FILE) if FILE.exists() else Atlas()
    for sizes in options.sizes:
        dims, points = sizes.split(":")
        for d in numbers(dims):
            for K in numbers(points):
                if K <= 2 * d or d == 2:
                    continue
                solution = solve(SoftmaxCode(K, d), starts=options.starts, seed=options.seed, workers=options.workers)
                entry = Entry.of(solution, f"our search, {solution.stats['starts']} starts with seed {options.seed}")
                kept = atlas.add(entry)
                held = atlas.get(K, d)
                known = best_known(K, d)
                print(
                    f"({d}, {K}) margin {entry.margin:.12f} held {held.margin:.12f} known {known.margin:.12f} {known.status} "
                    f"{solution.result.name} {solution.certificate.kkt_residual:.0e} {solution.stats['seconds']:.1f} s "
                    f"{'kept' if kept else 'not better'}",
                    flush=True,
                )
                if kept:
                    atlas.save(FILE)


if __name__ == "__main__":
    main()
