"""What a model says is what its numbers say, at the edges of its settings too: one dimension, or no room for a simplex."""

import math

import pytest

from neucollapse import InputError
from neucollapse.theory import model_of, simulate
from neucollapse.theory._model import Row
from neucollapse.theory.conv_rank._findings import claim_holds, expected_rank
from neucollapse.theory.separation.model import _law_sentence
from neucollapse.theory.settings import SVM, UFM, ConvRank, LayerPeeled, LayerSeparation, Memorisation, SupCon


def findings(settings):
    return simulate(settings, progress=False).findings


@pytest.mark.parametrize(
    ("rho", "words"), [(1.329, "does not fall but grows by the factor 1.329"), (0.5, "falls by the factor 0.500")]
)
def test_a_factor_above_one_is_no_fall(rho, words):
    numbers = {("ReLU", "rho"): rho, ("ReLU", "r_squared"): 0.9}
    assert words in _law_sentence(numbers, numbers)


def test_a_layer_without_means_of_its_own_has_no_law():
    assert "there is no law" in _law_sentence({}, {})


def test_filters_of_the_power_two_are_held_against_their_own_rank():
    """2K / (1 + (K-1)/pi) = 3.03 for K = 2, which a rank of 3.02 keeps, and one of 4 = 2K does not."""
    settings = ConvRank(signals=2, power=2.0, noise=(0.0, 1.0))
    assert expected_rank(settings) == pytest.approx(4 / (1 + 1 / math.pi))
    for rank, holds in ((3.02, True), (4.0, False)):
        rows = [
            Row("run", level, key, value)
            for level, data in ((0.0, 4.0), (1.0, 13.0))
            for key, value in (
                ("stable rank of the filters", rank), ("stable rank of the data", data), ("stable rank of the clean data", 4.0),
                ("final train loss", 0.01),
            )
        ]  # fmt: skip
        assert claim_holds(settings, rows) is holds


def test_too_few_dimensions_are_held_against_the_best_code():
    """A hexagon: (1 - cos 2 pi/K) / K, and not the 1/(K-1) of a simplex, for which there is no room."""
    found = findings(SVM(classes=6, dim=2, drop=200.0, points=8, descent_steps=0))
    assert found.comparisons[0].predicted == pytest.approx((1 - math.cos(math.pi / 3)) / 6)
    assert found.agrees is True
    assert "0.083333" in found.sentences[0]
    assert model_of(SVM(classes=9, dim=2, descent_steps=0)).goal == pytest.approx((1 - math.cos(2 * math.pi / 9)) / 9)
    assert model_of(SVM(classes=6, dim=2, counts=(2, 1, 1, 1, 1, 1))).goal is None


@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_memorisation_with_as_few_dimensions_as_it_takes(classes):
    assert findings(Memorisation(classes=classes, dim=classes - 1, prices=(0.0, 1.0))).agrees is True


def test_nothing_is_memorised_where_everything_is_zero():
    found = findings(Memorisation(classes=3, prices=(0.0, 5.0), decay_weight=1.0, decay_features=1.0))
    assert "cross-entropy at none, label smoothing at none, squared at none" in found.sentences[1]
    assert found.sentences[2].count("at 0 of 2 prices") == 2


@pytest.mark.slow
def test_a_temperature_so_low_that_the_loss_is_flat_decides_nothing():
    found = findings(SupCon(classes=3, dim=2, samples=2, temperature=0.02, steps=20, starts=1))
    assert found.agrees is None
    assert "Nothing is decided" in found.sentences[0]


def test_classes_that_are_merged_at_every_ratio():
    settings = LayerPeeled(classes=3, minority=2, dim=2, ratios=3, steps=0, decay_weight=1.0, decay_features=1.0)
    assert "merged at every ratio, that of equal sizes too; they are on this path" in findings(settings).sentences[0]


def test_zero_has_no_saddles_of_lower_rank():
    found = findings(UFM(classes=3, dim=2, samples=2, starts=1, gd_steps=0, decay_weight=1.0, decay_features=1.0))
    assert found.agrees is True
    assert any("There is no saddle to look for" in sentence for sentence in found.sentences)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SupCon(classes=2, dim=1), "no gradient moves"),
        (lambda: UFM(classes=2, dim=1, constraint="sphere"), "no gradient moves"),
        (lambda: SVM(classes=3, dim=1), "more than two apart"),
        (lambda: LayerSeparation(data="clusters", classes=2, samples=2, inputs=10), "there is no floor"),
    ],
)
def test_settings_with_nothing_to_find_out(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_network_that_diverges_is_one_sentence():
    settings = LayerSeparation(
        data="clusters", classes=2, samples=10, inputs=2, depth=3, width=5, steps=20, optimiser="momentum", lr=1e200
    )
    with pytest.raises(InputError, match=r"network diverged within .*; expected a smaller lr"):
        findings(settings)
