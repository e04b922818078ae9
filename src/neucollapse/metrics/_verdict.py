"""The verdict in words: what the numbers of a result say, headline first. Thresholds stand at the top."""

from typing import NamedTuple

from ._distance import Distance, distance_to_code
from ._tables import Tables

# (good up to, fair up to) for numbers that are zero at collapse.
_WITHIN, _SIMPLEX, _DUALITY, _DECISIONS = (1e-2, 1e-1), (0.1, 0.3), (0.05, 0.2), (1e-2, 1e-1)
_MARGIN = (0.9, 0.7)  # at least
_MET = 0.99  # share of the best margin from which on another arrangement counts as one that is as good
_CODE = (0.05, 0.1)  # mean and largest angle to the best code, in units of the angle between its closest two points
_TONES = ("good", "fair", "bad")


class Sentence(NamedTuple):
    """One sentence of the verdict and its tone: good, fair, bad, or note."""

    tone: str
    text: str


class _Arrangement(NamedTuple):
    """The sentence about the class means; how the headline goes on where they are good, and where they are not."""

    sentence: Sentence
    reached: str
    missed: str = "but not yet to their optimum"


def verdict(result: Tables) -> list[Sentence]:
    """Sentences for a person, the headline first. Each names the numbers it rests on."""
    name = "train" if "train" in result.splits else next(iter(result.splits), "")
    main = result.split(name) if name else result
    within, arrangement = _within(main), _arrangement(main, distance_to_code(result, name))
    others = [finding for finding in (_duality(main), _decisions(main)) if finding]
    findings = [finding for finding in (within, arrangement and arrangement.sentence, *others) if finding]
    sentences = [_headline(within, arrangement, others, main), *findings]
    if "train" in result.splits and "test" in result.splits:
        sentences += _generalisation(result.split("train"), result.split("test"))
    return sentences


def _tone(value: float, limits: tuple[float, float]) -> str:
    return _TONES[(value > limits[0]) + (value > limits[1])]


def _headline(
    within: Sentence | None, arrangement: _Arrangement | None, others: list[Sentence], main: Tables
) -> Sentence:
    where = f"(K = {main.info.get('num_classes')} classes in d = {main.info.get('dim')} dimensions)"
    if within is None:
        return Sentence("note", f"Too little was measured for a verdict {where}.")
    tones = {finding.tone for finding in others} | ({arrangement.sentence.tone} if arrangement else set())
    if within.tone == "good" and tones <= {"good"}:
        reached = f", {arrangement.reached}" if arrangement else ""
        return Sentence("good", f"The features have collapsed{reached} {where}.")
    if within.tone == "good":
        if arrangement and arrangement.sentence.tone != "good":
            return Sentence("fair", f"The classes have collapsed to points, {arrangement.missed} {where}.")
        return Sentence("fair", f"The classes have collapsed to points; the classifier has not followed yet {where}.")
    if "bad" not in tones | {within.tone}:
        return Sentence("fair", f"The features are collapsing, and are not there yet {where}.")
    return Sentence("bad", f"The features have not collapsed {where}.")


def _within(part: Tables) -> Sentence | None:
    value = part.numbers.get("nc1/trace_ratio")
    if value is None:
        return None
    words = {"good": "classes are points", "fair": "classes are small clouds", "bad": "classes are wide clouds"}
    tone = _tone(value, _WITHIN)
    return Sentence(
        tone, f"Within classes: {words[tone]}; their scatter is {value:.2g} of that between classes (nc1/trace_ratio)."
    )


def _arrangement(part: Tables, distance: Distance | None) -> _Arrangement | None:
    numbers, K, d = part.numbers, part.info.get("num_classes", 0), part.info.get("dim", 0)
    if d + 1 >= K and "nc2/etf_distance" in numbers:
        value = numbers["nc2/etf_distance"]
        text = f"the means are {value:.2g} from a simplex, the optimum for K ≤ d+1 (nc2/etf_distance, 0 to 2)."
        return _Arrangement(
            Sentence(_tone(value, _SIMPLEX), f"Between classes: {text}"), "and lie close to their optimum"
        )
    for suffix, what in (("", "means"), ("@weight", "classifier rows")):
        key = f"gnc2/margin_ratio{suffix}"
        if key in numbers and f"gnc2/margin{suffix}" in part.optima:
            value, best = numbers[key], f"{_best(part)} {part.optima[f'gnc2/margin{suffix}']:.4g}"
            tone = _TONES[(value < _MARGIN[0]) + (value < _MARGIN[1])]
            margin = f"the least one-vs-rest margin of the {what} is {numbers[f'gnc2/margin{suffix}']:.4g}"
            sentence = Sentence(tone, f"Between classes: {margin}, {value:.1%} of {best} ({key}).")
            reached = f"to {value:.1%} of {_best(part)}"
            return _Arrangement(sentence, reached) if suffix else _judged(sentence, value, distance, reached)
    return None


def _judged(sentence: Sentence, value: float, distance: Distance | None, reached: str) -> _Arrangement:
    """The margin alone, or beside the angles to the best code: a good margin may be another code's, or on its way."""
    if distance is None:
        return _Arrangement(sentence, reached)
    near = distance.mean <= _CODE[0] * distance.closest and distance.largest <= _CODE[1] * distance.closest
    if near:
        reached, missed, words = "and lie close to the best code on record", "but not yet to their optimum", ""
    elif value >= _MET:
        reached, missed, words = (
            "to another arrangement, as good as the best code on record",
            "",
            ": another arrangement",
        )
    else:
        missed, words = "in another arrangement than the best code on record", ": another arrangement"
        sentence = sentence._replace(tone="fair" if sentence.tone == "good" else sentence.tone)
    text = (
        f"{sentence.text} They lie {distance.mean:.1f}° on average, and {distance.largest:.1f}° at most, from the best code, "
        f"whose closest two points are {distance.closest:.0f}° apart{words}."
    )
    return _Arrangement(sentence._replace(text=text), reached, missed)


def _best(part: Tables) -> str:
    codes = {flag.code for flag in part.flags}
    if "optimum_is_a_bound" in codes:
        return "the bound on it (no code is known)"
    return "the best margin known" if "optimum_is_best_known" in codes else "the largest margin possible"


def _duality(part: Tables) -> Sentence | None:
    K, d = part.info.get("num_classes", 0), part.info.get("dim", 0)
    key = "nc3/cosine" if d + 1 >= K and "nc3/cosine" in part.numbers else "gnc3/cosine"
    value = part.numbers.get(key)
    if value is None:
        return None
    return Sentence(
        _tone(value, _DUALITY),
        f"Classifier and means: on average one less their cosine is {value:.2g} ({key}, 0 is perfect self-duality).",
    )


def _decisions(part: Tables) -> Sentence | None:
    value = part.numbers.get("nc4/mismatch")
    if value is None:
        return None
    return Sentence(
        _tone(value, _DECISIONS),
        f"Decisions: the classifier and the nearest class mean differ on {value:.2%} of samples (nc4/mismatch).",
    )


def _generalisation(train: Tables, test: Tables) -> list[Sentence]:
    sentences = []
    if "accuracy/linear" in train.numbers and "accuracy/linear" in test.numbers:
        here, there = train["accuracy/linear"], test["accuracy/linear"]
        sentences.append(Sentence("note", f"Accuracy is {here:.2%} on train and {there:.2%} on test."))
    if "test_collapse/strong" in test.numbers and "nc1/trace_ratio" in train.numbers:
        value, own = test["test_collapse/strong"], train["nc1/trace_ratio"]
        tone = _tone(value, _WITHIN)
        text = (
            f"Test samples lie {value:.2g} from the training mean of their class, in units of the scatter between classes; "
            f"training samples {own:.2g} (test_collapse/strong)."
        )
        sentences.append(Sentence("note" if tone == "bad" else tone, text))
    return sentences
