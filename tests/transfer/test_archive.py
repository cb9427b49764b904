from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import ResultError, StoppedError
from taskgrain.transfer.archive import (
    Arrays,
    Blocks,
    extract_in_parts,
    held_key,
    read_arrays,
    remove_parts,
    stored_shape,
    write_arrays,
)


def test_equal_arrays_are_equal_bytes_whenever_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {"clip": np.array(["a", "né"]), "features": np.arange(6.0).reshape(2, 3)}
    write_arrays(tmp_path / "first.npz", arrays)
    later = time.localtime(time.time() + 1e8)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    write_arrays(tmp_path / "second.npz", arrays)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


def test_compressed_arrays_are_the_same_in_fewer_bytes(tmp_path: Path) -> None:
    arrays = {"features": np.zeros((100, 30))}
    write_arrays(tmp_path / "plain.npz", arrays)
    write_arrays(tmp_path / "small.npz", arrays, compress=True)
    assert np.array_equal(read_arrays(tmp_path / "small.npz")["features"], arrays["features"])
    plain, small = ((tmp_path / f"{name}.npz").stat().st_size for name in ("plain", "small"))
    assert 10 * small < plain


def test_numpy_reads_what_was_written_and_the_other_way_round(tmp_path: Path) -> None:
    arrays = {"clip": np.array(["a", "né"]), "features": np.arange(6.0).reshape(2, 3).T}
    write_arrays(tmp_path / "ours.npz", arrays)
    np.savez(tmp_path / "theirs.npz", clip=arrays["clip"], features=arrays["features"])
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as ours:
        assert {name: ours[name].tolist() for name in ours.files} == {
            name: array.tolist() for name, array in arrays.items()
        }
    theirs = read_arrays(tmp_path / "theirs.npz")
    assert np.array_equal(theirs["features"], arrays["features"])


@pytest.mark.parametrize("shape", [(7, 3), (7, 2, 5), (7,)])
def test_an_array_written_in_blocks_is_the_same_file(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    blocks = Blocks(values.shape, values.dtype, iter([values[:3], values[3:3], values[3:]]))
    write_arrays(tmp_path / "whole.npz", {"clip": np.array(["a"]), "features": values})
    write_arrays(tmp_path / "blocks.npz", {"clip": np.array(["a"]), "features": blocks})
    assert (tmp_path / "blocks.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert stored_shape(tmp_path / "blocks.npz", "features") == shape


def test_the_shape_of_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", {"clip": np.array(["a"])})
    with pytest.raises(ResultError, match="no plain array 'features'"):
        stored_shape(tmp_path / "a.npz", "features")
    with pytest.raises(ResultError, match="no such file"):
        stored_shape(tmp_path / "b.npz", "features")


def test_nothing_is_pickled_in_either_direction(tmp_path: Path) -> None:
    objects = np.array([{"code": "run me"}], dtype=np.object_)
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(tmp_path / "ours.npz", {"clip": objects})
    assert list(tmp_path.iterdir()) == []
    np.savez(tmp_path / "theirs.npz", clip=objects)
    with pytest.raises(ResultError, match=r"not an \.npz of plain arrays"):
        read_arrays(tmp_path / "theirs.npz")


def test_a_cut_file_a_lone_array_and_no_file_are_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "whole.npz", {"features": np.arange(1000.0)})
    whole = (tmp_path / "whole.npz").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.npz").write_bytes(whole[:size])
        with pytest.raises(ResultError, match=r"not an \.npz"):
            read_arrays(tmp_path / "cut.npz")
    with (tmp_path / "lone.npz").open("wb") as stream:
        np.save(stream, np.arange(3))
    with pytest.raises(ResultError, match=r"not an \.npz"):
        read_arrays(tmp_path / "lone.npz")
    with pytest.raises(ResultError, match="no such file"):
        read_arrays(tmp_path / "absent.npz")


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "whole.npz"
    write_arrays(path, {"features": np.arange(1000.0)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert zipfile.is_zipfile(path)
    with pytest.raises(ResultError, match="CRC"):
        read_arrays(path)


def maker(made: list[int], *, stop_at: int | None = None) -> Callable[[int], Arrays]:
    def make(number: int) -> Arrays:
        if number == stop_at:
            raise StoppedError
        made.append(number)
        return {"clip": np.array([f"clip {number} é"]), "output": np.full((1, 2), number, "f4")}

    return make


def test_a_stopped_extraction_makes_only_what_is_missing(tmp_path: Path) -> None:
    output, made = tmp_path / "a b" / "features.npz", list[int]()
    with pytest.raises(StoppedError):
        extract_in_parts(output, maker(made, stop_at=2), num_parts=4, key="k")
    assert made == [0, 1]
    parts = extract_in_parts(output, maker(made), num_parts=4, key="k")
    assert made == [0, 1, 2, 3]
    assert [output[0, 0] for output in parts.entries("output")] == [0, 1, 2, 3]
    assert [str(clip[0]) for clip in parts.entries("clip")] == [f"clip {n} é" for n in range(4)]
    assert not output.exists()


def test_parts_of_another_key_are_made_anew(tmp_path: Path) -> None:
    output, made = tmp_path / "features.npz", list[int]()
    assert held_key(output) is None
    extract_in_parts(output, maker(made), num_parts=3, key="of these weights")
    assert held_key(output) == "of these weights"
    extract_in_parts(output, maker(made), num_parts=2, key="of others")
    assert made == [0, 1, 2, 0, 1]
    assert len(list(output.with_name("features.npz.parts").glob("*.npz"))) == 2


def test_a_damaged_part_is_made_anew(tmp_path: Path) -> None:
    output, made = tmp_path / "features.npz", list[int]()
    extract_in_parts(output, maker(made), num_parts=3, key="k")
    part = tmp_path / "features.npz.parts" / "00001.npz"
    part.write_bytes(part.read_bytes()[:40])
    parts = extract_in_parts(output, maker(made), num_parts=3, key="k")
    assert made == [0, 1, 2, 1]
    assert [each.tolist() for each in parts.entries("output")] == [[[n, n]] for n in range(3)]


def test_removed_parts_leave_everything_else(tmp_path: Path) -> None:
    output = tmp_path / "features.npz"
    output.write_bytes(b"whole")
    extract_in_parts(output, maker([]), num_parts=1, key="k")
    remove_parts(output)
    remove_parts(output)
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


SLOWLY = """
import sys, time
from pathlib import Path
import numpy as np
from taskgrain.transfer.archive import extract_in_parts

def make(number):
    time.sleep(0.05)
    return {"output": np.full((1, 2), number, "f4")}

extract_in_parts(Path(sys.argv[1]), make, num_parts=200, key="k")
"""


@pytest.mark.slow
def test_a_killed_extraction_keeps_every_part_before(tmp_path: Path) -> None:
    output = tmp_path / "features.npz"
    folder = tmp_path / "features.npz.parts"
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(output)], env=environment)
    while len(list(folder.glob("0*.npz"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept, made = len(list(folder.glob("0*.npz"))), list[int]()
    assert 5 <= kept < 200
    parts = extract_in_parts(output, maker(made), num_parts=200, key="k")
    assert made == list(range(kept, 200))
    assert [output[0, 1] for output in parts.entries("output")] == list(range(200))
