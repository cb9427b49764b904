from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from taskgrain.data.equal_files import MIDDLE_BYTES, equal_files


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def slow_pairs(first: list[Path], second: list[Path]) -> set[int]:
    """Hash every file: the places in the second list whose content is in the first."""
    held = {hashlib.sha256(path.read_bytes()).digest() for path in first}
    return {
        place
        for place, path in enumerate(second)
        if hashlib.sha256(path.read_bytes()).digest() in held
    }


def test_equal_files_are_those_that_hashing_everything_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contents = [rng.bytes(int(size)) for size in rng.choice([10, 20, 9_000], 12)]
    first = [
        written(tmp_path / "a" / str(n), contents[k]) for n, k in enumerate(rng.integers(0, 8, 20))
    ]
    second = [
        written(tmp_path / "b" / str(n), contents[k]) for n, k in enumerate(rng.integers(4, 12, 20))
    ]
    found = list(equal_files(first, second))
    assert {pair.second for pair in found} == slow_pairs(first, second) != set()
    assert len({pair.second for pair in found}) == len(found)
    for pair in found:
        assert first[pair.first].read_bytes() == second[pair.second].read_bytes()
        assert pair.how == "of equal content"


@pytest.mark.parametrize("place", [0, 5 * MIDDLE_BYTES, 10 * MIDDLE_BYTES - 1])
def test_one_byte_tells_files_of_one_size_apart_wherever_it_is(tmp_path: Path, place: int) -> None:
    content = bytearray(10 * MIDDLE_BYTES)
    first = written(tmp_path / "a", bytes(content))
    content[place] = 1
    second = written(tmp_path / "b", bytes(content))
    assert list(equal_files([first], [second])) == []


def test_links_to_one_file_are_found_without_reading_it(tmp_path: Path) -> None:
    file = written(tmp_path / "a", b"content")
    (tmp_path / "soft").symlink_to(file)
    (tmp_path / "hard").hardlink_to(file)
    file.chmod(0)
    found = list(equal_files([file], [tmp_path / "soft", tmp_path / "hard"]))
    assert {(pair.first, pair.second, pair.how) for pair in found} == {
        (0, 0, "one file"),
        (0, 1, "one file"),
    }


def test_folders_of_frames_are_equal_if_their_images_are(tmp_path: Path) -> None:
    for name, frames in (("a", b"xyz"), ("b", b"xyz"), ("c", b"xzy")):
        for number, frame in enumerate(frames):
            written(tmp_path / name / f"{number + 8}.jpg", bytes([frame]) * 3)
        os.mkfifo(tmp_path / name / "11.jpg")  # would be waited for
    found = list(equal_files([tmp_path / "a"], [tmp_path / "b", tmp_path / "c"]))
    assert [(pair.first, pair.second) for pair in found] == [(0, 0)]


def test_what_is_absent_empty_or_no_file_is_equal_to_nothing(tmp_path: Path) -> None:
    names = ("empty", "absent", "pipe", "folder")
    for side in ("a", "b"):
        written(tmp_path / side / "empty", b"")
        (tmp_path / side / "folder").mkdir()
        os.mkfifo(tmp_path / side / "pipe")
    first, second = ([tmp_path / side / name for name in names] for side in ("a", "b"))
    assert list(equal_files(first, second)) == []
