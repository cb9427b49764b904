"""The two sides of a pair: how a task shows footage, as files and as rows of a dataset.

Neither the codec nor the file may tell the sides apart. `data.decode` predicts each frame from
those before it: measured on real footage, a shuffled clip then takes up to 1.5 times the bytes, a
frozen one a third, and the error of a frame depends on its neighbours. Here every frame is coded
alone with one quantiser, so that a frame decodes to the same pixels wherever it stands; what is
left between the sizes of the two files is filled up.

Shapes: T frames of a clip, S frames of footage that it is made of, H W pixels.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.companions import FACTORS
from taskgrain.data.container import FRAME_RATE
from taskgrain.data.decode import mux_vp9
from taskgrain.data.files import atomic_path, write_text
from taskgrain.data.manifest import Problem, Split
from taskgrain.data.tables import read_lines
from taskgrain.errors import ManifestError, list_problems, nearest
from taskgrain.tools.cut.footage import FilePlan

TaskName = Literal[
    "forward-or-reversed", "real-or-frozen", "normal-or-double-speed", "ordered-or-shuffled"
]
Frames = NDArray[np.uint8]  # (T, H, W, 3), RGB
Pair = tuple[Frames, Frames]

NOISE_LEVELS = 4.0  # standard deviation of a pixel, of 255: about that of a camera indoors


@dataclass(frozen=True, slots=True)
class SelfLabelledTask:
    """Two ways to show the same footage, and how to make them."""

    sides: tuple[str, str]  # the two categories
    stretch: int  # frames of footage for each frame of a clip: S = stretch * T
    needs_new_frames: bool  # whether footage that repeats frames would give a side away
    make: Callable[[Frames, np.random.Generator], Pair]  # footage (S, H, W, 3) -> both sides
    remains: str  # what still tells the sides apart and is not what the task asks for


def _forward_or_reversed(footage: Frames, rng: np.random.Generator) -> Pair:
    return footage, footage[::-1]


def _real_or_frozen(footage: Frames, rng: np.random.Generator) -> Pair:
    """Repeat a frame from anywhere in the window; the same noise flickers over both sides."""
    frozen = np.broadcast_to(footage[rng.integers(len(footage))], footage.shape)
    noise = np.rint(rng.normal(0.0, NOISE_LEVELS, footage.shape[:3]))[..., None]  # (T, H, W, 1)
    return _noisy(footage, noise), _noisy(frozen, noise)


def _noisy(frames: Frames, noise: NDArray[np.float64]) -> Frames:
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def _normal_or_double_speed(footage: Frames, rng: np.random.Generator) -> Pair:
    """Show the middle half of the footage, or all of it at double speed, about one centre."""
    num_frames = len(footage) // 2
    first = num_frames // 2
    return footage[first : first + num_frames], footage[::2]


def _ordered_or_shuffled(footage: Frames, rng: np.random.Generator) -> Pair:
    """Shuffle what lies between the first and the last frame: those two would tell otherwise."""
    order = np.arange(len(footage))
    inner = order[1:-1]
    drawn = rng.permutation(inner)
    while (drawn == inner).any():  # about one draw in e (2.7) moves every frame
        drawn = rng.permutation(inner)
    return footage, footage[np.concatenate([order[:1], drawn, order[-1:]])]


TASKS: dict[TaskName, SelfLabelledTask] = {
    "forward-or-reversed": SelfLabelledTask(
        ("forward", "reversed"),
        stretch=1,
        needs_new_frames=False,
        make=_forward_or_reversed,
        remains="which frame is first and which is last; in compressed footage, how its own "
        "codec's quality rises and falls from frame to frame",
    ),
    "real-or-frozen": SelfLabelledTask(
        ("real", "frozen"),
        stretch=1,
        needs_new_frames=False,
        make=_real_or_frozen,
        remains="flicker of the footage itself (its camera's, its codec's) beneath the noise that "
        "both sides were given",
    ),
    "normal-or-double-speed": SelfLabelledTask(
        ("normal", "double-speed"),
        stretch=2,
        needs_new_frames=True,
        make=_normal_or_double_speed,
        remains="how much the first and the last frame differ; uneven steps where the footage's "
        "rate is no multiple of 12 frames a second",
    ),
    "ordered-or-shuffled": SelfLabelledTask(
        ("ordered", "shuffled"),
        stretch=1,
        needs_new_frames=False,
        make=_ordered_or_shuffled,
        remains="how much a frame differs from the next, whatever moves",
    ),
}


QUANTISER = 20  # of VP9, 0 (best) to 63: 32 to 35 dB and 2 kB a frame of 128 x 96
BLOCK_BYTES = 1024  # sizes of files are multiples of it

_OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "b": "0",
    "crf": str(QUANTISER),
    "qmin": str(QUANTISER),
    "qmax": str(QUANTISER),
    "g": "1",  # key frames only
}
_VOID = b"\xec\x01"  # Matroska's element for nothing, with 7 bytes of length
_VOID_BYTES = len(_VOID) + 7


def write_pair(
    paths: tuple[Path, Path], videos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    """Write two WebM files of the same number of frames and of bytes.

    Equal frames give equal bytes. Each file appears whole or not at all.

    Args:
        paths: of the files; their folders are made.
        videos: uint8 (T, H, W, 3) each, RGB, of one shape; even height and width.

    Raises:
        ValueError: if the shapes are others.
    """
    first, second = videos
    shape = first.shape
    if shape != second.shape or len(shape) != 4 or shape[3] != 3 or shape[1] % 2 or shape[2] % 2:
        raise ValueError(
            f"videos of shapes {shape} and {second.shape}: expected (T, H, W, 3) twice, H, W even"
        )
    coded = [_encoded(video) for video in videos]
    # Both files get the size of the larger, rounded up: neither bytes nor their number tell a side.
    num_bytes = -(-(max(map(len, coded)) + _VOID_BYTES) // BLOCK_BYTES) * BLOCK_BYTES
    for path, data in zip(paths, coded, strict=True):
        with atomic_path(path, flush=False) as partial:
            partial.write_bytes(data + _void(num_bytes - len(data)))


def _encoded(video: NDArray[np.uint8]) -> bytes:
    """Encode frames with one thread: the bytes of a WebM file."""
    buffer = io.BytesIO()
    mux_vp9(buffer, video, _OPTIONS)
    return buffer.getvalue()


def _void(num_bytes: int) -> bytes:
    """Return a WebM element of so many bytes that every player passes over."""
    return _VOID + (num_bytes - _VOID_BYTES).to_bytes(7, "big") + bytes(num_bytes - _VOID_BYTES)


FILES = "files.jsonl"  # one line a file of footage: what was cut from it, or why nothing was
HEADER = ("file", "group")


def write_rows(folder: Path, plans: Sequence[FilePlan], sides: tuple[str, str]) -> None:
    """Write train.json, validation.json, labels.json, factors.jsonl and files.jsonl."""
    rows: dict[Split, list[object]] = {Split.TRAIN: [], Split.VALIDATION: []}
    factors: list[object] = []
    for plan in plans:
        for start in plan.starts:
            assert plan.split is not None, "a file that is cut lies on one side"
            for clip, side in zip(plan.clip_ids(start, sides), sides, strict=True):
                row = {"id": clip, "label": side, "template": side, "placeholders": []}
                rows[plan.split].append(row)
                at = round(start / FRAME_RATE, 3)
                factors.append({"id": clip, "file": plan.footage.name, "start": at})
    write_text(folder / FILES, _lines(plan.to_json() for plan in plans))
    write_text(folder / FACTORS, _lines(factors))
    labels = {side: str(index) for index, side in enumerate(sides)}
    write_text(folder / "labels.json", json.dumps(labels, indent=1) + "\n")
    # Training comes last: without it the folder is no dataset.
    for split in (Split.VALIDATION, Split.TRAIN):
        text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows[split])
        write_text(folder / f"{split}.json", f"[\n{text}\n]\n")


def _lines(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_groups(path: Path, files: Collection[str]) -> dict[str, str]:
    """Read a table of `file,group`, with or without that header: file -> group.

    Args:
        path: of the table.
        files: that there are, as they are called below their folder, with slashes.

    Raises:
        ManifestError: naming each line with an unknown file, a file twice or other than two cells.
    """
    known, groups = set(files), dict[str, str]()
    problems, malformed = list[str](), list[Problem]()
    try:
        for line in read_lines(path, malformed):
            cells = tuple(line.cells)
            if not groups and cells == HEADER:
                continue
            if len(cells) != len(HEADER) or not all(cells):
                problems.append(f"{line.where}: {','.join(cells)!r}; expected file,group")
            elif cells[0] not in known:
                problems.append(f"{line.where}: no file {cells[0]!r}{nearest(cells[0], known)}")
            elif (held := groups.setdefault(*cells)) != cells[1]:
                problems.append(f"{line.where}: {cells[0]!r} is in group {held!r} already")
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    problems += map(str, malformed)
    if problems:
        raise ManifestError(list_problems(problems))
    return groups
