from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import StoppedError
from taskgrain.transfer.archive import Arrays, extract_in_parts, held_key, remove_parts


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
    assert [part["output"][0, 0] for part in parts] == [0, 1, 2, 3]
    assert [str(part["clip"][0]) for part in parts] == [f"clip {n} é" for n in range(4)]
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
    assert [part["output"][0, 1] for part in parts] == list(range(200))
