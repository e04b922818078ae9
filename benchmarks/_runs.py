"""What the benchmarks that train share: one row a run, and what a case comes to over its seeds."""

import statistics
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from neucollapse.training import TrainConfig, train

Row = dict[str, str | float]

COLUMNS = {
    "margin_ratio": "train/gnc2/margin_ratio@weight",
    "max_cosine": "train/gnc2/max_cosine@weight",
    "margin_ratio_of_means": "train/gnc2/margin_ratio",
    "train_accuracy": "train/accuracy/linear",
    "test_accuracy": "test/accuracy/linear",
    "nc1_pinv": "train/nc1/pinv",
}


def run(config: TrainConfig) -> Row:
    """Train once: the numbers of ``COLUMNS`` after the last epoch, and the processor's seconds, measuring included."""
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = train(config, folder, progress=False).to_dict()
    numbers = {column: found[key] for column, key in COLUMNS.items()}
    return {"seed": config.seed, **numbers, "processor_s": time.process_time() - begin}


def changed(config: TrainConfig, cases: Collection[str]) -> dict[str, object]:
    """The settings of a config that are not the defaults, without those in which the cases differ."""
    defaults = TrainConfig().to_dict()
    return {name: value for name, value in config.to_dict().items() if value != defaults[name] and name not in cases}


def over_seeds(rows: Sequence[Mapping[str, str | float]], columns: Iterable[str]) -> Row:
    """Mean and standard deviation (n - 1) of columns over the runs of one case; one run has no deviation."""
    summary: Row = {"seeds": len(rows)}
    for column in columns:
        values = [float(row[column]) for row in rows]
        summary[column] = statistics.mean(values)
        if len(values) > 1:
            summary[f"{column}_deviation"] = statistics.stdev(values)
    return summary
