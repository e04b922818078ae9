"""What changes over the steps of a run: pure functions of the step, so that a resumed run agrees bit for bit."""

import math


def schedule_factor(schedule: str, step: int, steps: int) -> float:
    r"""What the learning rate is multiplied with at a step.

    Args:
        schedule: ``constant``: 1; ``cosine``: $(1 + \cos(\pi t / T)) / 2$; ``step``: 1, from T/2 on 0.1, from 3T/4
            on 0.01.
        step: t, from 0.
        steps: T, the steps of the whole run.

    Returns:
        The factor, in [0, 1].

    Examples:
        >>> [round(schedule_factor("cosine", step, 4), 3) for step in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if schedule == "cosine":
        return (1 + math.cos(math.pi * step / steps)) / 2
    if schedule == "step":
        return 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
    return 1.0


def ramp(step: int, steps: int, share: float | int) -> float:
    """How much of a change that takes the first ``share`` of all steps is done at a step: from 0 in a line to 1, which stays.

    Args:
        step: from 0.
        steps: of the whole run.
        share: in [0, 1]; 0 for a change that is done from the start.

    Examples:
        >>> [ramp(step, 8, 0.5) for step in range(6)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, step / (share * steps)) if share else 1.0
