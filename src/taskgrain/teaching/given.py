"""Teach from clips that a program has in memory, as `teach` does from a folder of files.

Shapes: N clips, S frames of a clip, H' W' its pixels, K classes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.sampling import names_of, scale_frames
from taskgrain.errors import ResultError, list_problems
from taskgrain.jobs.workspace import workspace
from taskgrain.teaching.folds import NONE, Labels, TaughtClips
from taskgrain.teaching.lesson import LEAST_CLIPS
from taskgrain.teaching.near_duplicates import (
    MOST_FRAMES,
    SIGNATURE_FRAMING,
    near_duplicates,
    signature_of,
)
from taskgrain.teaching.outcome import Outcome
from taskgrain.teaching.seeing import LessonEncoder, encode_given
from taskgrain.teaching.teach import (
    ALPHA,
    AUTO,
    Examples,
    check_alpha,
    claim_model,
    encoders_for,
    median_seconds,
    teach_judged,
    write_model,
)

UNKNOWN_RECORDINGS = (
    "which clips were filmed in one go is not known, so nothing is said of clips of new "
    "recordings; recordings= names the recording of each clip"
)


@dataclass(frozen=True, slots=True)
class GivenClips:
    """Labelled clips in memory.

    Raises:
        ValueError: if they are not as the fields say, or there are fewer than two actions, or an
            action has fewer than two clips.
    """

    clips: Sequence[NDArray[np.uint8]]  # uint8 (S, H', W', 3) each, RGB, of any size
    labels: Sequence[str | None]  # the action of each; None: it shows none of the actions
    # The recording that each clip is of, by any values; None: not known. All clips then count as
    # one recording: as recordings of their own, clips that are held out might lie beside others of
    # their recording in teaching, and the estimate would be too good.
    recordings: Sequence[Hashable] | None = None

    def __post_init__(self) -> None:
        names_of(self.clips, None)
        lists: dict[str, Sequence[object]] = {"labels": self.labels}
        if self.recordings is not None:
            lists["recordings"] = self.recordings
        for name, values in lists.items():
            if isinstance(values, str) or len(values) != len(self.clips):
                raise ValueError(
                    f"{name}: found {len(values)} of them; expected a list with one for each of "
                    f"{len(self.clips)} clips"
                )
        _refuse_labels(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The actions, in the order of their names."""
        return tuple(sorted({label for label in self.labels if label is not None}))

    def numbers(self) -> tuple[Labels, Labels]:
        """Number the labels, 0..K-1 or NONE, and the recordings, 0, 1, ...: int64 (N,) both."""
        label_of = {name: number for number, name in enumerate(self.classes)}
        labels = [NONE if each is None else label_of[each] for each in self.labels]
        named: Sequence[Hashable] = [None] * len(self.clips)
        if self.recordings is not None:
            named = self.recordings
        number_of: dict[Hashable, int] = {}
        recordings = [number_of.setdefault(each, len(number_of)) for each in named]
        return np.array(labels, dtype=np.int64), np.array(recordings, dtype=np.int64)


def _refuse_labels(labels: Sequence[str | None]) -> None:
    problems = [
        f"labels: {label!r} is no action; expected a text, or None for a clip of no action"
        for label in dict.fromkeys(labels)
        if label is not None and not (isinstance(label, str) and label.strip())
    ]
    counts = Counter(label for label in labels if isinstance(label, str))
    if len(counts) < 2 and not problems:
        problems.append(
            f"labels: found {', '.join(counts) or 'none'}; expected two actions or more"
        )
    problems += [
        f"labels: action {name!r} has one clip; expected at least {LEAST_CLIPS}, of several "
        "recordings"
        for name, number in sorted(counts.items())
        if number < LEAST_CLIPS
    ]
    if problems:
        raise ValueError(list_problems(problems))


def teach_given(
    given: GivenClips,
    *,
    encoder: str = AUTO,
    out: Path | None = None,
    alpha: float = ALPHA,
    device: str = "cpu",
) -> tuple[Outcome, LessonEncoder]:
    """Teach a classifier from clips in memory, and judge it.

    Args:
        given: the clips.
        encoder: "auto", or a name that `encoder_named` takes.
        out: folder to write the model into, as `teach` does; None writes nothing.
        alpha: share of clips of the classes that may get no answer.
        device: where the encoder computes.

    Raises:
        ValueError: if a clip is not uint8 (S, H', W', 3), or `alpha` not .001 to .5.
        ConfigError: if there is no such encoder, its weights are not on this machine, or `out`
            holds other things.
        ResultError: if features are NaN or infinite.
    """
    check_alpha(alpha)
    candidates, references = encoders_for(encoder, device=device)
    if out is None:
        return _taught(given, candidates, references, alpha)
    with workspace(out):
        claim_model(out)
        outcome, chosen = _taught(given, candidates, references, alpha)
        write_model(outcome, chosen, out)
    return outcome, chosen


def _taught(
    given: GivenClips,
    candidates: Sequence[LessonEncoder],
    references: Sequence[LessonEncoder],
    alpha: float,
) -> tuple[Outcome, LessonEncoder]:
    started = time.perf_counter()
    features = {each.name: encode_given(each, given.clips) for each in (*candidates, *references)}
    for name, rows in features.items():
        for index in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
            raise ResultError(
                f"{name}: the features of clip {index} are not finite; another encoder may read it"
            )
    labels, recordings = given.numbers()
    sets = {
        name: TaughtClips(rows.astype(np.float64), labels, recordings, len(given.classes))
        for name, rows in features.items()
    }
    seconds = median_seconds(
        len(clip)
        for clip, label in zip(given.clips, given.labels, strict=True)
        if label is not None
    )
    examples = Examples(sets, given.classes, seconds, tuple(_notes(given, recordings)))
    examples = replace(examples, network_seconds=time.perf_counter() - started)
    return teach_judged(examples, candidates, references, alpha)


def _notes(given: GivenClips, recordings: Labels) -> Iterator[str]:
    """Phrase what of the recordings is not known, or looks wrong."""
    if given.recordings is None:
        yield UNKNOWN_RECORDINGS
    signatures: Mapping[str, NDArray[np.uint8]] = {
        str(index): signature_of(scale_frames(clip[:MOST_FRAMES], SIGNATURE_FRAMING))
        for index, clip in enumerate(given.clips)
    }
    for pair in near_duplicates(signatures):
        one, other = map(int, pair)
        alike = f"clips {one} and {other} show the same footage"
        if recordings[one] != recordings[other]:
            yield f"{alike}, but are said to be of two recordings"
        if given.labels[one] != given.labels[other]:
            yield f"{alike}, but their labels are {given.labels[one]!r} and {given.labels[other]!r}"
