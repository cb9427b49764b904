"""The permuted-label control: is an evaluation above chance where nothing can be learned?"""

from __future__ import annotations

from collections.abc import Sequence

from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.student import mean_interval, p_above

ALARM_LEVEL = 0.001  # over the whole family: an alarm 1 time in 20 would be no alarm
FEWEST_DRAWS = 20  # for a t test that far out in its tail


def permuted_label_interval(accuracies: Sequence[float], *, chance: float) -> Interval:
    """Compare the accuracies of probes fitted on permuted support labels with chance.

    Permuting the labels of a support set with as many clips of every class makes each class
    equally likely for each scored clip; but a probe that answers one class for every clip may
    favour it in ties, so accuracies are means over the classes, which are then exactly 1 / K.
    Draws are permuted independently: a t test over them holds, conditional on the scored clips.
    It is one-sided, because a leak of true labels can only raise the accuracy, and because the
    accuracy at one shot is skewed to the right (it counts the labels that a permutation leaves in
    place), which makes the upper tail of t too light and the lower one too heavy.

    Args:
        accuracies: mean over classes, of each support draw, at least two of them, in [0, 1].
        chance: 1 / K, times the share that could be decoded of each class's clips, averaged.

    Returns:
        The mean with its t interval of kind "draws", and p against "above chance", uncorrected;
        no p below 20 draws or without any spread, where a t test says nothing.
    """
    interval = mean_interval(accuracies, kind="draws")
    varies = min(accuracies) < max(accuracies)
    p = p_above(accuracies, null=chance) if varies and len(accuracies) >= FEWEST_DRAWS else None
    return Interval("draws", interval.value, interval.low, interval.high, interval.n, p)


def is_alarm(p: float, *, family: int) -> bool:
    """Whether one of `family` permuted-label tests is above chance (Bonferroni, p < .001)."""
    if family < 1:
        raise ValueError(f"a family of {family} tests; expected at least 1")
    return p * family < ALARM_LEVEL
