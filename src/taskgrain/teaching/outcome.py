"""All that is known of a taught classifier: what it was taught from, and how good it will be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.errors import CheckpointError
from taskgrain.teaching.curve import Curve
from taskgrain.teaching.estimate import Estimate, Value
from taskgrain.teaching.taught import Taught
from taskgrain.teaching.unseen import BASE_RATES, Unseen, precision

ESTIMATE = "estimate.json"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What `teach` did, and what it found out."""

    taught: Taught
    estimate: Estimate
    curve: Curve
    unseen: Unseen | None  # None: with two classes neither can play the unknown
    num_clips: int  # taught, those of no class included
    num_none: int  # of these, clips of no class
    num_recordings: int
    linked_by: Mapping[str, int]  # reason -> clips that were linked to others by it
    notes: tuple[str, ...]  # sentences about the clips and their recordings
    failed: Mapping[str, str]  # clip id -> why it could not be read
    truncated: Mapping[str, str]  # clip id -> what of it is missing; it was taught all the same
    decoding_seconds: float
    network_seconds: float
    seconds: float  # of teaching and judging, without features

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels."""
        return self.taught.facts.classes

    def precisions(self) -> dict[float, float] | None:
        """Return base rate -> share of answers that are about a clip of a class.

        None where the model always answers, or nothing is known of unseen classes.
        """
        if self.unseen is None or not self.taught.facts.abstains:
            return None
        rejected, accepted = self.unseen.rejected, self.unseen.accepted
        if rejected is None or accepted is None:
            return None
        return {
            rate: precision(rate, found=1.0 - rejected.value, accepted=accepted.value)
            for rate in BASE_RATES
        }

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes; docs/data-format.md, "A taught model"."""
        names = self.classes
        estimate = self.estimate
        precisions = self.precisions()
        return {
            "classes": list(names),
            "encoder": estimate.encoders[0].encoder,
            "clips": self.num_clips,
            "none": self.num_none,
            "recordings": self.num_recordings,
            "linked_by": dict(self.linked_by),
            "notes": list(self.notes),
            "failed": dict(self.failed),
            "truncated": dict(self.truncated),
            "accuracy": value_json(estimate.accuracy),
            "same_recordings": estimate.same_recordings,
            "chance": estimate.chance,
            "by_class": [
                {
                    "class": names[each.label],
                    "clips": each.num_clips,
                    "recordings": each.num_recordings,
                    "recall": value_json(each.recall),
                }
                for each in estimate.classes
            ],
            "confused": [
                {
                    "classes": [names[label] for label in pair.labels],
                    "mistakes": pair.mistakes,
                    "clips": pair.clips,
                }
                for pair in estimate.pairs
            ],
            "encoders": [
                {
                    "encoder": each.encoder,
                    "accuracy": value_json(each.accuracy),
                    "behind": value_json(each.behind),
                    "folds_won": estimate.folds_won.get(each.encoder),
                }
                for each in estimate.encoders
            ],
            "curve": [
                {"recordings": point.num_recordings, "accuracy": value_json(point.accuracy)}
                for point in self.curve.points
            ],
            "last_recording": [
                {"class": names[each.label], "gain": value_json(each.gain)}
                for each in self.curve.last
            ],
            "unseen": None if self.unseen is None else _unseen_json(self.unseen),
            "precision": precisions
            and [{"base_rate": rate, "precision": each} for rate, each in precisions.items()],
            "abstains": self.taught.facts.abstains,
            "why_not": self.taught.facts.why_not,
            "alpha": self.taught.facts.alpha,
            "seconds": {
                "decoding": round(self.decoding_seconds, 1),
                "networks": round(self.network_seconds, 1),
                "teaching": round(self.seconds, 1),
            },
        }


def value_json(value: Value | None) -> dict[str, object] | None:
    """Write a value and its interval over recordings as what `json.dumps` takes."""
    if value is None:
        return None
    interval = value.interval
    return {
        "value": value.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "recordings": value.num_recordings,
    }


def _unseen_json(unseen: Unseen) -> dict[str, object]:
    return {name: value_json(getattr(unseen, name)) for name in unseen.__slots__}


def write_estimate(outcome: Outcome, folder: Path) -> None:
    """Write `Outcome.to_json` into the folder of a model: estimate.json."""
    text = json.dumps(outcome.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / ESTIMATE, text + "\n")


def read_estimate(folder: Path) -> Mapping[str, object]:
    """Read what `write_estimate` wrote.

    Raises:
        CheckpointError: if it is missing or malformed.
    """
    path = folder / ESTIMATE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}; expected what `teach` wrote") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}; expected what `teach` wrote") from error
    if not isinstance(stored, dict):
        raise CheckpointError(f"{path}: is no JSON object; expected what `teach` wrote")
    return stored
