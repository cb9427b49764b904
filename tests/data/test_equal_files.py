from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from taskgrain.data.equal_files import MIDDLE_BYTES, content_sha256, equal_files, equal_groups


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


def test_equal_groups_of_one_list_are_those_that_hashing_everything_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    contents = [rng.bytes(int(size)) for size in (10, 10, 9_000, 9_000)]
    contents.append(contents[2][:-1] + b"x")  # of equal size and middle
    drawn = rng.integers(0, len(contents), 20)
    paths = [written(tmp_path / f"{n}.mp4", contents[drawn[n]]) for n in range(20)]
    paths.append(tmp_path / "linked.mp4")
    paths[-1].symlink_to(paths[0])
    paths += [written(tmp_path / "empty.mp4", b""), written(tmp_path / "void.mp4", b"")]
    paths.append(tmp_path / "absent.mp4")
    held: dict[bytes, list[int]] = {}
    for place, path in enumerate(paths[:21]):
        held.setdefault(path.read_bytes(), []).append(place)
    assert equal_groups(paths) == sorted(tuple(each) for each in held.values() if len(each) > 1)


def test_the_hash_is_of_all_bytes_and_none_of_what_cannot_be_read(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name, b"a" * 99_999) for name in ("a.mp4", "b.mp4"))
    assert content_sha256(first) == content_sha256(second)
    with second.open("r+b") as file:
        file.seek(70_000)
        file.write(b"b")
    assert content_sha256(first) != content_sha256(second)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "nothing").mkdir()
    for name in ("absent.mp4", "pipe.mp4", "nothing"):
        assert content_sha256(tmp_path / name) is None
