"""Watch a long video: a model's answer to each of its windows, and the events that these make up.

Shapes: L frames of a window, W windows, K classes, K' scores of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from taskgrain.data.container import FRAME_RATE
from taskgrain.data.sampling import FrameSampling
from taskgrain.data.streaming import Shown, SlidingWindows, WindowStream
from taskgrain.data.videos import printable
from taskgrain.describing import Describer
from taskgrain.errors import CheckpointError, ConfigError, ResultError
from taskgrain.teaching.events import Decide, Event, find_events
from taskgrain.teaching.folds import Floats, Labels
from taskgrain.teaching.model import TaughtModel
from taskgrain.teaching.seeing import CLIPS_TOGETHER, encode_clips
from taskgrain.transfer.probes.clips import softmax

# Wherever an action begins that is as long as a clip, it then fills two windows to three quarters
# or more; with two steps a window it might fill the second to half only. Each window costs a pass
# of the encoder.
STEPS_A_WINDOW = 4


@dataclass(frozen=True, slots=True)
class Watcher:
    """A model that answers windows."""

    classes: tuple[str, ...]
    samplings: frozenset[FrameSampling]  # what it is shown of each
    score: Callable[[Sequence[Shown]], Floats]  # of windows, at least one: (W, K')
    decide: Decide  # on the class of scores, or of their means
    abstains: bool  # whether it may answer "none of these"
    clip_seconds: float | None  # length of the clips that it learned from; None: not known


def taught_watcher(model: TaughtModel) -> Watcher:
    """Have a taught model watch: its scores are the classifier's."""
    taught, encoder = model.taught, model.encoder

    def score(shown: Sequence[Shown]) -> Floats:
        return taught.model.scores(encode_clips(encoder, shown))

    return Watcher(
        model.classes,
        encoder.samplings,
        score,
        taught.decide,
        taught.threshold is not None,
        taught.facts.clip_seconds,
    )


def checkpoint_watcher(describer: Describer) -> Watcher:
    """Have a study's checkpoint watch: its scores are log-probabilities of its own classes.

    Raises:
        CheckpointError: if it was trained for captions alone.
    """
    description, model = describer.description, describer.model
    head, level, sampling = model.head, description.level, description.sampling
    if head is None or level is None:
        raise CheckpointError(
            f"source {description.source!r} was trained for captions alone; expected a checkpoint "
            "with classes, or what `taskgrain teach` wrote, to answer windows"
        )

    def score(shown: Sequence[Shown]) -> Floats:
        video = torch.from_numpy(np.stack([each[sampling] for each in shown]))
        with torch.inference_mode():
            log_probs = head(model.encoder(video.to(head.linear.weight.device)).float())
        scores: Floats = log_probs.double().cpu().numpy()
        return scores

    stride = sampling.stride
    return Watcher(
        description.taxonomy.names(level),
        frozenset([sampling]),
        score,
        _most_probable,
        abstains=False,
        clip_seconds=None if stride is None else sampling.num_frames * stride / FRAME_RATE,
    )


def _most_probable(scores: Floats) -> tuple[Labels, Floats]:
    return scores.argmax(axis=1), softmax(scores)


def choose_windows(
    watcher: Watcher, *, seconds: float | None = None, step_seconds: float | None = None
) -> SlidingWindows:
    """Choose how long windows are and how far apart, in whole frames.

    Args:
        watcher: of the video.
        seconds: of a window; None: as long as the clips that the model learned from.
        step_seconds: from a window to the next; None: a quarter of a window.

    Raises:
        ConfigError: if the length of a window is not known, or windows would leave gaps.
    """
    seconds = watcher.clip_seconds if seconds is None else seconds
    if seconds is None:
        raise ConfigError(
            "this checkpoint does not say how long the clips were that it learned from; give their "
            "length in seconds as --window"
        )
    num_frames = max(1, round(seconds * FRAME_RATE))
    if step_seconds is None:
        step_seconds = num_frames / STEPS_A_WINDOW / FRAME_RATE
    step = max(1, round(step_seconds * FRAME_RATE))
    if step > num_frames:
        raise ConfigError(
            f"--step {step_seconds:g}: windows of {num_frames / FRAME_RATE:.2f} s would leave "
            "gaps; give a step of at most that, or a longer --window"
        )
    return SlidingWindows(num_frames, step)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a model saw in a video."""

    video: str
    seconds: float  # of video
    num_windows: int
    windows: SlidingWindows
    abstains: bool  # whether it may answer "none of these"; else all of the video is of an event
    events: tuple[Event, ...]
    problem: str | None  # of a video that was read as far as it goes

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes; docs/data-format.md, "Events of a long video"."""
        return {
            "video": self.video,
            "seconds": self.seconds,
            "windows": self.num_windows,
            "window_seconds": self.windows.num_frames / FRAME_RATE,
            "step_seconds": self.windows.step / FRAME_RATE,
            "abstains": self.abstains,
            "events": [asdict(each) for each in self.events],
            "problem": self.problem,
        }


def _uncounted(num_windows: int) -> None:
    pass


def watch(
    watcher: Watcher,
    path: Path,
    windows: SlidingWindows,
    *,
    advance: Callable[[int], None] = _uncounted,
) -> Watched:
    """Answer the windows of a video, and find its events. It is decoded once.

    Beside the frames of a window, memory holds the scores of all windows: K' numbers each.

    Args:
        watcher: the model.
        path: of a video file of at most 12 hours, or of a folder of images, one a frame.
        windows: as `choose_windows` chooses them.
        advance: is given how many windows were answered since it was called last; may raise to
            stop.

    Raises:
        ClipError: if the video cannot be decoded, or passes a limit.
        ResultError: if scores are NaN or infinite.
    """
    stream = WindowStream(path, windows, watcher.samplings)
    waiting = iter(stream)
    parts: list[Floats] = []
    while some := list(islice(waiting, CLIPS_TOGETHER)):
        parts.append(watcher.score(some))
        if not np.isfinite(parts[-1]).all():
            raise ResultError(
                f"{path}: what the model computes of a window of it is not finite; another model "
                "may read it"
            )
        advance(len(some))
    scores = np.concatenate(parts)
    events = find_events(
        scores, watcher.decide, watcher.classes, windows=windows, num_frames=stream.num_frames
    )
    return Watched(
        printable(str(path)),
        stream.num_frames / FRAME_RATE,
        len(scores),
        windows,
        watcher.abstains,
        tuple(events),
        None if stream.problem is None else printable(stream.problem),
    )
