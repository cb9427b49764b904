from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.data.streaming import SlidingWindows
from taskgrain.teaching.events import Event, FalseAlarms, find_events
from taskgrain.teaching.folds import NONE, Floats, Labels
from taskgrain.transfer.probes.clips import softmax

CLASSES = ("clap", "wave")
WINDOWS = SlidingWindows(12, 3)  # a second, every quarter
SCORES = {"c": (3.0, -3.0), "w": (-3.0, 3.0), "-": (-3.0, -3.0), "C": (30.0, -30.0)}


def scores_of(text: str) -> Floats:
    return np.array([SCORES[letter] for letter in text])


def decide(scores: Floats) -> tuple[Labels, Floats]:
    """The larger of two scores, or none of the classes where neither is above 0."""
    is_none = scores.max(axis=1) <= 0
    labels: NDArray[np.int64] = np.where(is_none, NONE, scores.argmax(axis=1))
    return labels, softmax(scores)


def never_none(scores: Floats) -> tuple[Labels, Floats]:
    return scores.argmax(axis=1), softmax(scores)


def events(
    text: str, *, windows: SlidingWindows = WINDOWS, spare: int = 0, abstains: bool = True
) -> list[Event]:
    """Find the events of a video whose windows have these scores."""
    num_frames = windows.num_frames + windows.step * (len(text) - 1) + spare
    return find_events(
        scores_of(text),
        decide if abstains else never_none,
        CLASSES,
        windows=windows,
        num_frames=num_frames,
    )


def spans(found: list[Event]) -> list[tuple[str, float, float]]:
    return [(each.label, each.start, each.end) for each in found]


def test_windows_of_one_answer_are_one_event_where_most_of_its_windows_lie() -> None:
    found = events("--------cccccc--------")
    # The windows cover seconds 2 to 4.25; a time is of an event if more of its windows are.
    assert spans(found) == [("clap", 2.5, 3.75)]
    assert found[0].probability < found[0].highest == pytest.approx(1 / (1 + np.exp(-6)))


def test_an_action_as_long_as_a_window_is_found_where_it_is() -> None:
    # The mean score of windows that it fills to .25, .5, .75, 1, .75 and so on.
    shares = np.array([0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0])
    scores = np.stack([2 * shares - 1, -np.ones(15)], axis=1)
    found = find_events(scores, decide, CLASSES, windows=WINDOWS, num_frames=12 + 3 * 14)
    assert spans(found) == [("clap", 7 / 4, 11 / 4)]


def test_a_single_odd_window_is_no_event_and_breaks_none() -> None:
    assert events("------C------") == []
    assert events("C------") == []
    assert spans(events("wwwwwwCwwwwww")) == [("wave", 0.0, 4.0)]
    assert spans(events("wwwwww-wwwwww")) == [("wave", 0.0, 4.0)]
    assert [each[0] for each in spans(events("------CC------"))] == ["clap"]


def test_events_of_two_classes_meet_near_the_middle_of_the_overlap() -> None:
    found = spans(events("ccccccwwwwww"))
    # The last window of the one is 1.25 to 2.25 s, the first of the other 1.5 to 2.5 s.
    assert [each[0] for each in found] == ["clap", "wave"]
    assert found[0][2] == found[1][1]
    assert abs(found[0][2] - 1.875) <= 0.125
    assert (found[0][1], found[1][2]) == (0.0, 3.75)


def test_a_model_that_never_abstains_answers_all_of_the_video() -> None:
    found = spans(events("cccc-wwww---cccc", spare=2, abstains=False))
    assert found[0][1] == 0.0
    assert found[-1][2] == pytest.approx((12 + 45 + 2) / 12)
    assert len(found) == 3
    assert all(one[2] == other[1] for one, other in pairwise(found))


def test_what_lies_behind_the_last_window_is_of_its_answer() -> None:
    assert spans(events("cccc", spare=2)) == [("clap", 0.0, 23 / 12)]


@pytest.mark.parametrize("step", [1, 5, 7, 12])
def test_any_step_covers_the_video(step: int) -> None:
    windows = SlidingWindows(12, step)
    found = events("cccccc", windows=windows, spare=step - 1)
    assert spans(found) == [("clap", 0.0, (12 + 5 * step + step - 1) / 12)]


def test_one_window_is_answered_as_a_clip_is() -> None:
    found = find_events(scores_of("w"), decide, CLASSES, windows=WINDOWS, num_frames=7)
    assert spans(found) == [("wave", 0.0, 7 / 12)]
    assert (found[0].probability, found[0].highest) == pytest.approx((1 / (1 + np.exp(-6)),) * 2)
    assert events("-") == []


def test_other_numbers_of_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="3 windows of 12 frames; expected 1"):
        find_events(scores_of("ccc"), decide, CLASSES, windows=WINDOWS, num_frames=12)


def test_means_are_over_the_windows_that_hold_the_middle_of_a_cell() -> None:
    rng = np.random.default_rng(0)
    windows, num_frames = SlidingWindows(13, 4), 70
    scores = rng.normal(size=(windows.count(num_frames), 2))
    seen: list[Floats] = []

    def record(given: Floats) -> tuple[Labels, Floats]:
        seen.append(given)
        return never_none(given)

    find_events(scores, record, CLASSES, windows=windows, num_frames=num_frames)
    (means,) = [each for each in seen if each.shape != scores.shape]
    assert len(means) == 18
    for cell, mean in enumerate(means):
        middle = 4 * cell + 2
        holding = [s for j, s in enumerate(scores) if 4 * j <= middle < 4 * j + 13]
        np.testing.assert_allclose(mean, np.mean(holding or scores[-1:], axis=0), rtol=1e-12)


def test_no_false_alarm_in_an_hour_leaves_up_to_four() -> None:
    quiet = FalseAlarms(0, 1.0)
    assert quiet.per_hour == 0
    assert quiet.bounds == pytest.approx((0.0, 3.69), abs=0.005)
    assert FalseAlarms(5, 2.5).per_hour == 2
    assert FalseAlarms(5, 2.5).bounds == pytest.approx((1.6235 / 2.5, 11.668 / 2.5), rel=1e-3)
