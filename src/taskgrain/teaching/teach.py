"""A folder of labelled clips in; a classifier, and what can honestly be said of it, out."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taskgrain.data.files import make_folder, write_text
from taskgrain.jobs.workspace import claim, refuse_within, workspace
from taskgrain.models.weights import find_checkpoint
from taskgrain.teaching.curve import learning_curve
from taskgrain.teaching.estimate import FEWEST_RECORDINGS, estimate
from taskgrain.teaching.featuring import FeaturedLesson, feature_lesson
from taskgrain.teaching.folds import NONE, TaughtClips
from taskgrain.teaching.lesson import Lesson, link_near_duplicates, read_lesson
from taskgrain.teaching.outcome import Outcome
from taskgrain.teaching.seeing import LessonEncoder, encoder_named, encoders_here
from taskgrain.teaching.taught import ENCODER, SETTINGS, teach_classifier, write_taught
from taskgrain.teaching.unseen import FEWEST_AUROC, FEWEST_CLASSES, Unseen, unseen_classes

AUTO = "auto"
REFERENCES = ("motion-energy", "pixels")  # need no network; stand beside every encoder
ALPHA = 0.05  # share of clips of the classes that may be answered "none of these"
ESTIMATE, CACHE = "estimate.json", "features"
MARK, MARK_TEXT = "teaching.json", '{"format": 1}\n'  # tells our folder from a user's

Tell = Callable[[str], None]
Advance = Callable[[int], None]


def _silent(line: str) -> None:
    pass


def _uncounted(clips: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Teaching:
    """What to teach from, and how."""

    folder: Path  # a folder of clips for each action, or a dataset of any layout
    none: Path | None = None  # folder of clips that show none of the actions
    recordings: Path | None = None  # table with the columns clip and recording
    encoder: str = AUTO  # or a name that `encoder_named` takes
    alpha: float = ALPHA
    device: str = "cpu"


def teach(
    teaching: Teaching, out: Path, *, tell: Tell = _silent, advance: Advance = _uncounted
) -> Outcome:
    """Teach a classifier, judge it, and write both into a folder.

    The folder holds model.json and model.safetensors (`read_taught`), estimate.json
    (`Outcome.to_json`), `encoder/` where the encoder is a checkpoint, and `features/`, from which
    a stopped run goes on. Clips, settings and encoders that are equal give equal models.

    Args:
        teaching: what to teach from.
        out: a folder that is new, empty, or of an earlier teaching, whose model is replaced.
        tell: is given lines about what is going on.
        advance: is given how many clips were read since it was called last.

    Raises:
        ManifestError: if the clips cannot serve: see `read_lesson`, `feature_lesson`.
        ConfigError: if there is no such encoder, its weights are not on this machine, or `out`
            holds other things.
        ResultError: if features are NaN or infinite.
    """
    lesson = read_lesson(teaching.folder, none=teaching.none, recordings=teaching.recordings)
    candidates, references = _encoders(teaching)
    refuse_within(out, teaching.folder)
    with workspace(out):
        claim(out, Path(MARK), MARK_TEXT, work="a teaching")
        featured = feature_lesson(
            lesson, [*candidates, *references], out / CACHE, tell=tell, advance=advance
        )
        lesson = link_near_duplicates(lesson, featured.signatures)
        tell(f"judging {len(featured.features)} encoders on recordings that were held out")
        outcome, encoder = _taught(teaching, lesson, featured, [*candidates, *references])
        _write(outcome, encoder, out)
    return outcome


def _encoders(teaching: Teaching) -> tuple[list[LessonEncoder], list[LessonEncoder]]:
    """Open the encoders to choose from, and those that are judged beside them.

    With "auto" everything that is here may be chosen, motion energy and pixels too.
    """
    if teaching.encoder == AUTO:
        return encoders_here(device=teaching.device), []
    named = encoder_named(teaching.encoder, device=teaching.device)
    others = [name for name in REFERENCES if name != named.name]
    return [named], [encoder_named(name, device=teaching.device) for name in others]


def taught_clips(lesson: Lesson, featured: FeaturedLesson) -> dict[str, TaughtClips]:
    """Put together what classifiers are taught from: encoder -> the clips that could be read."""
    clip_of = {clip.clip_id: clip for clip in lesson.clips}
    label_of = {name: label for label, name in enumerate(lesson.classes)}
    number_of: dict[str, int] = {}
    for clip in lesson.clips:
        number_of.setdefault(clip.recording, len(number_of))
    sets = {}
    for each in featured.features:
        clips = [clip_of[clip_id] for clip_id in each.clip_ids]
        labels = [NONE if clip.label is None else label_of[clip.label] for clip in clips]
        recordings = [number_of[clip.recording] for clip in clips]
        sets[each.encoder] = TaughtClips(
            each.features.astype(np.float64),
            np.array(labels, dtype=np.int64),
            np.array(recordings, dtype=np.int64),
            len(lesson.classes),
        )
    return sets


def _taught(
    teaching: Teaching,
    lesson: Lesson,
    featured: FeaturedLesson,
    encoders: Sequence[LessonEncoder],
) -> tuple[Outcome, LessonEncoder]:
    """Judge the encoders, and teach a classifier of the features of the best."""
    started = time.perf_counter()
    sets = taught_clips(lesson, featured)
    candidates = [name for name in sets if teaching.encoder in (AUTO, name)]
    found = estimate(sets, candidates)
    best = next(each for each in encoders if each.name == found.encoders[0].encoder)
    clips = sets[best.name]
    unseen = unseen_classes(clips, teaching.alpha)
    taught = teach_classifier(
        clips,
        lesson.classes,
        encoder=ENCODER if best.is_checkpoint else best.name,
        fingerprint=best.fingerprint,
        alpha=teaching.alpha,
        why_not=_why_not(unseen),
    )
    outcome = Outcome(
        taught=taught,
        estimate=found,
        curve=learning_curve(clips, taught.facts.penalty),
        unseen=unseen,
        num_clips=len(clips),
        num_none=int((clips.labels == NONE).sum()),
        num_recordings=len(np.unique(clips.recordings)),
        linked_by=lesson.linked_by,
        notes=lesson.notes,
        failed=featured.failed,
        truncated=featured.truncated,
        decoding_seconds=featured.decoding_seconds,
        network_seconds=featured.network_seconds,
        seconds=time.perf_counter() - started,
    )
    return outcome, best


def _why_not(unseen: Unseen | None) -> str | None:
    """Return why a classifier must not abstain; None if it may."""
    if unseen is None:
        return (
            f"no class could play the unknown (it takes {FEWEST_CLASSES} classes, and two "
            "recordings of some), so it is not known whether unknown can be told from known"
        )
    if unseen.can_tell:
        return None
    bound = unseen.lower_bound
    if bound is None:
        return (
            f"{unseen.auroc.num_recordings} recordings are too few to know whether it can tell "
            f"unknown from known; at least {FEWEST_RECORDINGS} are needed"
        )
    return (
        "it cannot tell unknown from known: clips of unseen classes look unknown with an AUROC of "
        f"{unseen.auroc.value:.2f}, perhaps as low as {bound:.2f}; at least {FEWEST_AUROC} is asked"
    )


def _write(outcome: Outcome, encoder: LessonEncoder, out: Path) -> None:
    """Write the model and its estimate; a folder that is left half written has no model.json."""
    (out / SETTINGS).unlink(missing_ok=True)
    _carry_along(encoder, out / ENCODER)
    write_text(
        out / ESTIMATE,
        json.dumps(outcome.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    )
    write_taught(outcome.taught, out)


def _carry_along(encoder: LessonEncoder, held: Path) -> None:
    """Put a copy of the encoder's checkpoint into a model; of other encoders there is none."""
    checkpoint = find_checkpoint(encoder.name) if encoder.is_checkpoint else None
    if checkpoint is not None and held.exists() and checkpoint.samefile(held):
        return  # the model is taught anew with the encoder that it carries
    if held.exists():
        shutil.rmtree(held)
    if checkpoint is not None:
        make_folder(held)
        for name in ("model.safetensors", "model.json"):
            shutil.copyfile(checkpoint / name, held / name)
