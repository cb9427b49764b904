"""Read the clips to learn from: a folder for each action, and which clips are of one recording."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrain.data.equal_files import equal_groups
from taskgrain.data.files import missing_folder
from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.layouts.names import shown
from taskgrain.data.layouts.tree import find_clips, path_ids
from taskgrain.data.manifest import ClipRecord, Reading
from taskgrain.data.opening import read_dataset
from taskgrain.data.videos import printable
from taskgrain.errors import ManifestError, list_problems
from taskgrain.teaching.near_duplicates import Signature, near_duplicates
from taskgrain.teaching.recordings import (
    REASONS,
    Filmed,
    Links,
    Reason,
    first_telling,
    folder_of_recording,
    link_clips,
    read_recordings,
)

NONE = "none"  # before the ids of clips that show none of the actions; no action is called so
LEAST_CLIPS = 2  # of an action: one to learn from, one to test on
ALONE = (
    "every file counts as a recording of its own; several clips filmed in one go? name their "
    "recordings with --recordings"
)


WORDS: Mapping[Reason, str] = {
    "declared": "the table of recordings",
    "folder": "their folders",
    "name": "their names",
    "time": "the time at which they were filmed",
    "equal files": "equal content",
    "near-duplicate": "what they show",
}


@dataclass(frozen=True, slots=True)
class LessonClip:
    """One clip to learn from."""

    clip_id: str  # path below the folder without suffix, with slashes; "none/" before it of --none
    path: Path  # of the video file, or the folder of its frames
    label: str | None  # the action; None: a clip of --none
    recording: str  # name of the recording that the clip is of


@dataclass(frozen=True, slots=True)
class Lesson:
    """Clips of at least two actions, and perhaps of none of them."""

    clips: tuple[LessonClip, ...]  # in the order of their ids
    classes: tuple[str, ...]  # the actions, in the order of their names; at least 2
    linked_by: Mapping[str, int]  # reason of `recordings.REASONS` -> clips linked to another by it
    notes: tuple[str, ...]  # for the user, a sentence each
    declared: frozenset[str] = frozenset()  # ids of the clips whose recording a table names


def read_lesson(
    folder: Path, *, none: Path | None = None, recordings: Path | None = None
) -> Lesson:
    """Read which clips show which action, and find the recordings that they are of.

    Nothing is decoded: of video files the headers are read.

    Args:
        folder: a folder for each action, or a dataset of any layout; clips of all its splits
            that have a category are taken.
        none: folder of videos that show none of the actions. It may lie in `folder`.
        recordings: table with the columns `clip` and `recording`.

    Raises:
        ManifestError: if a folder is not there or cannot be read, the table cannot be used, there
            are less than two actions, an action has one clip or is called "none", or equal files
            show different things.
    """
    if not folder.is_dir():
        raise ManifestError(
            f"{folder}: {missing_folder(folder)}; expected a folder with one folder of clips for "
            "each action"
        )
    options = LayoutOptions(test_answers=True, draws_validation=False)
    reading = read_dataset(folder, options=options)
    problems = [printable(str(problem)) for problem in reading.problems]
    if problems:
        raise ManifestError(list_problems(problems))
    kept = [
        record
        for record in reading.records
        if record.excluded is None and not _lies_below(record.path, none)
    ]
    _refuse_classes(folder, [record.category for record in kept])
    clips = sorted([*_filmed(folder, kept), *_of_none(none)], key=lambda clip: clip.clip_id)
    declared = {} if recordings is None else read_recordings(recordings, clips)
    equal = equal_groups([clip.path for clip in clips])
    _refuse_equal(clips, equal)
    links = link_clips(clips, declared, equal)
    found = tuple(
        LessonClip(clip.clip_id, clip.path, clip.action, recording)
        for clip, recording in zip(clips, links.recordings(), strict=True)
    )
    lesson = Lesson(
        found,
        tuple(sorted({record.category for record in kept})),
        links.counts,
        (*map(printable, reading.notes), *_left_out(reading)),
        frozenset(declared),
    )
    return replace(lesson, notes=(*lesson.notes, _recording_note(lesson)))


def link_near_duplicates(lesson: Lesson, signatures: Mapping[str, Signature]) -> Lesson:
    """Link the clips that show the same footage, as far as no table names their recordings.

    Args:
        lesson: the clips.
        signatures: clip id -> `near_duplicates.signature_of` its frames; clips without one stay
            as they are.

    Returns:
        The lesson, perhaps with fewer recordings. Its notes name pairs that were not linked because
        of the table, and pairs of which one shows another action.
    """
    place_of = {clip.clip_id: place for place, clip in enumerate(lesson.clips)}
    links = Links(list(place_of))
    by_recording: dict[str, list[int]] = defaultdict(list)
    for place, clip in enumerate(lesson.clips):
        by_recording[clip.recording].append(place)
    for name, group in by_recording.items():
        links.join("declared", group, name)  # whatever linked them: their names are kept
    notes = [note for note in lesson.notes if note != _recording_note(lesson)]
    held = {name: signatures[name] for name in place_of if name in signatures}
    for pair in near_duplicates(held):
        one, other = (lesson.clips[place_of[name]] for name in pair)
        alike = f"{one.clip_id} and {other.clip_id} show the same footage"
        if lesson.declared.isdisjoint(pair):
            links.join("near-duplicate", [place_of[name] for name in pair])
        elif one.recording != other.recording:
            notes.append(f"{alike}, but their recordings are {one.recording} and {other.recording}")
        if one.label != other.label:
            notes.append(
                f"{alike}, but one shows {_words(one.label)}, the other {_words(other.label)}"
            )
    clips = tuple(
        replace(clip, recording=recording)
        for clip, recording in zip(lesson.clips, links.recordings(), strict=True)
    )
    counts = {**lesson.linked_by}
    if "near-duplicate" in links.counts:
        counts["near-duplicate"] = links.counts["near-duplicate"]
    linked = replace(lesson, clips=clips, linked_by=counts, notes=tuple(notes))
    return replace(linked, notes=(*notes, _recording_note(linked)))


def _lies_below(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _filmed(folder: Path, records: Sequence[ClipRecord]) -> list[Filmed]:
    ids = path_ids(folder, [record.file for record in records])
    return [
        Filmed(
            clip_id,
            record.path,
            record.category,
            folder_of_recording(record),
            (record.clip_id, printable(record.file)),
        )
        for clip_id, record in zip(ids, records, strict=True)
    ]


def _of_none(folder: Path | None) -> list[Filmed]:
    """List the clips of none of the actions.

    Raises:
        ManifestError: if there is no such folder, or no clip in it.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise ManifestError(
            f"{folder}: {missing_folder(folder)}; expected a folder of videos that show none of "
            "the actions"
        )
    files = find_clips(folder)
    if not files:
        raise ManifestError(f"{folder}: holds no video; expected some that show no action")
    return [
        Filmed(
            f"{NONE}/{clip_id}",
            folder / file,
            None,
            first_telling(file.split("/")[:-1]),
            (printable(f"{NONE}/{file}"),),
        )
        for clip_id, file in zip(path_ids(folder, files), files, strict=True)
    ]


def _refuse_classes(folder: Path, categories: Sequence[str]) -> None:
    """Refuse actions of which nothing can be learned.

    Raises:
        ManifestError: naming each.
    """
    counts = Counter(categories)
    problems = [
        f"{folder}: an action is called {name!r}, which stands for clips of no action; give that "
        "folder as --none, or rename it"
        for name in counts
        if name.casefold() == NONE
    ]
    if len(counts) < 2:
        found = f"one action alone ({', '.join(counts)})" if counts else "no clip of any action"
        problems.append(
            f"{folder}: {found}; expected at least two: a folder of clips for each action"
        )
    problems += [
        f"{folder}: action {name!r} has one clip; expected at least {LEAST_CLIPS}, of several "
        "recordings: add clips, or take the action out"
        for name, number in sorted(counts.items())
        if number < LEAST_CLIPS
    ]
    if problems:
        raise ManifestError(list_problems(problems))


def _refuse_equal(clips: Sequence[Filmed], equal: Sequence[Sequence[int]]) -> None:
    """Refuse clips of equal content and different labels.

    Raises:
        ManifestError: naming the first two of each content.
    """
    problems = []
    for group in equal:
        first = clips[group[0]]
        other = next((clips[e] for e in group if clips[e].action != first.action), None)
        if other is not None:
            problems.append(
                f"{printable(str(first.path))} and {printable(str(other.path))} are equal files, "
                f"but one shows {_words(first.action)}, the other {_words(other.action)}; "
                "remove one of them"
            )
    ids = Counter(clip.clip_id for clip in clips)
    problems += [
        f"{name}: a clip of --none and one of an action have this id; rename the action's"
        for name, times in ids.items()
        if times > 1
    ]
    if problems:
        raise ManifestError(list_problems(problems))


def _words(action: str | None) -> str:
    return "none of the actions" if action is None else repr(action)


def _left_out(reading: Reading) -> list[str]:
    """Phrase which clips are no part of the lesson."""
    excluded = [record.clip_id for record in reading.records if record.excluded is not None]
    return [
        f"{len(names)} clips {why} and are left out ({shown(list(map(printable, names)))})"
        for names, why in (
            (excluded, "are excluded by ledger.jsonl"),
            (reading.test_ids, "have no action"),
        )
        if names
    ]


def _recording_note(lesson: Lesson) -> str:
    """Phrase how many recordings there are, and by what their clips were linked."""
    number = len({clip.recording for clip in lesson.clips})
    if number == len(lesson.clips):
        return ALONE
    by = [
        f"{lesson.linked_by[each]} by {WORDS[each]}" for each in REASONS if each in lesson.linked_by
    ]
    return f"{len(lesson.clips)} clips are of {number} recordings; linked are {', '.join(by)}"
