"""What `teach` says of drawn clips is true of some 900 further clips of recordings it never saw."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from taskgrain.teaching.classifier import fit_linear, hold_out, unlikeness
from taskgrain.teaching.estimate import Value, estimate
from taskgrain.teaching.folds import Floats, Labels, Mask, TaughtClips
from taskgrain.teaching.taught import Taught, read_taught
from taskgrain.teaching.teach import Teaching, teach
from taskgrain.teaching.unseen import unseen_classes, without_class
from tests.teaching.drawn import TAUGHT, UNSEEN, drawn_clips, read_clips, room_name, write_clips

pytestmark = pytest.mark.slow  # some 1,200 clips are drawn, encoded and decoded

NUM_ROOMS, PER_ROOM = 80, 3
LESSONS = 13
ACTIONS = tuple(sorted((*TAUGHT, UNSEEN)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of each of five actions in each of 80 recordings, as files."""
    clips = drawn_clips(1, range(NUM_ROOMS), PER_ROOM, actions=ACTIONS)
    return write_clips(tmp_path_factory.mktemp("drawn") / "clips", clips)


@pytest.fixture(scope="module")
def everything(folder: Path) -> TaughtClips:
    """Motion energy of all clips; labels index ACTIONS, recordings are numbers of rooms."""
    return read_clips(folder, "motion-energy")


@pytest.fixture(scope="module")
def clips(everything: TaughtClips) -> TaughtClips:
    """The clips of the four actions that are taught; labels index TAUGHT."""
    unseen = ACTIONS.index(UNSEEN)
    return without_class(everything.of(everything.labels != unseen), unseen)


def lesson_of(clips: TaughtClips, rooms: Sequence[int], *, crossed: bool) -> TaughtClips:
    """Take the clips of some rooms: of all actions if crossed, else of one action a room."""
    is_taught = np.isin(clips.recordings, rooms)
    if not crossed:
        action_of = np.full(NUM_ROOMS, -1)
        action_of[list(rooms)] = np.arange(len(rooms)) % clips.num_classes
        is_taught &= clips.labels == action_of[clips.recordings]
    return clips.of(is_taught)


def further_than(lesson: TaughtClips, clips: TaughtClips) -> TaughtClips:
    """Take the clips of all rooms of which the lesson has none: 600 and more."""
    return clips.of(~np.isin(clips.recordings, lesson.recordings))


def truth_of(lesson: TaughtClips, further: TaughtClips) -> float:
    (model,) = fit_linear(lesson, [hold_out(lesson).penalty])
    return float((model.scores(further.features).argmax(axis=1) == further.labels).mean())


def accuracy_of(lesson: TaughtClips) -> Value:
    found = estimate({"motion-energy": lesson}, ["motion-energy"]).accuracy
    assert found is not None
    return found


def holds(value: Value, truth: float) -> bool:
    assert value.interval is not None
    return value.interval.low <= truth <= value.interval.high


def test_what_teach_says_of_six_recordings_is_true_of_further_ones(
    folder: Path, clips: TaughtClips, tmp_path: Path
) -> None:
    for action in TAUGHT:
        for room in range(6):
            place = Path(action) / room_name(room)
            shutil.copytree(folder / place, tmp_path / "lesson" / place)
    outcome = teach(Teaching(tmp_path / "lesson", encoder="motion-energy"), tmp_path / "model")
    assert (outcome.num_clips, outcome.num_recordings) == (72, 6)
    assert outcome.linked_by["folder"] == 72
    accuracy = outcome.estimate.accuracy
    assert accuracy is not None
    taught = read_taught(tmp_path / "model")
    truth = recognised(taught, clips.of(clips.recordings >= 6))
    assert holds(accuracy, truth)
    assert truth > 0.5  # four actions: something was learned that a new room does not change
    order = [each.encoder for each in outcome.estimate.encoders]
    assert order == ["motion-energy", "pixels"]
    behind = outcome.estimate.encoders[1].behind
    assert behind is not None
    assert behind.value > 0.1  # rooms differ so much that pixels tell rooms, not actions


def recognised(taught: Taught, further: TaughtClips) -> float:
    """Return the share of further clips whose most probable class is right."""
    names = [answer.ranking[0].name for answer in taught.answer(further.features)]
    right = [name == TAUGHT[k] for name, k in zip(names, further.labels, strict=True)]
    return float(np.mean(right))


def test_lessons_of_six_recordings_mostly_hold_the_truth(clips: TaughtClips) -> None:
    held = []
    for first in range(0, 6 * LESSONS, 6):
        lesson = lesson_of(clips, range(first, first + 6), crossed=True)
        held.append(holds(accuracy_of(lesson), truth_of(lesson, further_than(lesson, clips))))
    assert sum(held) >= 10  # at 95 % fewer hold in 3 of 1,000 sets of 13


def test_where_actions_have_rooms_of_their_own_only_held_out_rooms_tell_the_truth(
    clips: TaughtClips,
) -> None:
    lesson = lesson_of(clips, range(12), crossed=False)
    assert len(lesson) == 36
    truth = truth_of(lesson, further_than(lesson, clips))
    assert holds(accuracy_of(lesson), truth)
    found = estimate({"motion-energy": lesson}, ["motion-energy"])
    assert found.same_recordings is not None
    assert found.same_recordings > truth + 0.1
    each_alone = TaughtClips(
        lesson.features, lesson.labels, np.arange(len(lesson)), lesson.num_classes
    )
    ignoring = accuracy_of(each_alone)
    assert ignoring.interval is not None
    assert ignoring.interval.low > truth


def auroc_of(unlike: Floats, is_unknown: Mask, recordings: Labels) -> float:
    """Compare the unknown with the known clips of each room: pairs in the right order, a mean."""
    shares = []
    for room in np.unique(recordings):
        unknown = unlike[(recordings == room) & is_unknown]
        known = unlike[(recordings == room) & ~is_unknown]
        shares.append((unknown[:, None] > known).mean() + (unknown[:, None] == known).mean() / 2)
    return float(np.mean(shares))


def unlike_of(lesson: TaughtClips, further: TaughtClips) -> Floats:
    held = hold_out(lesson)
    (model,) = fit_linear(lesson, [held.penalty])
    return unlikeness(
        model.scores(further.features),
        num_classes=lesson.num_classes,
        temperature=held.temperature,
    )


def test_unseen_actions_are_told_from_taught_ones_as_well_as_is_said(
    clips: TaughtClips, everything: TaughtClips
) -> None:
    lesson = lesson_of(clips, range(12), crossed=True)
    unseen = unseen_classes(lesson, 0.05)
    assert unseen is not None
    further = further_than(lesson, clips)
    truths = []
    for label in range(len(TAUGHT)):  # each in turn is taught to nobody, as in the estimate
        others = without_class(lesson.of(lesson.labels != label), label)
        unlike = unlike_of(others, further)
        truths.append(auroc_of(unlike, further.labels == label, further.recordings))
    assert holds(unseen.auroc, float(np.mean(truths)))
    rest = everything.of(everything.recordings >= 12)
    unlike = unlike_of(lesson, rest)
    truth = auroc_of(unlike, rest.labels == ACTIONS.index(UNSEEN), rest.recordings)
    assert abs(unseen.auroc.value - truth) < 0.1  # one action says little of all others
