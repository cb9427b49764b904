"""What `check` finds in files that can be read, and that may not hold what was meant."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image

from taskgrain.prepare.check_report import CheckReport
from taskgrain.prepare.checking import check_dataset
from tests.data.test_streams import write_numbered
from tests.making import PUSH, row, write_annotations, write_video
from tests.making import moving_square as square


def check(root: Path) -> CheckReport:
    return check_dataset(root, workers=1, quiet=True)


def test_clips_that_may_not_be_what_was_meant_are_noted(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    write_annotations(root, [row("whole", PUSH), row("jumps", PUSH)], [row("beside", PUSH)])
    (root / "videos" / "beside").mkdir(parents=True)
    write_video(root / "videos" / "whole.mp4", square(12))
    times = [0.0, *(500 + index / 12 for index in range(1, 36))]
    write_numbered(root / "videos" / "jumps.mkv", 36, times=times)
    for name in ("img", "depth"):
        for index in range(12):
            image = Image.new("RGB", (32, 32), (20 * index,) * 3)
            image.save(root / "videos" / "beside" / f"{name}_{index}.png")
    report = check(root)
    assert report.is_sound
    said = {entry.name: entry.text for entry in report.notes["doubtful"].entries()}
    assert said == {
        "beside": "12 images beside the frames are passed over: depth_#",
        "jumps": "1 of 36 frames stands for 500.1 of 503.0 s: the clock jumped, or the picture "
        "stood still",
    }


def test_what_was_found_by_older_rules_is_found_anew(tiny_dataset: Path) -> None:
    assert check(tiny_dataset).inspected == 8
    facts = next((tiny_dataset / ".taskgrain" / "check").glob("facts-*"))
    number, count = facts.name.split("-")[1:]
    assert int(number) > 1
    older = facts.with_name(f"facts-{int(number) - 1}-{count}")
    shutil.move(facts, older)
    assert check(tiny_dataset).inspected == 8
    assert not older.exists()
    assert check(tiny_dataset).known == 8
