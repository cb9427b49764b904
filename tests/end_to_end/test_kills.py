"""kill -9 at many moments: whatever was under way ends with the bits of an undisturbed run.

A whole study is killed in test_study.py.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.making import moving_square, row, write_annotations, write_video
from tests.tools.features.making import checkpoint
from tests.train.test_resume import EPOCHS, STEPS_PER_EPOCH, assert_same_run

pytestmark = pytest.mark.slow

KILLS = {
    "a step of training": 14,
    "the writing of a training state": 12,
    "a clip of an extraction": 4,
    "the writing of features": 4,
    "a piece of episodes": 3,
    "the writing of episodes": 3,
    "a packing": 6,
}
CPU_SECONDS = 200  # of all children together, bounded; about 40 on two idle cores
SEED = 20  # of the moments
# Way of training -> the steps after which it is killed; None draws two of every epoch.
TRAINED: dict[str, tuple[int, ...] | None] = {
    "usual": None,
    "adam-plateau": None,
    "accumulated": (3, 4),  # the second epoch: two steps of gathered batches
}
SAVE_RENAMES = (6, 8, 9, 10)  # a kill before each leaves another part of the second save done
PACK = """
import sys
from pathlib import Path
from taskgrain.tools.pack.packing import PackSettings, pack_dataset

if __name__ == "__main__":
    pack_dataset(Path(sys.argv[1]), Path(sys.argv[2]), PackSettings(16, 24), workers=2, quiet=True)
"""


class Killer:
    """Sends tasks to the program of killed.py, and counts what was killed at what."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.kills: Counter[str] = Counter()

    def do(self, work: str, **task: object) -> int:
        """Do a task; return its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"at": {}, **task, "work": work}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self, what: str, work: str, **task: object) -> None:
        """Do a task that is killed on its way."""
        assert self.do(work, **task) == -signal.SIGKILL, (what, task)
        self.kills[what] += 1

    def finish(self, work: str, **task: object) -> None:
        """Do a task to its end."""
        assert self.do(work, **task) == 0


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@contextmanager
def killer() -> Iterator[Killer]:
    command = [sys.executable, "-m", "tests.end_to_end.killed"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment()) as found:
        yield Killer(found)


def test_kills_change_no_bit(small_run: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(SEED)
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    with killer() as it:
        kill_training(it, generator, tmp_path)
        kill_extraction(it, generator, tiny_dataset, tmp_path)
        kill_episodes(it, generator, small_run, tmp_path)
    it.kills += kill_packing(generator, tmp_path)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert it.kills == KILLS
    assert ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime < CPU_SECONDS


def kill_training(it: Killer, generator: np.random.Generator, tmp_path: Path) -> None:
    """Kill three ways of training at their steps, and two of them while their state is written."""
    for how, steps in TRAINED.items():
        whole, parts = tmp_path / f"{how}-a", tmp_path / f"{how}-b"
        it.finish("training", folder=str(whole), how=how)
        for step in steps or drawn_steps(generator):
            it.kill(
                *("a step of training", "training"), folder=str(parts), how=how, at={"count": step}
            )
        it.finish("training", folder=str(parts), how=how)
        assert_same_run(whole, parts)
    writings = KILLS["the writing of a training state"] // 2
    drawn = generator.integers(1, 20, size=2 * writings - len(SAVE_RENAMES)).tolist()
    moments: list[dict[str, object]] = [
        *({"event": number, "kind": "os.rename"} for number in SAVE_RENAMES),
        *({"event": number} for number in drawn),
    ]
    for how, moments_of_how in (
        ("usual", moments[:writings]),
        ("adam-plateau", moments[writings:]),
    ):
        folder = tmp_path / f"{how}-c"
        for moment in moments_of_how:
            at = {**moment, "path": "training."}
            it.kill(
                "the writing of a training state", "training", folder=str(folder), how=how, at=at
            )
        it.finish("training", folder=str(folder), how=how)
        for name in ("best", "last"):
            weights = Path(name) / "model.safetensors"
            assert (folder / weights).read_bytes() == (tmp_path / f"{how}-a" / weights).read_bytes()


def drawn_steps(generator: np.random.Generator) -> list[int]:
    """Draw two steps of every epoch; never its last one."""
    steps: list[int] = []
    for epoch in range(EPOCHS):
        pair = generator.choice(STEPS_PER_EPOCH - 1, 2, replace=False) + 1
        steps += sorted(int(each) + epoch * STEPS_PER_EPOCH for each in pair)
    return steps


def kill_extraction(it: Killer, generator: np.random.Generator, data: Path, tmp_path: Path) -> None:
    task = {"encoder": str(checkpoint(tmp_path / "last")), "data": str(data)}
    whole = tmp_path / "whole.npz"
    it.finish("extraction", **task, out=str(whole))
    for number in range(KILLS["a clip of an extraction"]):
        out = tmp_path / f"{number}.npz"
        clip = {"count": int(generator.integers(1, 7))}
        it.kill("a clip of an extraction", "extraction", **task, out=str(out), at=clip)
        event = {"event": int(generator.integers(1, 9)), "path": f"{out.name}.parts"}
        it.kill("the writing of features", "extraction", **task, out=str(out), at=event)
        it.finish("extraction", **task, out=str(out))
        assert out.read_bytes() == whole.read_bytes()


def kill_episodes(
    it: Killer, generator: np.random.Generator, small_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "for episodes"
    shutil.copytree(small_run, run, ignore=shutil.ignore_patterns(".lock"))
    (answers, *_) = sorted((run / "predictions").glob("action-groups-*.episodes.answers.npz"))
    whole = answers.read_bytes()
    for _ in range(KILLS["a piece of episodes"]):
        answers.unlink()
        piece = {"count": int(generator.integers(1, 3))}
        it.kill("a piece of episodes", "episodes", run=str(run), at=piece)
        event = {"event": int(generator.integers(1, 4)), "path": answers.name}
        it.kill("the writing of episodes", "episodes", run=str(run), at=event)
        it.finish("episodes", run=str(run))
        assert answers.read_bytes() == whole


def kill_packing(generator: np.random.Generator, tmp_path: Path) -> Counter[str]:
    """Kill a packing and its workers once so many of its 30 shards are there."""
    data, script = tmp_path / "data", tmp_path / "pack.py"
    rows: list[object] = [row(str(n)) for n in range(120)]
    write_annotations(data, rows[:100], rows[100:])
    first = write_video(data / "videos" / "0.webm", moving_square(40, size=64))
    for n in range(1, 120):
        os.link(first, data / "videos" / f"{n}.webm")
    script.write_text(PACK)

    def begin(store: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(script), str(data), str(store)]
        return subprocess.Popen(command, start_new_session=True, env=environment())

    assert begin(tmp_path / "whole store").wait() == 0
    kills: Counter[str] = Counter()
    for attempt in range(10):  # a packing may come to its end before it is looked at again
        store = tmp_path / f"store {attempt}"
        left = KILLS["a packing"] - kills["a packing"]
        for shards in sorted(generator.choice(20, min(left, 3), replace=False).tolist()):
            process = begin(store)
            while process.poll() is None and len(list(store.glob("0*.json"))) < shards:
                time.sleep(0.002)
            kills["a packing"] += process.poll() is None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert begin(store).wait() == 0
        assert files_of(store) == files_of(tmp_path / "whole store")
        if kills["a packing"] == KILLS["a packing"]:
            break
    return kills


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
