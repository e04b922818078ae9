"""The verdict in words: what the numbers of a result say, headline first. Thresholds stand at the top."""

from typing import NamedTuple

from ._result import CollapseResult

# (good up to, fair up to) for numbers that are zero at collapse.
_WITHIN, _SIMPLEX, _DUALITY, _DECISIONS = (1e-2, 1e-1), (0.1, 0.3), (0.05, 0.2), (1e-2, 1e-1)
_MARGIN = (0.9, 0.7)  # at least
_TONES = ("good", "fair", "bad")


class Sentence(NamedTuple):
    """One sentence of the verdict and its tone: good, fair, bad, or note."""

    tone: str
    text: str


def verdict(result: CollapseResult) -> list[Sentence]:
    """Sentences for a person, the headline first. Each names the numbers it rests on."""
    main = result.split("train") if "train" in result.splits else result
    if result.splits and main is result:
        main = result.split(result.splits[0])
    within = _within(main)
    findings = [finding for finding in (within, _geometry(main), _duality(main), _decisions(main)) if finding]
    sentences = [_headline(findings if within else [], main), *findings]
    if "train" in result.splits and "test" in result.splits:
        sentences += _generalisation(result.split("train"), result.split("test"))
    return sentences


def _tone(value: float, limits: tuple[float, float]) -> str:
    return _TONES[(value > limits[0]) + (value > limits[1])]


def _headline(findings: list[Sentence], main: CollapseResult) -> Sentence:
    K, d = main.info.get("num_classes"), main.info.get("dim")
    where = f"K = {K} classes in d = {d} dimensions"
    if not findings:
        return Sentence("note", f"Too little was measured for a verdict on {where}.")
    tones = [finding.tone for finding in findings]
    if all(tone == "good" for tone in tones):
        return Sentence("good", f"The features have collapsed, and lie close to their optimum ({where}).")
    if findings[0].tone == "good":
        return Sentence("fair", f"The classes have collapsed to points, but not yet to their optimum ({where}).")
    if "bad" not in tones:
        return Sentence("fair", f"The features are collapsing, and are not there yet ({where}).")
    return Sentence("bad", f"The features have not collapsed ({where}).")


def _within(part: CollapseResult) -> Sentence | None:
    value = part.numbers.get("nc1/trace_ratio")
    if value is None:
        return None
    words = {"good": "classes are points", "fair": "classes are small clouds", "bad": "classes are wide clouds"}
    tone = _tone(value, _WITHIN)
    return Sentence(
        tone, f"Within classes: {words[tone]}; their scatter is {value:.2g} of that between classes (nc1/trace_ratio)."
    )


def _geometry(part: CollapseResult) -> Sentence | None:
    numbers, K, d = part.numbers, part.info.get("num_classes", 0), part.info.get("dim", 0)
    if d + 1 >= K and "nc2/etf_distance" in numbers:
        value = numbers["nc2/etf_distance"]
        return Sentence(
            _tone(value, _SIMPLEX),
            f"Between classes: the means are {value:.2g} from a simplex, the optimum for K ≤ d+1 (nc2/etf_distance, 0 to 2).",
        )
    for suffix, what in (("", "means"), ("@weight", "classifier rows")):
        key = f"gnc2/margin_ratio{suffix}"
        if key in numbers and f"gnc2/margin{suffix}" in part.optima:
            value = numbers[key]
            tone = _TONES[(value < _MARGIN[0]) + (value < _MARGIN[1])]
            text = (
                f"Between classes: the least one-vs-rest margin of the {what} is {numbers[f'gnc2/margin{suffix}']:.4g}, "
                f"{value:.1%} of {_best(part)} {part.optima[f'gnc2/margin{suffix}']:.4g} ({key})."
            )
            return Sentence(tone, text)
    return None


def _best(part: CollapseResult) -> str:
    codes = {flag.code for flag in part.flags}
    if "optimum_is_a_bound" in codes:
        return "the bound (no code is known)"
    return "the best known" if "optimum_is_best_known" in codes else "the largest possible"


def _duality(part: CollapseResult) -> Sentence | None:
    K, d = part.info.get("num_classes", 0), part.info.get("dim", 0)
    key = "nc3/cosine" if d + 1 >= K and "nc3/cosine" in part.numbers else "gnc3/cosine"
    value = part.numbers.get(key)
    if value is None:
        return None
    return Sentence(
        _tone(value, _DUALITY),
        f"Classifier and means: on average one less their cosine is {value:.2g} ({key}, 0 is perfect self-duality).",
    )


def _decisions(part: CollapseResult) -> Sentence | None:
    value = part.numbers.get("nc4/mismatch")
    if value is None:
        return None
    return Sentence(
        _tone(value, _DECISIONS),
        f"Decisions: the classifier and the nearest class mean differ on {value:.2%} of samples (nc4/mismatch).",
    )


def _generalisation(train: CollapseResult, test: CollapseResult) -> list[Sentence]:
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
