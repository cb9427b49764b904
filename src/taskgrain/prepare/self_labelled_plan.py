"""Decide which windows of footage become clips, and on which side of the split each file lies."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from taskgrain.data.container import FRAME_RATE
from taskgrain.data.manifest import Split
from taskgrain.data.sampling import generator_for
from taskgrain.errors import ClipError, list_problems
from taskgrain.prepare.self_labelled_footage import Footage, Look

FileState = Literal["whole", "truncated", "failed"]


@dataclass(frozen=True, slots=True)
class Choice:
    """How many windows are taken, and by which draw."""

    most: int  # of one file
    seed: int
    window_frames: int  # at 12 frames a second


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What becomes of one file of footage."""

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
        """Name both clips of a window."""
        stem = f"{self.number:05d}-{start:06d}"
        return f"{stem}-{sides[0]}", f"{stem}-{sides[1]}"

    def to_json(self) -> dict[str, object]:
        """Give the file's line in files.jsonl."""
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
