"""What was taught, as it answers and as it is stored.

Shapes: M clips to answer, D width, K classes, K' = K, or K + 1 with clips of no
class.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from taskgrain.checkpoint import TAUGHT
from taskgrain.config.checked import AboveZero, FromOne, Share, read_as
from taskgrain.data.files import atomic_path, write_text
from taskgrain.errors import CheckpointError
from taskgrain.labels.taxonomy import NamedProbability, Ranking
from taskgrain.models.weights import read_arrays, save_tensors
from taskgrain.teaching.classifier import (
    LinearModel,
    conformal_threshold,
    fit_linear,
    hold_out,
    known_unlikeness,
    unlikeness,
)
from taskgrain.teaching.folds import NONE, Floats, Labels, TaughtClips
from taskgrain.transfer.probes.clips import softmax

FORMAT = f"{TAUGHT}-2"
SETTINGS, ARRAYS = "model.json", "model.safetensors"
ENCODER = "encoder"  # the folder of the checkpoint in a model that was taught with one

Verdict = Literal["known", "none of these", "cannot tell"]
"""Of a clip: one of the classes; none of them; the model does not tell unknown from known."""


@dataclass(frozen=True, slots=True)
class TaughtAnswer:
    """What a taught classifier answers to one clip."""

    verdict: Verdict
    label: str | None  # the class; None where it is none of these
    ranking: Ranking  # most probable first, as if the clip were of one of them
    unlikeness: float  # the larger, the less alike the taught clips
    # Share of held-out clips of the classes that are at least as unlike, the clip itself counted
    # among them: a p-value of "it is of one of the classes" (conformal).
    typical: float


@dataclass(frozen=True, slots=True)
class TaughtFacts:
    """What is stored of a taught classifier beside its arrays."""

    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    encoder: str  # a name that `encoder_named` takes; ENCODER: the checkpoint beside this file
    fingerprint: str  # of all that determines the encoder's features
    alpha: Share  # of clips of the classes that may get no answer
    temperature: AboveZero
    penalty: AboveZero  # in widths
    width: FromOne  # D
    clip_seconds: AboveZero  # median length of the classes' clips; a minute counts as the longest
    has_none: bool  # whether clips of no class were taught
    abstains: bool
    why_not: str | None  # why it never answers "none of these"; None where it may


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A classifier of features, and what it knows of clips that it was not taught."""

    facts: TaughtFacts
    model: LinearModel
    known: Floats  # (n,), unlikeness of held-out clips of the classes, rising

    @property
    def threshold(self) -> float | None:
        """The unlikeness above which a clip is none of these; None where it never is."""
        return conformal_threshold(self.known, self.facts.alpha) if self.facts.abstains else None

    def answer(self, features: NDArray[np.floating]) -> list[TaughtAnswer]:
        """Answer clips by their features (M, D).

        Raises:
            ValueError: if they are of another width, or not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.facts.width:
            raise ValueError(f"features are {features.shape}; expected (M, {self.facts.width})")
        if not np.isfinite(features).all():
            raise ValueError("features are NaN or infinite")
        probs, unlike = self._judge(self.model.scores(features))
        return [self._answer(*each) for each in zip(probs, unlike.tolist(), strict=True)]

    def decide(self, scores: Floats) -> tuple[Labels, Floats]:
        """Decide on the class of clips by their scores (M, K'), which may be means over clips.

        Returns:
            The most probable class of each clip, NONE where it is none of these: int64 (M,); and
            the probabilities of the classes as if it were one of them: float64 (M, K).
        """
        probs, unlike = self._judge(scores)
        labels = probs.argmax(axis=1)
        if self.threshold is not None:
            labels = np.where(unlike > self.threshold, NONE, labels)
        return labels, probs

    def _judge(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return the probabilities of the classes (M, K), and the unlikeness (M,)."""
        num_classes, temperature = len(self.facts.classes), self.facts.temperature
        unlike = unlikeness(scores, num_classes=num_classes, temperature=temperature)
        return softmax(scores[:, :num_classes] / temperature), unlike

    def _answer(self, probs: Floats, unlike: float) -> TaughtAnswer:
        order = np.argsort(-probs, kind="stable").tolist()
        ranking = tuple(NamedProbability(self.facts.classes[k], float(probs[k])) for k in order)
        at_least = len(self.known) - int(np.searchsorted(self.known, unlike, side="left"))
        typical = (at_least + 1) / (len(self.known) + 1)
        threshold = self.threshold
        if threshold is None:
            verdict: Verdict = "cannot tell"
        else:
            verdict = "none of these" if unlike > threshold else "known"
        label = None if verdict == "none of these" else ranking[0].name
        return TaughtAnswer(verdict, label, ranking, unlike, typical)


@dataclass(frozen=True, slots=True)
class SeenWith:
    """What the features of clips were computed with, and of."""

    encoder: str  # its name
    fingerprint: str  # of all that determines its features
    clip_seconds: float  # median length of the classes' clips


def teach_classifier(
    clips: TaughtClips,
    classes: Sequence[str],
    *,
    seen: SeenWith,
    alpha: float,
    why_not: str | None,
) -> Taught:
    """Teach a classifier from clips.

    Args:
        clips: with features of the encoder.
        classes: names of the labels 0..K-1.
        seen: what their features were computed with.
        alpha: share of clips of the classes that may get no answer.
        why_not: a reason never to abstain, found on these clips; None lets it abstain.
    """
    held = hold_out(clips)
    (model,) = fit_linear(clips, [held.penalty])
    known = np.sort(known_unlikeness(clips, held))
    if why_not is None and conformal_threshold(known, alpha) is None:
        why_not = (
            f"{len(known)} clips are too few for a threshold that {alpha:.0%} of clips exceed; "
            f"at least {int(np.ceil(1 / alpha - 1))} are needed"
        )
    facts = TaughtFacts(
        classes=tuple(classes),
        encoder=seen.encoder,
        fingerprint=seen.fingerprint,
        clip_seconds=seen.clip_seconds,
        alpha=alpha,
        temperature=held.temperature,
        penalty=held.penalty,
        width=clips.features.shape[1],
        has_none=clips.has_none,
        abstains=why_not is None,
        why_not=why_not,
    )
    return Taught(facts, model, known)


def write_taught(taught: Taught, folder: Path) -> None:
    """Write a taught classifier into a folder: model.json and model.safetensors.

    The arrays come first: a folder without model.json is no model.
    """
    with atomic_path(folder / ARRAYS) as temporary:
        save_tensors({name: torch.from_numpy(each) for name, each in _arrays(taught)}, temporary)
    settings = {"format": FORMAT, **asdict(taught.facts)}
    write_text(folder / SETTINGS, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def _arrays(taught: Taught) -> list[tuple[str, Floats]]:
    model = taught.model
    arrays = {
        "mean": model.mean,
        "scale": model.scale,
        "coef": model.coef,
        "intercept": model.intercept,
        "known": taught.known,
    }
    return [(name, np.ascontiguousarray(each, dtype=np.float64)) for name, each in arrays.items()]


def is_taught(folder: Path) -> bool:
    """Whether a folder holds what was taught, by any version, rather than a study's checkpoint."""
    try:
        stored = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(stored, dict) and str(stored.get("format")).startswith(TAUGHT)


def read_taught(folder: Path) -> Taught:
    """Read what `write_taught` wrote.

    Raises:
        CheckpointError: naming the file and what is missing or malformed in it.
    """
    path = folder / SETTINGS
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        _refuse_format(stored)
        facts = read_as(TaughtFacts, stored)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}; expected what `teach` wrote") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}; expected what `teach` wrote") from error
    num_scores, width = len(facts.classes) + facts.has_none, facts.width
    shapes = {
        "mean": (width,),
        "scale": (width,),
        "coef": (num_scores, width),
        "intercept": (num_scores,),
        "known": (None,),
    }
    arrays = read_arrays(folder / ARRAYS, shapes)
    if not (arrays["scale"] > 0).all():
        raise CheckpointError(f"{folder / ARRAYS}: a scale that is not above 0")
    linear = LinearModel(arrays["mean"], arrays["scale"], arrays["coef"], arrays["intercept"])
    return Taught(facts, linear, np.sort(arrays["known"]))


def _refuse_format(stored: object) -> None:
    found = stored.get("format") if isinstance(stored, dict) else None
    if found != FORMAT:
        raise ValueError(f"its format is {found}, not {FORMAT}: teach it anew from its clips")
