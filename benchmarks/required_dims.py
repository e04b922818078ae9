"""Which d for K classes? The smallest dimension in which a known code has the margin asked for, and what is proved.

For each number of classes and margin: the dimension, the margin there, where the code is from, the dimension below which
no code can have that margin, and the size of a float32 classifier. Nothing is searched: a search, or training, may reach
the margin in fewer dimensions where K d is small.

    python benchmarks/required_dims.py        writes benchmarks/results/required_dims.json
"""

from _timing import save  # first: it pins the threads

import time

from neucollapse.geometry import required_dim

CLASSES, MARGINS = (10, 100, 1000, 10_000, 100_000), (0.5, 0.8, 0.9, 1.0)


def row(K: int, margin: float) -> dict:
    begin = time.perf_counter()
    found = required_dim(K, margin)
    return {
        "K": K,
        "margin_asked": margin,
        "d": found.d,
        "margin": found.margin,
        "at_least_d": found.at_least,
        "megabytes": 4 * K * found.d / 1e6,
        "source": found.source,
        "seconds": round(time.perf_counter() - begin, 2),
    }


def main() -> None:
    rows = [row(K, margin) for K in CLASSES for margin in MARGINS]
    save("required_dims", "Dimensions grow slowly with classes, unless the margin must be 1.", {"rows": rows})


if __name__ == "__main__":
    main()
