from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taskgrain.encoders import Wanted, open_reader
from taskgrain.errors import ConfigError
from taskgrain.teaching.featuring import feature_lesson
from taskgrain.teaching.lesson import read_lesson
from taskgrain.teaching.seeing import LessonEncoder, encoder_named
from tests.teaching.making import counting, featured, make
from tests.tools.features.making import checkpoint

PIXELS = ("pixels", "motion-energy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "my clips", 6)


def test_what_was_computed_is_found_again_and_more_clips_cost_only_themselves(
    folder: Path, tmp_path: Path
) -> None:
    cache, counts = tmp_path / "cache", list[int]()
    encoder = counting(encoder_named("pixels"), counts)
    first = featured(read_lesson(folder), [encoder], cache)
    assert counts == [4, 2]
    make(folder, 3, first=6)
    (folder / "jump" / "00.mp4").rename(folder / "jump" / "renamed.mp4")
    told: list[str] = []
    done: list[int] = []
    lesson = read_lesson(folder)
    second = feature_lesson(lesson, [encoder], cache, tell=told.append, advance=done.append)
    assert counts == [4, 2, 3]
    assert told == [f"{cache}: has the features of 6 of 9 clips already"]
    assert sum(done) == 9
    assert np.array_equal(
        second.features[0].features, featured(lesson, [encoder]).features[0].features
    )
    old = dict(zip(first.features[0].clip_ids, first.features[0].features, strict=True))
    new = dict(zip(second.features[0].clip_ids, second.features[0].features, strict=True))
    assert np.array_equal(new["jump/renamed"], old["jump/00"])
    assert second.signatures.keys() == new.keys()
    counts.clear()
    again = featured(lesson, [encoder], cache)
    assert counts == []
    assert again.decoding_seconds == again.network_seconds == 0.0
    assert all(np.array_equal(again.signatures[n], second.signatures[n]) for n in new)


def test_another_encoder_or_sampling_is_not_taken_for_the_one_that_was_kept(
    folder: Path, tmp_path: Path
) -> None:
    lesson, cache = read_lesson(folder), tmp_path / "cache"
    few = LessonEncoder("pixels", {"pixels": open_reader(Wanted("pixels", num_frames=5))})
    others = [str(checkpoint(tmp_path / str(seed), seed=seed)) for seed in (1, 2)]
    encoders = [few, *(encoder_named(name) for name in (*PIXELS, *others))]
    apart = [featured(lesson, [each]).features[0].features for each in encoders]
    for each, expected in zip(encoders, apart, strict=True):
        assert np.array_equal(featured(lesson, [each], cache).features[0].features, expected)
    assert not np.array_equal(apart[0], apart[1])
    assert not np.array_equal(apart[3], apart[4])


def test_a_stopped_run_loses_a_part_at_most(folder: Path, tmp_path: Path) -> None:
    lesson, cache = read_lesson(make(folder, 14, first=6)), tmp_path / "cache"  # 16 and 4 clips
    counts: list[int] = []
    encoder = counting(encoder_named("motion-energy"), counts)
    done: list[int] = []

    def stop(clips: int) -> None:
        done.append(clips)
        if sum(done) == 18:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature_lesson(lesson, [encoder], cache, tell=lambda _: None, advance=stop)
    assert counts == [4, 4, 4, 4]
    whole = featured(lesson, [encoder], cache)
    assert counts == [4, 4, 4, 4, 4]
    expected = featured(lesson, [encoder])
    assert np.array_equal(whole.features[0].features, expected.features[0].features)


RUN = """
import os, signal, sys
from pathlib import Path
from taskgrain.teaching.featuring import feature_lesson
from taskgrain.teaching.lesson import read_lesson
from taskgrain.teaching.seeing import encoder_named

done = 0
def advance(clips):
    global done
    done += clips
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

folder, cache = map(Path, sys.argv[1:3])
encoders = [encoder_named("pixels"), encoder_named("motion-energy")]
feature_lesson(read_lesson(folder), encoders, cache, tell=print, advance=advance)
"""


def start(folder: Path, cache: Path, killed_at: int = -1) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", RUN, str(folder), str(cache), str(killed_at)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_process_leaves_whole_parts_and_two_processes_share_a_cache(
    folder: Path, tmp_path: Path
) -> None:
    lesson, cache = read_lesson(make(folder, 14, first=6)), tmp_path / "cache"
    killed = start(folder, cache, killed_at=19)
    killed.communicate()
    assert killed.returncode == -9
    both = [start(folder, cache) for _ in range(2)]
    lines = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert f"{cache}: has the features of 16 of 20 clips already\n" in lines
    counts: list[int] = []
    encoders = [counting(encoder_named(name), counts) for name in PIXELS]
    found = featured(lesson, encoders, cache)
    assert counts == []
    for one, other in zip(found.features, featured(lesson, encoders).features, strict=True):
        assert np.array_equal(one.features, other.features)


def flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def lonely_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def huge(path: Path) -> None:
    """Write arrays that declare four petabytes."""
    shape = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }"
    header = b"\x93NUMPY\x01\x00\x76\x00" + shape.ljust(0x75) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("key", "content", "problem", "values"):
            archive.writestr(f"{name}.npy", header)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not an archive"),
    "flipped": flip,
    "of another clip": lambda path: shutil.copy(max(path.parent.glob("*.npz")), path),
    "pipe": pipe,
    "lonely array": lonely_array,
    "other arrays": lambda path: np.savez(path, values=np.zeros(3, np.float32)),
    "objects": lambda path: np.savez(path, values=np.array([{}], object)),
    "huge": huge,
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_is_damaged_or_of_something_else_is_computed_anew(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    lesson, cache = read_lesson(folder), tmp_path / "cache"
    counts: list[int] = []
    encoder = counting(encoder_named("pixels"), counts)
    whole = featured(lesson, [encoder], cache)
    (cache / "notes.txt").write_text("of the user")
    entries = sorted(cache.glob("*/*.npz"))
    assert len(entries) == 12  # features and signatures
    for path in entries[::2]:  # none is the last of its folder
        DAMAGES[kind](path)
    counts.clear()
    again = featured(lesson, [encoder], cache)
    assert sum(counts) >= 3
    assert np.array_equal(again.features[0].features, whole.features[0].features)
    assert all(np.array_equal(again.signatures[n], whole.signatures[n]) for n in whole.signatures)
    counts.clear()
    featured(lesson, [encoder], cache)
    assert counts == []


@pytest.mark.slow
def test_no_flipped_byte_of_an_entry_is_an_error_or_another_number(
    folder: Path, tmp_path: Path
) -> None:
    lesson, cache = read_lesson(folder), tmp_path / "cache"
    encoder = encoder_named("motion-energy")
    whole = featured(lesson, [encoder], cache).features[0].features
    path = next(
        each
        for each in sorted(cache.glob("*/*.npz"))
        if "values" in np.load(each).files and np.load(each)["values"].dtype == np.float32
    )
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), int(rng.integers(1, 4))):
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        assert np.array_equal(featured(lesson, [encoder], cache).features[0].features, whole)


def test_a_cache_that_cannot_be_one_is_refused_before_any_work(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    counts: list[int] = []
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"cannot be written: .*file is a file"):
            featured(read_lesson(folder), [counting(encoder_named("pixels"), counts)], cache)
    assert counts == []
