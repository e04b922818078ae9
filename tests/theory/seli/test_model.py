import pytest

from neucollapse import InputError
from neucollapse.theory.seli.model import SELIModel, class_sizes, decays
from neucollapse.theory.settings import SELI

from ..running import ended

SMALL = {"classes": 4, "dim": 4, "minority": 2, "ratio": 3.0, "decays": 2, "smallest_decay": 1e-4}


def run(settings):
    model = SELIModel(settings)
    end, rows = ended(model)
    return model.findings(end, rows), rows


@pytest.mark.parametrize("imbalance", ["step", "exp", "none"])
def test_cross_entropy_is_met_at_every_decay_and_tends_to_the_encoding(imbalance):
    findings, rows = run(SELI(**SMALL, imbalance=imbalance))
    assert findings.agrees
    assert max(row.value for row in rows if row.key == "error of logits") < 1e-8
    assert rows == run(SELI(**SMALL, imbalance=imbalance))[1]


@pytest.mark.parametrize(("dim", "bias"), [(4, False), (4, True), (2, False), (1, True)])
def test_squared_error_is_met_at_every_decay(dim, bias):
    findings, rows = run(SELI(**SMALL | {"dim": dim}, loss="mse", bias=bias))
    assert findings.agrees
    assert max(row.value for row in rows if row.key == "error of singular values") < 1e-8


def test_without_an_imbalance_there_is_no_distance_to_close():
    _, rows = run(SELI(**SMALL, imbalance="none"))
    assert max(row.value for row in rows if row.key == "distance of logits") < 1e-8


def test_another_seed_starts_elsewhere_and_ends_alike():
    first, second = (run(SELI(**SMALL, seed=seed))[1] for seed in (0, 1))
    assert first != second
    values = [[row.value for row in rows if row.key == "value"] for rows in (first, second)]
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_sizes_and_decays():
    assert class_sizes(SELI(classes=3, dim=2, imbalance="exp", ratio=100.0)).tolist() == [100, 10, 1]
    assert decays(SELI(largest_decay=1e-2, smallest_decay=1e-4, decays=3)) == pytest.approx([1e-2, 1e-3, 1e-4])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classes": 1}, "classes of at least 2"),
        ({"dim": 0}, "dim of at least 1"),
        ({"samples": 0}, "samples of at least 1"),
        ({"ratio": 0.5}, "ratio of at least 1"),
        ({"minority": 10}, "fewer minority classes than classes=10"),
        ({"largest_decay": -1.0}, "largest_decay above 0"),
        ({"smallest_decay": 1.0}, "smallest_decay below largest_decay"),
        ({"bias": True}, "no bias with ce"),
        ({"dim": 8}, "dim of at least 9"),
    ],
)
def test_impossible_requests_get_a_sentence(values, words):
    with pytest.raises(InputError, match=words):
        SELI(**values)
