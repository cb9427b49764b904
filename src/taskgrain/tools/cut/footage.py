"""Look through a folder of footage, choose windows of its files, and cut them in bounded memory.

Footage is seen at 12 frames a second, as `decode_clip` sees a clip, cut to their shape. No
recording lies on both sides of the split.

Shapes: S frames of a window, H W pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from taskgrain.data.container import FRAME_RATE, VideoFile, open_video
from taskgrain.data.files import missing_folder
from taskgrain.data.frame_folder import digest_of, file_bytes
from taskgrain.data.framing import Framing, VideoFramer
from taskgrain.data.manifest import Split
from taskgrain.data.streaming import LIMITS, RegularFrames
from taskgrain.data.videos import VIDEO_SUFFIXES, split_name
from taskgrain.errors import ClipError, list_problems
from taskgrain.randomness import generator_for

REPORT_FRAMES = 240  # of footage, between two reports of progress

GRID = 8  # cells on a side, in which movement is looked for: noise of the camera averages out
STILL_LEVELS = 4.0  # of 255; where no cell of a window changes by so much, nothing moves


@dataclass(frozen=True, slots=True)
class Footage:
    """A file to cut clips from."""

    path: Path
    name: str  # below the folder, with slashes; bytes that are no text are escaped
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Windowing:
    """What a window is."""

    num_frames: int  # S, at 12 frames a second
    height: int  # pixels
    width: int
    needs_new_frames: bool  # whether a window may not show a coded frame twice


@dataclass(frozen=True, slots=True)
class Look:
    """What a file of footage holds."""

    sha: str  # of its bytes
    num_frames: int  # at 12 frames a second; 0 where nothing could be decoded
    starts: tuple[int, ...]  # frames at which usable windows begin; they do not overlap
    num_still: int  # windows in which nothing moves
    num_repeating: int  # windows that move, but repeat frames where none may be
    truncated: bool
    problem: str | None


def find_footage(folder: Path) -> list[Footage]:
    """List the videos anywhere below a folder, by name; nothing is opened.

    Hidden files and folders, and links to folders, are passed over.

    Raises:
        ClipError: if there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise ClipError(f"{folder}: {missing_folder(folder)}; expected one with videos in it")
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            path = Path(parent) / file
            if (
                file.startswith(".")
                or split_name(file)[1] not in VIDEO_SUFFIXES
                or not path.is_file()
            ):
                continue
            name = path.relative_to(folder).as_posix()
            shown = name.encode("utf-8", "backslashreplace").decode()
            found.append(Footage(path, shown, path.stat().st_size))
    if not found:
        raise ClipError(
            f"{folder}: holds no video; expected files called *{', *'.join(VIDEO_SUFFIXES)}"
        )
    return sorted(found, key=lambda each: each.name)


def look_at(path: Path, windowing: Windowing, advance: Callable[[float], None]) -> Look:
    """Decode a whole file, and find the windows in which something moves; no frame is kept.

    Args:
        path: of the file.
        windowing: what a window is.
        advance: called now and then with the share of the file done since; may raise to stop.

    Raises:
        ClipError: if it cannot be decoded at all.
    """
    with open_video(path, limits=LIMITS) as video:
        sha = digest_of(file_bytes(path))
        framer = _framer(path, video, windowing)
        image = np.empty((windowing.height, windowing.width, 3), np.uint8)
        frames, movement = RegularFrames(video.timed_frames()), _Movement(windowing)
        reported = 0
        for coded, start, stop in frames:
            framer.write(coded, image)
            movement.see(image, start, stop)
            if stop - reported >= REPORT_FRAMES:
                declared = (video.declared_seconds or LIMITS.seconds) * FRAME_RATE
                advance((stop - reported) / declared)
                reported = stop
        if not frames.num_frames:
            raise video.nothing()
        problem = video.problem()
    return Look(
        sha=sha,
        num_frames=frames.num_frames,
        starts=tuple(movement.starts),
        num_still=movement.num_still,
        num_repeating=movement.num_repeating,
        truncated=problem is not None,
        problem=problem,
    )


def cut_windows(
    path: Path, starts: Sequence[int], windowing: Windowing
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decode a file once more, and yield its windows one after the other.

    Args:
        path: of the file.
        starts: of windows that do not overlap, ascending.
        windowing: what a window is.

    Yields:
        Each start with its frames, uint8 (S, H, W, 3), RGB; they are overwritten by the next.

    Raises:
        ClipError: if the file ends before the last window does: it did not when it was looked at.
    """
    length = windowing.num_frames
    frames = np.empty((length, windowing.height, windowing.width, 3), np.uint8)
    image = np.empty(frames.shape[1:], np.uint8)
    left = list(reversed(starts))
    with open_video(path, limits=LIMITS) as video:
        framer = _framer(path, video, windowing)
        for coded, start, stop in RegularFrames(video.timed_frames()):
            if not left:
                return
            if stop <= left[-1]:
                continue
            framer.write(coded, image)
            # A coded frame may end one window and begin the next: it is then written into both.
            while left and stop > left[-1]:
                first = left[-1]
                frames[max(0, start - first) : stop - first] = image
                if stop < first + length:
                    break
                yield left.pop(), frames
    if left:
        raise ClipError(
            f"{path}: ends before {(left[0] + length) / FRAME_RATE:.1f} s, which it did not "
            "before; leave the footage alone while it is cut, and choose another folder"
        )


class _Movement:
    """Finds the windows in which something moves; it remembers one window at a time."""

    def __init__(self, windowing: Windowing) -> None:
        self.starts: list[int] = []
        self.num_still = self.num_repeating = 0
        self._length = windowing.num_frames
        self._needs_new_frames = windowing.needs_new_frames
        self._low: NDArray[np.float32] = np.empty((GRID, GRID), np.float32)
        self._high = self._low
        self._num_coded = 0  # frames that the window shows

    def see(self, image: NDArray[np.uint8], start: int, stop: int) -> None:
        """Add the frame of the times start .. stop - 1: uint8 (H, W, 3)."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        small = cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA)
        cells = np.asarray(small, np.float32)
        # Windows follow one another from time 0 on, and a coded frame may lie in several. Each
        # is judged once its last time was seen.
        for number in range(start // self._length, (stop - 1) // self._length + 1):
            first, end = number * self._length, (number + 1) * self._length
            if start <= first:
                self._low = self._high = cells
                self._num_coded = 0
            self._low, self._high = np.minimum(self._low, cells), np.maximum(self._high, cells)
            self._num_coded += 1
            if stop >= end:
                self._judge(first)

    def _judge(self, first: int) -> None:
        if float((self._high - self._low).max()) < STILL_LEVELS:
            self.num_still += 1
        elif self._needs_new_frames and self._num_coded < self._length:
            self.num_repeating += 1
        else:
            self.starts.append(first)


def _framer(path: Path, video: VideoFile, windowing: Windowing) -> VideoFramer:
    framing = Framing(windowing.height, windowing.width, "crop")
    return VideoFramer(path, framing, pixel_aspect=video.pixel_aspect, limits=LIMITS)


FileState = Literal["whole", "truncated", "failed"]


@dataclass(frozen=True, slots=True)
class Choice:
    """How many windows are taken, and by which draw."""

    most: int  # of one file
    seed: int
    window_frames: int  # at 12 frames a second


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What is cut from one file of footage."""

    number: int  # in the list of all files
    footage: Footage
    state: FileState
    problem: str | None  # why nothing is cut from it, or what a truncated file lacks
    num_frames: int = 0  # at 12 frames a second
    num_still: int = 0  # windows in which nothing moves
    num_repeating: int = 0  # windows that repeat frames where none may be
    num_usable: int = 0  # windows
    starts: tuple[int, ...] = ()  # of the windows that are cut, in frames
    split: Split | None = None  # None where nothing is cut

    def clip_ids(self, start: int, sides: tuple[str, str]) -> tuple[str, str]:
        """Return the ids of both clips of a window."""
        stem = f"{self.number:05d}-{start:06d}"
        return f"{stem}-{sides[0]}", f"{stem}-{sides[1]}"

    def to_json(self) -> dict[str, object]:
        """Return the file's line in files.jsonl."""
        return {
            "file": self.footage.name,
            "state": self.state,
            "split": self.split,
            "windows": len(self.starts),
            "usable": self.num_usable,
            "still": self.num_still,
            "repeating": self.num_repeating,
            "seconds": round(self.num_frames / FRAME_RATE, 3),
            "bytes": self.footage.num_bytes,
            "problem": self.problem,
        }


def plan_files(
    footage: Sequence[Footage],
    looks: Sequence[Look | str],
    choice: Choice,
    group_of: Mapping[str, str],
) -> tuple[FilePlan, ...]:
    """Choose windows of each file, and split the files into halves with about as many windows.

    Of files with the same bytes only the first is used.

    Args:
        footage: every file.
        looks: what each holds, or why it cannot be decoded.
        choice: how windows are drawn.
        group_of: file -> recording; the files of one recording lie on one side. A file that is
            not named is a recording of its own.

    Raises:
        ClipError: if the windows come from fewer than two recordings: no recording may lie on
            both sides.
    """
    first_of: dict[str, str] = {}  # content -> file
    plans = []
    for number, (file, look) in enumerate(zip(footage, looks, strict=True)):
        if isinstance(look, str):
            plans.append(FilePlan(number, file, "failed", look))
            continue
        first = first_of.setdefault(look.sha, file.name)
        plans.append(_planned(number, file, look, choice, first))
    split_of = _split(plans, group_of, choice.seed)
    return tuple(replace(plan, split=split_of.get(plan.number)) for plan in plans)


def _planned(number: int, file: Footage, look: Look, choice: Choice, first: str) -> FilePlan:
    starts: tuple[int, ...] = ()
    problem = look.problem
    if first != file.name:
        problem = f"the same bytes as {first}"
    elif not look.starts:
        problem = _why_none(look, choice)
    else:
        # By the file's name, so that other files change nothing of what is cut from it.
        drawn = generator_for(choice.seed, 0, file.name).permutation(look.starts)
        starts = tuple(sorted(drawn[: choice.most].tolist()))
    return FilePlan(
        number=number,
        footage=file,
        state="truncated" if look.truncated else "whole",
        problem=problem,
        num_frames=look.num_frames,
        num_still=look.num_still,
        num_repeating=look.num_repeating,
        num_usable=len(look.starts),
        starts=starts,
    )


def _why_none(look: Look, choice: Choice) -> str:
    if look.num_frames < choice.window_frames:
        found, wanted = look.num_frames / FRAME_RATE, choice.window_frames / FRAME_RATE
        return f"{found:.2f} s; a window takes {wanted:.2f} s of footage"
    if look.num_repeating:
        return "fewer than 12 new frames a second; double speed would show by their repetition"
    return "nothing moves in it"


def _split(plans: Sequence[FilePlan], group_of: Mapping[str, str], seed: int) -> dict[int, Split]:
    """Place each recording, the largest first, on the side that has fewer windows."""
    groups: dict[tuple[str, str], list[FilePlan]] = defaultdict(list)
    for plan in plans:
        if plan.starts:
            name = plan.footage.name
            groups[("group", group_of[name]) if name in group_of else ("file", name)].append(plan)
    if len(groups) < 2:
        raise ClipError(_too_few(plans, len(groups)))

    # Recordings of equal size in an order that the seed draws, by their names alone: neither the
    # order of files nor other recordings change it.
    def rank(key: tuple[str, str]) -> tuple[int, bytes]:
        drawn = hashlib.blake2b(f"{seed}/{'/'.join(key)}".encode(), digest_size=16).digest()
        return -sum(len(plan.starts) for plan in groups[key]), drawn

    held = {Split.TRAIN: 0, Split.VALIDATION: 0}
    split_of = {}
    for key in sorted(groups, key=rank):
        split = min(held, key=lambda each: held[each])  # a tie goes to training
        for plan in groups[key]:
            split_of[plan.number] = split
            held[split] += len(plan.starts)
    return split_of


def _too_few(plans: Sequence[FilePlan], num_groups: int) -> str:
    problems = [f"{plan.footage.name}: {plan.problem}" for plan in plans if not plan.starts]
    found = "1 recording" if num_groups else "no recording"
    text = (
        f"clips can be cut from {found}; expected two or more, as the clips to fit on and those "
        "to score come from different ones: add footage, or ask for shorter clips"
    )
    return list_problems([text, *problems])
