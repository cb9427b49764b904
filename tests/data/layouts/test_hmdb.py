from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.opening import read_dataset
from taskgrain.errors import ManifestError
from tests.data.layouts.made import CLASSES, counts, has_note, read, touch, write

CODES = (1, 1, 2, 0)


def made(root: Path) -> Path:
    touch(root, *(f"hmdb51_org/{c}/{c} {k}.avi" for c in CLASSES for k in range(4)))
    return write(
        root,
        {
            f"testTrainMulti_7030_splits/{c}_test_split{n}.txt": "".join(
                f"{c} {k}.avi {CODES[(k + n - 1) % 4]} \n" for k in range(4)
            )
            for c in CLASSES
            for n in (1, 2, 3)
        },
    )


def test_the_first_official_division_is_read_and_named(tmp_path: Path) -> None:
    reading = read(made(tmp_path))
    assert reading.layout == "hmdb51"
    assert counts(reading) == {
        "train": {"clap": 2, "wave": 2},
        "validation": {"clap": 1, "wave": 1},
    }
    scored = {record.file for record in reading.records if record.split == "validation"}
    assert scored == {f"hmdb51_org/{c}/{c} 2.avi" for c in CLASSES}
    assert has_note(reading, "of 3 official divisions number 1 is read")
    assert has_note(reading, "2 clips are in neither part", "wave 3.avi")
    assert not has_note(reading, "named by no row")


def test_another_division_is_read_on_request(tmp_path: Path) -> None:
    reading = read(made(tmp_path), LayoutOptions(division=2))
    scored = {record.file for record in reading.records if record.split == "validation"}
    assert scored == {f"hmdb51_org/{c}/{c} 1.avi" for c in CLASSES}
    with pytest.raises(ManifestError, match="division 4 is wanted, but there are 3"):
        read_dataset(tmp_path, options=LayoutOptions(division=4))


def test_a_line_without_a_code_is_named(tmp_path: Path) -> None:
    made(tmp_path)
    path = tmp_path / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    path.write_text("x.avi 1\n" * 60 + "wave 0.avi\n")
    (problem, *_) = [p for p in read_dataset(tmp_path).problems if ":61" in p.where]
    assert "expected a clip and 0, 1 or 2" in problem.text
