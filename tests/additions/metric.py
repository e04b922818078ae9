"""One more metric: what CONTRIBUTING says is touched."""

NEW: dict[str, str] = {}
EDITS = {
    "src/neucollapse/metrics/uniformity.py": [
        (
            "\nMETRICS = (",
            """

def _closest_share(terms: Terms) -> float:
    distances = torch.pdist(terms.means.centred)
    if not bool(distances.any()):
        raise Absent("all class means coincide")
    return float(distances.min() / distances.mean())


METRICS = (
    Metric(
        "gnc2/closest_share",
        "closest distance, as a share of the mean",
        "min_{i<j} ‖μ_i - μ_j‖ / mean_{i<j} ‖μ_i - μ_j‖",
        "Distance of the two closest class means, over the mean distance of two.",
        _closest_share,
        range=Range(0, 1),
        at_collapse="1 for K ≤ d+1",
        log=False,
        needs=("pairs",),
    ),
""",
        ),
    ],
    "tests/metrics/test_values.py": [
        (
            "\nTWINS = {\n",
            "\n\ndef closest_share(distances):\n    return min(distances) / np.mean(distances)\n\n\nTWINS = {\n"
            '    "gnc2/closest_share": lambda p: closest_share([np.linalg.norm(u - v) for u, v in combinations(p.M(), 2)]),\n',
        ),
    ],
    "CHANGELOG.md": [
        (
            "## Unreleased\n\n### Added\n\n",
            "## Unreleased\n\n### Added\n\n- `gnc2/closest_share`: how close the closest class means are.\n",
        )
    ],
}
USED = """
import torch, neucollapse as nc
y = torch.arange(12) % 3
print(nc.measure((torch.eye(3)[y], y), progress=False)["gnc2/closest_share"])
"""
SEEN = "1.0"
TESTS = ("tests/metrics/test_values.py", "tests/metrics/test_registry.py")
DOCUMENTED = ("tests/docs/test_pages.py", "-k", "metric_keys_exist or disagreements")
