"""Cut a target that labels itself out of any footage; a stopped cutting goes on where it was."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from taskgrain.data.container import FRAME_RATE
from taskgrain.data.files import write_text
from taskgrain.errors import ClipError, RunError
from taskgrain.jobs.executor import Cell, Worker
from taskgrain.jobs.workspace import (
    compute,
    reading_mark,
    refuse_others,
    refuse_within,
    sigterm_stops,
    workspace,
)
from taskgrain.randomness import generator_for
from taskgrain.tools.cut.clips import (
    TASKS,
    SelfLabelledTask,
    TaskName,
    read_groups,
    write_pair,
    write_rows,
)
from taskgrain.tools.cut.footage import (
    Choice,
    FilePlan,
    Footage,
    Look,
    Windowing,
    cut_windows,
    find_footage,
    look_at,
    plan_files,
)

STATE = ".cutting"  # removed once the dataset is whole
MARK = "cut.json"  # what a dataset was cut from, and how; below STATE until it is whole
LIBRARIES = ("av", "numpy", "opencv-python-headless")  # what a clip's bytes depend on
LOOK_SECONDS_PER_MB = 0.5  # decoding compressed footage on one thread
PAIR_SECONDS = 0.25  # encoding two clips of two seconds
MIN_FRAMES = 6  # of a clip: fewer between the first and the last are hardly an order


@dataclass(frozen=True, slots=True)
class CutSettings:
    """What is cut.

    Raises:
        ValueError: for a size that is odd or none, or clips of less than 6 frames.
    """

    task: TaskName
    seconds: float = 2.0  # of a clip
    clips_per_file: int = 10  # windows of a file at most; each becomes two clips, one a side
    height: int = 96  # pixels, even
    width: int = 128
    seed: int = 0  # of the windows, the split and what the sides draw

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 2 or self.height % 2 or self.width % 2:
            raise ValueError(f"{self.width} x {self.height} pixels; expected even numbers")
        if self.num_frames < MIN_FRAMES:
            least = MIN_FRAMES / FRAME_RATE
            raise ValueError(f"clips of {self.seconds} s; expected at least {least} s")
        if self.clips_per_file < 1:
            raise ValueError(f"{self.clips_per_file} clips per file; expected at least 1")

    @property
    def num_frames(self) -> int:
        """Frames of a clip."""
        return round(self.seconds * FRAME_RATE)

    @property
    def windowing(self) -> Windowing:
        """What a window of footage is for the task."""
        task = TASKS[self.task]
        span = self.num_frames * task.stretch
        return Windowing(span, self.height, self.width, task.needs_new_frames)


@dataclass(frozen=True, slots=True)
class CutSummary:
    """A target that was cut, or would be."""

    task: TaskName
    categories: tuple[str, ...]
    clips: Mapping[str, int]  # by split
    files: Mapping[str, int]  # by split
    frames_per_clip: int
    found: int  # files
    failed: int  # files
    truncated: int  # files, used as far as they go
    still: int  # windows in which nothing moves; they are passed over
    unused: tuple[str, ...]  # files of which nothing is used, and why
    remains: str  # what tells the sides apart and is not the question

    @classmethod
    def of(cls, settings: CutSettings, plans: Sequence[FilePlan]) -> CutSummary:
        """Sum up what becomes of every file."""
        used = [(plan, str(plan.split)) for plan in plans if plan.split is not None]
        task = TASKS[settings.task]
        states = [plan.state for plan in plans]
        # Each window becomes two clips, one a side.
        return cls(
            task=settings.task,
            categories=task.sides,
            clips=_sums((split, 2 * len(plan.starts)) for plan, split in used),
            files=_sums((split, 1) for _, split in used),
            frames_per_clip=settings.num_frames,
            found=len(plans),
            failed=states.count("failed"),
            truncated=states.count("truncated"),
            still=sum(plan.num_still for plan in plans),
            unused=tuple(
                f"{plan.footage.name}: {plan.problem}" for plan in plans if not plan.starts
            ),
            remains=task.remains,
        )


def _sums(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums = {"train": 0, "validation": 0}
    for split, count in counts:
        sums[split] += count
    return sums


def cut_dataset(
    videos: Path,
    folder: Path,
    settings: CutSettings,
    *,
    groups: Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> CutSummary:
    """Write a dataset in which every window of footage appears twice, once on each side.

    Training is what probes are fitted on, validation what they are scored on; no file lies in both.
    Equal footage and settings give equal files, whatever the number of workers.

    Args:
        videos: folder of footage, of any depth.
        folder: of the dataset; made if it is not there.
        settings: what is cut.
        groups: CSV of `file,group`: files of one recording, which stay together.
        workers: processes, one thread each; None is one a core.
        quiet: whether to keep silent.

    Raises:
        ClipError: if there is no footage, or windows come from fewer than two recordings.
        ManifestError: if `groups` cannot be read.
        RunError: if the folder holds anything else, or was cut from other footage.
        StoppedError: after Ctrl-C; the same call goes on from there.
    """
    refuse_within(folder, videos)
    work = _Cutting.of(videos, settings, groups, workers, quiet)
    with workspace(folder, tidy=True):
        if work.mark.claim(folder):
            try:
                plans = work.plan(folder / STATE)
            except ClipError:
                shutil.rmtree(folder / STATE)  # nothing was cut: a refused folder stays as it was
                raise
            work.cut(plans, folder)
            work.finish(plans, folder)
        shutil.rmtree(folder / STATE, ignore_errors=True)
        return _read_summary(folder / MARK)


def outline_cut(
    videos: Path,
    settings: CutSettings,
    *,
    groups: Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> CutSummary:
    """Look at all footage, and return what would be cut from it; nothing is written.

    Raises:
        ClipError: where `cut_dataset` raises it.
        ManifestError: the same.
        StoppedError: after Ctrl-C.
    """
    work = _Cutting.of(videos, settings, groups, workers, quiet)
    with tempfile.TemporaryDirectory() as state, sigterm_stops():
        return CutSummary.of(settings, work.plan(Path(state)))


@dataclass(frozen=True, slots=True)
class _Cutting:
    settings: CutSettings
    footage: Sequence[Footage]
    group_of: Mapping[str, str]
    workers: int | None
    quiet: bool

    @classmethod
    def of(
        cls,
        videos: Path,
        settings: CutSettings,
        groups: Path | None,
        workers: int | None,
        quiet: bool,
    ) -> _Cutting:
        footage = find_footage(videos)
        group_of = read_groups(groups, [file.name for file in footage]) if groups else {}
        return cls(settings, footage, group_of, workers, quiet)

    @property
    def mark(self) -> Mark:
        sizes = {file.name: file.num_bytes for file in self.footage}
        return Mark(asdict(self.settings), sizes, self.group_of)

    def plan(self, state: Path) -> tuple[FilePlan, ...]:
        """Look at every file, and decide what is cut."""
        windowing = self.settings.windowing
        paths = [state / "looks" / f"{number:05d}.json" for number in range(len(self.footage))]
        self._run(
            state,
            [
                Cell(
                    f"prepare looking {number:05d}",
                    partial(_look, footage=file, windowing=windowing, out=path),
                    _look_seconds(file),
                    path.with_suffix(".looked"),
                    path,
                )
                for number, (file, path) in enumerate(zip(self.footage, paths, strict=True))
            ],
        )
        looks = [_read_look(path) for path in paths]
        settings = self.settings
        choice = Choice(settings.clips_per_file, settings.seed, windowing.num_frames)
        return plan_files(self.footage, looks, choice, self.group_of)

    def cut(self, plans: Sequence[FilePlan], folder: Path) -> None:
        """Write the clips of every file."""
        state, videos = folder / STATE, folder / "videos"
        cells = []
        for plan in plans:
            if plan.starts:
                # Clips are written in this order, so the last one says that all are there.
                last = _paths(videos, plan, plan.starts[-1], TASKS[self.settings.task])[1]
                cells.append(
                    Cell(
                        f"prepare cutting {plan.number:05d}",
                        partial(_cut, plan=plan, settings=self.settings, videos=videos),
                        _look_seconds(plan.footage) + PAIR_SECONDS * len(plan.starts),
                        state / f"{plan.number:05d}.cut",
                        last,
                    )
                )
        self._run(state, cells)

    def finish(self, plans: Sequence[FilePlan], folder: Path) -> None:
        """Write the annotations, and last of all the mark that the target is whole."""
        for left in (folder / "videos").glob(".*.tmp"):
            left.unlink()  # half a file, of a process that was killed
        write_rows(folder, plans, TASKS[self.settings.task].sides)
        libraries = {name: version(name) for name in LIBRARIES}
        outcome = asdict(CutSummary.of(self.settings, plans))
        self.mark.write(folder / MARK, libraries=libraries, outcome=outcome)

    def _run(self, state: Path, cells: Sequence[Cell]) -> None:
        # The longest first, so that no worker is left alone with it at the end.
        ordered = sorted(cells, key=lambda cell: -cell.cost)
        compute(ordered, state / "timings.jsonl", workers=self.workers, quiet=self.quiet)


def _look_seconds(footage: Footage) -> float:
    return LOOK_SECONDS_PER_MB * footage.num_bytes / 1e6 + 0.01


def _look(worker: Worker, footage: Footage, windowing: Windowing, out: Path) -> None:
    cost = _look_seconds(footage)
    try:
        look = look_at(footage.path, windowing, lambda share: worker.advance(share * cost))
    except ClipError as error:
        problem = str(error).removeprefix(f"{footage.path}: ")
        problem = problem.replace(str(footage.path), footage.name)
        # A file name that is no text can stand in a problem.
        text = problem.encode("utf-8", "backslashreplace").decode()
        write_text(out, json.dumps({"failed": text}))
    else:
        write_text(out, json.dumps(asdict(look)))


def _read_look(path: Path) -> Look | str:
    held = json.loads(path.read_text(encoding="utf-8"))
    return held["failed"] if "failed" in held else Look(**held)


def _cut(worker: Worker, plan: FilePlan, settings: CutSettings, videos: Path) -> None:
    task = TASKS[settings.task]
    cost = PAIR_SECONDS + _look_seconds(plan.footage) / len(plan.starts)
    for start, frames in cut_windows(plan.footage.path, plan.starts, settings.windowing):
        rng = generator_for(settings.seed, start, f"{settings.task} {plan.footage.name}")
        write_pair(_paths(videos, plan, start, task), task.make(frames, rng))
        worker.advance(cost)


def _paths(videos: Path, plan: FilePlan, start: int, task: SelfLabelledTask) -> tuple[Path, Path]:
    first, second = plan.clip_ids(start, task.sides)
    return videos / f"{first}.webm", videos / f"{second}.webm"


def _read_summary(path: Path) -> CutSummary:
    with reading_mark(path):
        held = json.loads(path.read_text(encoding="utf-8"))["outcome"]
        summary = CutSummary(**held)
        return replace(summary, categories=tuple(summary.categories), unused=tuple(summary.unused))


@dataclass(frozen=True, slots=True)
class Mark:
    """What determines every byte of a target."""

    settings: Mapping[str, object]
    footage: Mapping[str, int]  # file -> bytes
    groups: Mapping[str, str]  # file -> recording

    def write(self, path: Path, **more: object) -> None:
        """Write the mark, and what is known beside it, as one JSON object."""
        keys = {"settings": self.settings, "footage": self.footage, "groups": self.groups, **more}
        write_text(path, json.dumps(keys, indent=1, ensure_ascii=False) + "\n")

    def claim(self, folder: Path) -> bool:
        """Claim a folder that is empty, or that was cut from the same; return whether work is left.

        Raises:
            RunError: if it holds other files, or a target that was cut otherwise.
        """
        for path in (folder / MARK, folder / STATE / MARK):
            if path.is_file():
                self._compare(path, folder)
                return path.parent != folder
        refuse_others(
            folder,
            ours=(STATE,),
            more=", or give the same command to go on with a cutting that was stopped",
        )
        self.write(folder / STATE / MARK)
        return True

    def _compare(self, path: Path, folder: Path) -> None:
        with reading_mark(path):
            held = json.loads(path.read_text(encoding="utf-8"))
            settings, footage = dict(held["settings"]), dict(held["footage"])
            groups = dict(held["groups"])
        wanted = dict(self.settings)
        changed = [
            f"{key} {settings.get(key)}, not {wanted.get(key)}"
            for key in {**settings, **wanted}
            if settings.get(key) != wanted.get(key)
        ]
        changed += _changes(footage, self.footage)
        if groups != self.groups:
            changed.append("other groups")
        if changed:
            raise RunError(
                f"{folder} was cut with {'; '.join(changed)}: give its own settings and footage to "
                "go on with it, or choose another folder"
            )


def _changes(held: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Phrase which files are not what they were."""
    counted: list[tuple[str, Sequence[str]]] = [
        ("less footage than there is now", sorted(found.keys() - held.keys())),
        ("footage that is gone", sorted(held.keys() - found.keys())),
        (
            "footage that has changed",
            sorted(name for name in held.keys() & found.keys() if held[name] != found[name]),
        ),
    ]
    return [
        f"{text} ({names[0]}{', ...' if len(names) > 1 else ''})"
        for text, names in counted
        if names
    ]
