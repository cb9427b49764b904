"""A program that works in children and has them killed at moments that are named beforehand.

It reads a task a line (JSON) from standard input, does each in a fork of itself, so that torch is
loaded once, and writes the exit code of each: -9 where it was killed.

A task is `{"work": name, "at": moment, ...}`. A moment is `{}` (never), `{"count": n}` (when the
work reports its n-th step, clip or piece), `{"event": n, "path": text}` (at the n-th opening,
renaming or removal of a file with that text in its path: also between two lines of a writing) or
`{"event": n, "path": text, "kind": "os.rename"}` (at the n-th renaming alone).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

LOADED_ONCE = (  # what each child would load anew
    "torch._dynamo",  # by the first optimizer, in two seconds
    "taskgrain.study.plan",
    "taskgrain.encoders",
    "taskgrain.tools.features.writing",
    "tests.train.test_resume",
)
SECONDS = 300  # of a child, before it is taken to hang
FILE_EVENTS = ("open", "os.rename", "os.remove")
Moment = Mapping[str, object]
Count = Callable[..., None]  # with the number of the step, or without one where it is the next


def arm(moment: Moment) -> Count:
    """Kill this process at the moment; return what the work calls at each of its steps."""
    steps, events = 0, 0
    kinds = (moment["kind"],) if "kind" in moment else FILE_EVENTS

    def count(number: int | None = None) -> None:
        nonlocal steps
        steps = steps + 1 if number is None else number
        if steps == moment.get("count"):
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal events
        if event in kinds and str(moment["path"]) in str(arguments[0]):
            events += 1
            if events == moment["event"]:
                os.kill(os.getpid(), signal.SIGKILL)

    if "event" in moment:
        sys.addaudithook(hear)
    return count


def training(count: Count, folder: str, how: str) -> None:
    """Train the tiny model of tests/train, saving its state after every step."""
    from taskgrain.train.loop import Watch
    from tests.train.test_resume import HOW, run

    options = replace(HOW[how], save_seconds=0.0)
    run(Path(folder), options=options, watch=Watch(progress=count))


def extraction(count: Count, encoder: str, data: str, out: str) -> None:
    """Extract features of eight clips in parts of two."""
    from taskgrain.encoders import Wanted, open_reader
    from taskgrain.tools.features import writing
    from taskgrain.tools.features.clips import list_clips

    setattr(writing, "PART_CLIPS", 2)  # noqa: B010 - it is not the module's own
    writing.write_clip_features(
        open_reader(Wanted(encoder)),
        writing.Extraction("last", data, list_clips(Path(data)), batch_size=3),
        Path(out),
        tell=print,
        advance=lambda clips: count(),
    )


class Telling:
    """A worker that counts what is done, and never stops."""

    def __init__(self, count: Count) -> None:
        self.count = count

    def report(self, cost: float) -> None:
        self.count()

    def advance(self, cost: float) -> None:
        self.count()

    def stopping(self) -> bool:
        return False


def episodes(count: Count, run: str) -> None:
    """Answer the episodes of a run's first source."""
    from taskgrain.config.load import load_study
    from taskgrain.study.datasets import lay_out
    from taskgrain.study.folder import RunFolder
    from taskgrain.study.inputs import Inputs
    from taskgrain.study.subjects import subjects
    from taskgrain.study.testing import evaluate_target_episodes

    folder = RunFolder(Path(run))
    study = load_study(str(folder.study))
    inputs = Inputs(study, folder, lay_out(study, folder), None, "cpu", "fp32")
    evaluate_target_episodes(Telling(count), inputs, subjects(inputs)[0], study.targets[0])


WORK: Mapping[str, Callable[..., None]] = {
    "training": training,
    "extraction": extraction,
    "episodes": episodes,
}


def child(task: dict[str, object]) -> int:
    """Do one task; return the exit code."""
    os.dup2(2, 1)  # standard output is for the exit codes
    signal.alarm(SECONDS)
    work, moment = str(task.pop("work")), task.pop("at")
    assert isinstance(moment, dict)
    try:
        WORK[work](arm(moment), **task)
    except BaseException:  # noqa: BLE001 - the child ends with it, and says what it was
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Serve tasks until standard input ends."""
    for module in LOADED_ONCE:
        import_module(module)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(child(json.loads(line)))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
