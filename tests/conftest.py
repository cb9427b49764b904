from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a core for each of pytest's processes

from tests.making import PULL, PUSH, moving_square, row, write_annotations, write_video

COMPILER = "torch._dynamo"  # the first optimizer of a process loads it, in two seconds
SLOWEST = (  # files, those of most seconds first; the second needs no run that the first makes
    *("end_to_end/test_kills.py", "end_to_end/test_own_folders.py", "report/test_evidence.py"),
    *("end_to_end/test_own_data.py", "end_to_end/test_study.py", "end_to_end/test_every_probe.py"),
    *("end_to_end/test_paper_study.py", "statistics/test_simulation.py"),
    "teaching/test_drawn.py",
    *("tools/export/test_exporting.py", "models/test_pretrained_torchvision.py"),
    *("end_to_end/test_novel.py", "end_to_end/test_factor_tasks.py", "study/test_provenance.py"),
    *("statistics/test_tasks.py", "study/test_flat_memory.py", "test_benchmarks.py"),
    *("end_to_end/test_kitchenware_study.py", "end_to_end/test_held_out_list.py"),
    *("end_to_end/test_every_readout.py", "end_to_end/test_training_options.py"),
    *("statistics/test_groups.py", "models/test_pretrained_huggingface.py"),
    *("study/test_cost.py", "tools/cut/test_cutting.py", "tools/check/test_checking.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first, so that no process is idle while another ends the last."""
    folder = Path(__file__).parent
    assert all((folder / name).is_file() for name in SLOWEST)
    place = {folder / name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Write files without waiting until they lie on the disk: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(sock: socket.socket, address: object) -> None:
        if sock.family != socket.AF_UNIX:
            raise AssertionError(f"a test wanted the network: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@contextmanager
def forking(*loaded: str) -> Iterator[None]:
    """Begin worker processes as forks of this one, where the way they begin is not the point.

    A spawned worker, as every command has, imports all anew: six seconds of processor a study.
    The run of tests/end_to_end/conftest.py, programs of their own and tests/jobs spawn theirs.

    Args:
        loaded: modules that workers would load by and by, each one anew.
    """
    if sys.platform != "linux":
        yield
        return
    for name in ("cv2", *loaded):
        import_module(name)
    sys.modules["cv2"].setNumThreads(1)  # a fork has no copies of its threads
    fork = multiprocessing.get_context("fork")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", lambda method=None: fork)
        yield


@pytest.fixture(scope="module")
def forked_workers() -> Iterator[None]:
    with forking():
        yield


@pytest.fixture(scope="module")
def forked_trainings() -> Iterator[None]:
    with forking(COMPILER):
        yield


@pytest.fixture(scope="session")
def media() -> Path:
    """Real clips of odd kinds, which lie beside the project and not in it."""
    beside = Path(__file__).parents[2] / "shared" / "media"
    folder = Path(os.environ.get("TASKGRAIN_MEDIA", beside))
    if not (folder / "expected.jsonl").is_file():
        pytest.skip(f"no real clips at {folder}; set TASKGRAIN_MEDIA to their folder")
    return folder


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Path:
    """Eight whole clips of two categories in a folder with a space in its name."""
    root = tmp_path / "my clips"
    rows: list[object] = [row(str(n), (PUSH, PULL)[n % 2]) for n in range(8)]
    write_annotations(root, rows[:6], rows[6:])
    for n in range(8):
        frames = moving_square(20 + n)
        write_video(root / "videos" / f"{n}.webm", frames if n % 2 else frames[::-1].copy())
    return root
