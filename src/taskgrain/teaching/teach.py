"""A folder of labelled clips in; a classifier, and what can honestly be said of it, out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from taskgrain.data.container import FRAME_RATE
from taskgrain.data.files import make_folder
from taskgrain.jobs.workspace import claim, refuse_within, workspace
from taskgrain.models.weights import find_checkpoint
from taskgrain.teaching.curve import learning_curve
from taskgrain.teaching.estimate import FEWEST_RECORDINGS, estimate
from taskgrain.teaching.featuring import FeaturedLesson, feature_lesson
from taskgrain.teaching.folds import NONE, TaughtClips
from taskgrain.teaching.lesson import Lesson, link_near_duplicates, read_lesson
from taskgrain.teaching.outcome import Outcome, write_estimate
from taskgrain.teaching.seeing import LessonEncoder, encoder_named, encoders_here
from taskgrain.teaching.taught import (
    ENCODER,
    SETTINGS,
    SeenWith,
    teach_classifier,
    write_taught,
)
from taskgrain.teaching.unseen import FEWEST_AUROC, FEWEST_CLASSES, Unseen, unseen_classes

AUTO = "auto"
REFERENCES = ("motion-energy", "pixels")  # need no network; stand beside every encoder
ALPHA = 0.05  # share of clips of the classes that may be answered "none of these"
MIN_ALPHA, MAX_ALPHA = 0.001, 0.5
CACHE = "features"
MARK, MARK_TEXT = "teaching.json", '{"format": 1}\n'  # tells our folder from a user's

Tell = Callable[[str], None]
Advance = Callable[[int], None]


def _silent(line: str) -> None:
    pass


def _uncounted(clips: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Teaching:
    """What to teach from, and how.

    Raises:
        ValueError: if `alpha` is not .001 to .5.
    """

    folder: Path  # a folder of clips for each action, or a dataset of any layout
    none: Path | None = None  # folder of clips that show none of the actions
    recordings: Path | None = None  # table with the columns clip and recording
    encoder: str = AUTO  # or a name that `encoder_named` takes
    alpha: float = ALPHA
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_alpha(self.alpha)


def check_alpha(alpha: float) -> None:
    """Refuse a share of rejected clips that is none, or most of them.

    Raises:
        ValueError: naming it.
    """
    if not MIN_ALPHA <= alpha <= MAX_ALPHA:
        raise ValueError(
            f"share of rejected clips: found {alpha!r}; expected {MIN_ALPHA} to {MAX_ALPHA}"
        )


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
    candidates, references = encoders_for(teaching.encoder, device=teaching.device)
    refuse_within(out, teaching.folder)
    with workspace(out):
        claim_model(out)
        featured = feature_lesson(
            lesson, [*candidates, *references], out / CACHE, tell=tell, advance=advance
        )
        lesson = link_near_duplicates(lesson, featured.signatures)
        tell(f"judging {len(featured.features)} encoders on recordings that were held out")
        outcome, encoder = teach_judged(
            _examples(lesson, featured),
            candidates,
            references,
            teaching.alpha,
        )
        write_model(outcome, encoder, out)
    return outcome


def encoders_for(name: str, *, device: str) -> tuple[list[LessonEncoder], list[LessonEncoder]]:
    """Open the encoders to choose from, and those that are judged beside them.

    With "auto" everything that is here may be chosen, motion energy and pixels too.

    Raises:
        ConfigError: if there is no such encoder, or its weights are not on this machine.
        CheckpointError: if its weights are not whole.
    """
    if name == AUTO:
        return encoders_here(device=device), []
    others = [each for each in REFERENCES if each != name]
    return [encoder_named(name, device=device)], [encoder_named(e, device=device) for e in others]


def _examples(lesson: Lesson, featured: FeaturedLesson) -> Examples:
    seconds = median_seconds(
        len(featured.signatures[clip.clip_id])  # frames of the first minute
        for clip in lesson.clips
        if clip.label is not None and clip.clip_id in featured.signatures
    )
    return Examples(
        taught_clips(lesson, featured),
        lesson.classes,
        seconds,
        lesson.notes,
        lesson.linked_by,
        featured.failed,
        featured.truncated,
        featured.decoding_seconds,
        featured.network_seconds,
    )


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


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Clips to teach from by their features, and what is to be said of them."""

    sets: Mapping[str, TaughtClips]  # encoder -> the same clips
    classes: tuple[str, ...]  # names of the labels 0..K-1
    clip_seconds: float  # median length of the classes' clips
    notes: tuple[str, ...] = ()  # the fields from here on are those of `Outcome`
    linked_by: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    truncated: Mapping[str, str] = field(default_factory=dict)
    decoding_seconds: float = 0.0
    network_seconds: float = 0.0


def teach_judged(
    examples: Examples,
    candidates: Sequence[LessonEncoder],
    references: Sequence[LessonEncoder],
    alpha: float,
) -> tuple[Outcome, LessonEncoder]:
    """Judge encoders, and teach a classifier of the features of the best.

    Args:
        examples: with features of each encoder.
        candidates: encoders to choose from.
        references: others, which are judged beside them.
        alpha: share of clips of the classes that may get no answer.

    Returns:
        What was taught and found out, and the chosen encoder.
    """
    started = time.perf_counter()
    found = estimate(examples.sets, [encoder.name for encoder in candidates])
    best = next(each for each in candidates if each.name == found.encoders[0].encoder)
    clips = examples.sets[best.name]
    unseen = unseen_classes(clips, alpha)
    taught = teach_classifier(
        clips,
        examples.classes,
        seen=SeenWith(
            ENCODER if best.is_checkpoint else best.name,
            best.fingerprint,
            examples.clip_seconds,
        ),
        alpha=alpha,
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
        linked_by=examples.linked_by,
        notes=examples.notes,
        failed=examples.failed,
        truncated=examples.truncated,
        decoding_seconds=examples.decoding_seconds,
        network_seconds=examples.network_seconds,
        seconds=time.perf_counter() - started,
    )
    return outcome, best


def median_seconds(frames: Iterable[int]) -> float:
    """Return the median length of clips, in seconds, from their numbers of frames."""
    return float(np.median(list(frames))) / FRAME_RATE


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


def write_model(outcome: Outcome, encoder: LessonEncoder, out: Path) -> None:
    """Write a model and its estimate; a folder that is left half written has no model.json.

    Args:
        outcome: what was taught.
        encoder: of its features.
        out: a folder that is ours; see `claim_model`.
    """
    (out / SETTINGS).unlink(missing_ok=True)
    _carry_along(encoder, out / ENCODER)
    write_estimate(outcome, out)
    write_taught(outcome.taught, out)


def claim_model(out: Path) -> None:
    """Make a folder that is new, empty or of an earlier teaching the folder of a model.

    Raises:
        ConfigError: if it holds other things.
    """
    claim(out, Path(MARK), MARK_TEXT, work="a teaching")


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
