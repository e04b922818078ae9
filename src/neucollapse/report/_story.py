"""Which of the many metrics tell the story: where a simplex fits (K <= d + 1), and where it does not."""

from collections.abc import Collection

from ._run import Run

# Each entry lists names in order of preference: the first that a run has is shown.
_SIMPLEX = (
    ("accuracy/linear", "accuracy"), ("nc1/pinv", "nc1/trace_ratio"), ("nc2/etf_distance", "nc2/equiangular"),
    ("nc3/frobenius", "nc3/cosine"), ("nc4/mismatch",),
)  # fmt: skip
_SIMPLEX_MORE = ("nc1/trace_ratio", "nc2/equinorm", "nc2/equiangular", "nc3/cosine", "test_collapse/strong")
_GENERAL = (
    ("accuracy/linear", "accuracy"), ("nc1/trace_ratio", "gnc1/trace_ratio", "nc1/pinv"),
    ("gnc2/margin_ratio", "gnc2/margin_ratio@weight", "gnc2/margin", "gnc2/max_cosine"), ("gnc3/cosine", "nc3/cosine"),
    ("nc4/mismatch",),
)  # fmt: skip
_GENERAL_MORE = ("nc1/pinv", "gnc2/margin", "gnc2/max_cosine", "gnc2/energy_excess", "test_collapse/strong")


def has_simplex(run: Run) -> bool:
    """Whether K vectors at equal, widest angles fit into d dimensions."""
    return run.num_classes <= run.dim + 1


def teller(runs: Collection[Run]) -> Run:
    """Whose story several runs share: the first run beyond a simplex, whose metrics serve the others too."""
    return next((run for run in runs if not has_simplex(run)), next(iter(runs)))


def key_names(run: Run) -> tuple[tuple[str, ...], ...]:
    """The few metrics of the strip of key numbers."""
    return _SIMPLEX if has_simplex(run) else _GENERAL


def in_order(run: Run, names: list[str]) -> list[str]:
    """Names with those that tell the story first; the others keep their order."""
    more = _SIMPLEX_MORE if has_simplex(run) else _GENERAL_MORE
    wanted = (("loss",), *key_names(run), *((name,) for name in more))
    leading = [next((name for name in choice if name in names), None) for choice in wanted]
    return list(dict.fromkeys([name for name in leading if name is not None] + names))
