"""Class means as the classifier (Jiang et al., arXiv 2310.05351), against a learned one and a fixed code, at K > d + 1.

The head ``class-means`` is the running mean of the unit features of each class, with the momentum 0.9 of the head's default;
it trains no parameter. The learned head has K d of them; the fixed code, the best known without a search, none. Each is
trained from the same five seeds (the same split, the same first backbone, the same batches) with the same multilayer
perceptron, loss (norm-face), scale and epochs; nothing was tuned. Differences of test accuracy are class-means less another
head, paired by seed, in points of 1/100.

Scale 16 is the default of the heads; ten classes are also trained at scale 5, where directions spread further. Fashion-MNIST
has three epochs, 1,000 glyphs four: short runs, far from zero training error.

Seconds are the processor's, for training and measuring, on one thread.

Fashion-MNIST is read from this machine, not downloaded. Of a file of glyphs (arrays images, labels, is_test) the first 100 and
1,000 classes are trained, in 32 dimensions.

    python benchmarks/class_mean_features.py [digits] [fashion-mnist] [GLYPHS.npz]

    writes benchmarks/results/class_mean_features_{digits,fashion,glyphs}.json; without arguments the first two
"""

from _timing import save  # first: it pins the threads

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from _runs import Row, over_seeds, run

from neucollapse.heads import ClassMeansHead, CosineHead, FixedHead
from neucollapse.losses import NormFaceLoss
from neucollapse.training import PRESETS, MLPBackbone, TrainConfig

CLAIM = "Running class means as the classifier are at least as accurate as a learned head, within the spread of seeds."
SEEDS, SCALES = range(5), (16.0, 5.0)
HEADS = {kind.name: kind for kind in (ClassMeansHead, CosineHead, FixedHead)}
DIGITS = replace(PRESETS["digits-sphere"], dim=4, loss=NormFaceLoss(), epochs=60, measure_every=60, optimum="lookup")
FASHION = replace(
    DIGITS, dataset="fashion-mnist", backbone=MLPBackbone(width=256, depth=2), weight_decay=5e-4, epochs=3
)
TEN_CLASSES = {"digits": DIGITS, "fashion-mnist": FASHION}
GLYPHS = {100: 20, 1000: 4}  # classes: epochs


def tasks(data: str, folder: Path) -> Iterator[tuple[int, float, TrainConfig]]:
    """Number of classes, the scale, and the config but for head and seed."""
    if data in TEN_CLASSES:
        for scale in SCALES:
            yield 10, scale, TEN_CLASSES[data]
        return
    for classes, epochs in GLYPHS.items():
        dataset = str(write_glyphs(Path(data), classes, folder))
        yield classes, 16.0, replace(FASHION, dataset=dataset, dim=32, epochs=epochs)


def write_glyphs(source: Path, classes: int, folder: Path) -> Path:
    """The first classes of a file of glyphs, under the names that a data set of arrays has."""
    with np.load(source) as arrays:
        kept = arrays["labels"] < classes
        images, labels, in_test = (arrays[name][kept] for name in ("images", "labels", "is_test"))
    path = folder / f"glyphs-{classes}.npz"
    splits = {"train": ~in_test, "test": in_test}
    np.savez(
        path,
        **{f"x_{split}": images[rows] for split, rows in splits.items()},
        **{f"y_{split}": labels[rows].astype(np.int64) for split, rows in splits.items()},
    )
    return path


def summary(group: dict[str, list[Row]], head: str) -> Row:
    """A head over its seeds, and what class means are ahead of it by on the same seeds."""
    columns = ("test_accuracy", "train_accuracy", "margin_ratio", "nc1_pinv", "processor_s")
    found = over_seeds(group[head], columns)
    if head != "class-means":
        pairs = zip(group["class-means"], group[head], strict=False)  # the last seed may not have come to this head
        ahead = [
            {"class_means_ahead_by_points": 100 * (float(ours["test_accuracy"]) - float(theirs["test_accuracy"]))}
            for ours, theirs in pairs
        ]
        found.update({k: v for k, v in over_seeds(ahead, ahead[0]).items() if k != "seeds"})
    return found


def compare(data: str, name: str) -> None:
    """Train every head from every seed, and write the result file of this data set after every run, so that none is lost."""
    rows: list[Row] = []
    runs: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for K, scale, config in tasks(data, Path(folder)):
            task: Row = {"K": K, "d": config.dim or 0, "scale": scale, "epochs": config.epochs}
            group: dict[str, list[Row]] = {head: [] for head in HEADS}
            for seed in SEEDS:
                for head, kind in HEADS.items():
                    group[head].append(run(replace(config, head=kind(scale=scale), seed=seed)))
                    runs.append({**task, "head": head, **group[head][-1]})
                    save(
                        f"class_mean_features_{name}",
                        CLAIM,
                        {"data": name, "rows": rows + table(task, group), "runs": runs},
                    )
            rows += table(task, group)


def table(task: Row, group: dict[str, list[Row]]) -> list[Row]:
    """One row a head that has run."""
    K, d = int(task["K"]), int(task["d"])
    trained = {head: K * d if head == "cosine" else 0 for head in HEADS}
    return [
        {**task, "head": head, "head_parameters": trained[head], **summary(group, head)}
        for head in HEADS
        if group[head]
    ]


def main() -> None:
    for data in sys.argv[1:] or TEN_CLASSES:
        compare(data, {"digits": "digits", "fashion-mnist": "fashion"}.get(data, "glyphs"))


if __name__ == "__main__":
    main()
