from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from taskgrain.labels.ssv2 import load_packaged, strings
from taskgrain.labels.template import strip_brackets
from taskgrain.results import ResultRow, Value, select
from taskgrain.transfer.answers import Evaluation

PUSH = "Pushing [something] from left to right"
PULL = "Pulling [something] from left to right"
PRETEND = "Pretending to put [something] next to [something]"


def ssv2_counts(split: str) -> dict[str, int]:
    """Clips of each category of Something-Something v2 in a split, "train" or "validation"."""
    counts = strings(load_packaged("groups.json")[f"{split}_count"])
    return {strip_brackets(template): int(count) for template, count in counts.items()}


def moving_square(num_frames: int, *, size: int = 32) -> NDArray[np.uint8]:
    """A bright square that moves right over a dark ground: uint8 (T, size, size, 3)."""
    frames = np.full((num_frames, size, size, 3), 30, np.uint8)
    for t in range(num_frames):
        left = 2 + t * (size - 14) // max(num_frames - 1, 1)
        frames[t, 8:20, left : left + 10] = (220, 120, 40)
    return frames


def write_video(path: Path, frames: NDArray[np.uint8], *, rate: int = 12) -> Path:
    """Write frames as a small video of whatever kind the name asks for."""
    codec = {".webm": "libvpx-vp9", ".mp4": "libx264", ".avi": "mpeg4"}[path.suffix]
    fast = {"deadline": "realtime", "cpu-used": "8"}  # three times as fast as usual
    options = fast if codec == "libvpx-vp9" else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


MATRIX = {  # of the track header in an MP4 file: 16.16 fixed point, the last column 2.30
    0: (1, 0, 0, 1),
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


def turn_sideways(path: Path, clockwise: int) -> Path:
    """Have players turn an MP4 file by so many degrees, as a phone held sideways does."""
    a, b, c, d = MATRIX[clockwise]
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    header, track = path.read_bytes().split(b"tkhd", 1)
    path.write_bytes(header + b"tkhd" + track.replace(upright, turned, 1))
    return path


def write_annotations(root: Path, train: list[object], validation: list[object]) -> Path:
    """Write a dataset's annotations in Something-Something's format, one row a line."""
    root.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("validation", validation)):
        text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
        (root / f"{name}.json").write_text(text, encoding="utf-8")
    return root


def row(clip_id: str, template: str = PUSH, *placeholders: str) -> dict[str, object]:
    filling = list(placeholders) or ["a red cup"] * template.count("[")
    label = template
    for placeholder in filling:
        start, end = label.index("["), label.index("]")
        label = label[:start] + placeholder + label[end + 1 :]
    return {
        "id": clip_id,
        "label": label.lower(),
        "template": template,
        "placeholders": filling,
    }


def measured_as(evaluation: Evaluation, **changes: object) -> Evaluation:
    """Return an evaluation of another subject: `measured_as(one, seed=3)`."""
    subject = replace(evaluation.subject, **changes)  # type: ignore[arg-type]
    return replace(evaluation, subject=subject)


def find(rows: Iterable[ResultRow], **criteria: Value) -> ResultRow:
    """Return the one row whose columns equal all the criteria."""
    (found,) = select(rows, **criteria)
    return found
