"""A small study whose settings all differ from one another, on annotations that lie in a folder."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taskgrain.config.load import validate
from taskgrain.config.settings import Study
from taskgrain.data.decode import FRAME_RATE
from taskgrain.data.opening import read_manifest
from taskgrain.data.packed import StoreFacts, fingerprint, write_facts
from taskgrain.data.store import CLIPS_PER_SHARD, FrameFormat, write_shard
from tests.making import PRETEND, PULL, PUSH, moving_square, row, write_annotations, write_video

PUSH_BACK = "Pushing [something] from right to left"  # the mirror image of PUSH
TEMPLATES = (PUSH, PULL, PRETEND, PUSH_BACK)
CATEGORIES = tuple(template.replace("[", "").replace("]", "") for template in TEMPLATES)
STORED = (24, 20)  # height and width of the packed frames, pixels


@dataclass(frozen=True, slots=True)
class Places:
    """Where the data of the study lies."""

    clips: Path  # a dataset, whose first clip alone has a video
    other_clips: Path  # the same annotations in another folder, without videos
    store: Path  # the frames of `clips`
    few_shot: Path  # a published list of most of the clips
    held_out: Path  # a published list of clips of one category


def write_places(folder: Path) -> Places:
    """Write four categories with 4 training and 3 validation clips each, frames, and a list."""
    places = Places(
        *(folder / name for name in ("clips", "others", "store", "list.txt", "held-out.txt"))
    )
    rows = [
        row(f"{number}", TEMPLATES[number % 4], *[f"a {'RED' if number % 3 else 'old'} cup 7"] * k)
        for number in range(28)
        for k in [TEMPLATES[number % 4].count("[")]
    ]
    for root in (places.clips, places.other_clips):
        write_annotations(root, list(rows[:16]), list(rows[16:]))
    one = write_video(places.clips / "videos" / "0.webm", moving_square(5))
    for number in range(1, 28):
        shutil.copy(one, one.with_name(f"{number}.webm"))
    listed = [f"{CATEGORIES[number % 4]}/{number}\n" for number in range(24)]
    places.few_shot.write_text("".join(listed), encoding="utf-8")
    places.held_out.write_text("".join(listed[2::4]), encoding="utf-8")
    _pack(places)
    return places


def _pack(places: Places) -> None:
    records = read_manifest(places.clips).records
    write_shard(places.store, 0, records, FrameFormat(*STORED))
    facts = StoreFacts(
        format=1,
        taskgrain="0",
        height=STORED[0],
        width=STORED[1],
        encoding="raw",
        quality=None,
        fit="stretch",
        frame_rate=FRAME_RATE,
        clips=len(records),
        clips_per_shard=CLIPS_PER_SHARD,
        shards=1,
        fingerprint=fingerprint(records),
        libraries=(),
    )
    write_facts(places.store, facts)


def base_table(places: Places) -> dict[str, object]:
    """Return the study as a study file holds it; numbers that could be exchanged all differ."""
    return {
        "name": "wiring",
        "question": "Does each setting reach its number?",
        "seeds": [3],
        "data": {
            "root": str(places.clips),
            "levels": {
                "verb": {"push": [CATEGORIES[0], CATEGORIES[3]], "other": [*CATEGORIES[1:3]]}
            },
            "mirror": {CATEGORIES[2]: CATEGORIES[2]},
        },
        "video": {
            **{"num_frames": 4, "stride": 2, "fit": "stretch"},
            **{"store_height": STORED[0], "store_width": STORED[1], "height": 16, "width": 12},
        },
        "encoder": {
            **{"spatial_widths": [2, 3], "temporal_widths": [3, 2], "lstm_width": 4},
            **{"feature_width": 5, "dropout": 0.1, "pixel_mean": 110.0, "pixel_deviation": 50.0},
            **{"spatial_input": "pixels", "temporal_input": "pixels"},
        },
        "encoders": {
            "wide": {
                **{"spatial_widths": [4, 5], "temporal_widths": [5, 4], "lstm_width": 8},
                **{"feature_width": 9, "dropout": 0.2, "pixel_mean": 90.0, "pixel_deviation": 40.0},
                **{"spatial_input": "pixels", "temporal_input": "pixels"},
            },
            "published": {"network": "torchvision", "model": "resnet18"},
        },
        "decoder": {"word_width": 6, "lstm_width": 7, "num_layers": 2},
        "train": {
            **{"epochs": 6, "batch_size": 5, "accumulate": 2, "optimizer": "sgd"},
            **{"learning_rate": 0.02, "momentum": 0.8, "weight_decay": 0.03, "precision": "fp32"},
            **{"schedule": "plateau", "plateau_factor": 0.3, "plateau_patience": 4},
            **{"least_learning_rate": 1e-6, "early_stopping": 9, "max_gradient_norm": 2.0},
        },
        "augment": {
            **{"rate_jitter": 0.11, "crop_scale": [0.5, 0.9], "crop_aspect": [0.8, 1.3]},
            **{"mirror": 0.12, "brightness": 0.13, "contrast": 0.14, "saturation": 0.15},
            "hue": 0.16,
        },
        "sources": [
            {"name": "fine", "classify": "category"},
            {"name": "both", "classify": "category", "caption": "full", "lambda": 0.4},
            {"name": "wide", "classify": "category", "encoder": "wide"},
            {"name": "coarse", "classify": "verb"},
        ],
        "targets": [
            {"name": "kitchen", "root": str(places.clips)},
            {"name": "attic", "root": str(places.other_clips)},
        ],
        "transfer": {
            **{"probes": ["nearest-mean", "ridge", "mlp"], "shots": [2, 3, "all"], "draws": 7},
            **{"seed": 8, "readouts": ["lstm-mean", "channels-mean"]},
            "controls": ["majority", "random-encoder", "permuted-labels"],
            "episodes": {"ways": 2, "shots": [1, 2], "queries": 3, "number": 10},
        },
        "primary": {
            **{"source": "both", "versus": "coarse", "target": "kitchen", "probe": "ridge"},
            **{"shots": "all", "metric": "top-1", "readout": "lstm-mean"},
        },
        "family": [
            {
                **{"source": "fine", "versus": "coarse", "target": "attic"},
                **{"probe": "nearest-mean", "shots": 3},
            }
        ],
        "examples": 10,
    }


def changed(table: Mapping[str, object], changes: Mapping[str, object]) -> Study:
    """Change settings by their dotted keys (`sources[1].lambda`), None removes one; validate."""
    copied = copy.deepcopy(dict(table))
    for key, value in changes.items():
        *parents, last = key.replace("[", ".[").split(".")
        inner: object = copied
        for parent in parents:
            inner = _entry(inner, parent)
        assert isinstance(inner, dict), key
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = copy.deepcopy(value)
    return validate(copied, where="wiring")


def _entry(inner: object, key: str) -> object:
    if key.startswith("["):
        assert isinstance(inner, list)
        return inner[int(key.strip("[]"))]
    assert isinstance(inner, dict)
    return inner.setdefault(key, {})
