"""Disks that fill up, may not be written or go away while a model is trained."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from taskgrain.jobs.workspace import locked
from taskgrain.train.loop import Watch
from tests.train.test_resume import OPTIONS, assert_same_run, run

EVERY_STEP = replace(OPTIONS, save_seconds=0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of twelve megabytes, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("this process may not mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fails_at_step(step: int, harm: Callable[[], object], folder: Path) -> OSError:
    """Train until a step, do some harm, and return the error that follows."""

    def see(at: int) -> None:
        if at == step:
            harm()

    with pytest.raises(OSError, match=r"\w") as caught:
        run(folder, options=EVERY_STEP, watch=Watch(progress=see))
    return caught.value


@contextmanager
def file_limit() -> Iterator[Callable[[int], None]]:
    """Yield what limits the size of files, as a full disk does and a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
def test_a_state_that_cannot_be_written_names_its_file_and_loses_nothing(
    whole: Path, tmp_path: Path
) -> None:
    assert (whole / "training.safetensors").stat().st_size > 8_000
    with file_limit() as limit:
        error = fails_at_step(6, lambda: limit(8_000), tmp_path)
    assert error.errno == errno.EFBIG
    assert Path(error.filename).name.strip(".").startswith("training.")
    run(tmp_path)
    assert_same_run(whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("step", [6, 8])  # within an epoch; at its end, where weights are written
def test_a_full_disk_loses_nothing_and_training_goes_on_once_there_is_room(
    whole: Path, disk: Path, step: int
) -> None:
    ballast = disk / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 12)):
                pass
        assert os.statvfs(disk).f_bavail == 0

    error = fails_at_step(step, fill, disk / "run")
    assert error.errno == errno.ENOSPC
    assert str(error.filename).startswith(str(disk / "run"))
    ballast.unlink()
    run(disk / "run")
    assert_same_run(whole, disk / "run")


@pytest.mark.slow
def test_a_disk_that_becomes_read_only_loses_nothing(whole: Path, disk: Path) -> None:
    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

    error = fails_at_step(6, lambda: remount("ro"), disk / "run")
    remount("rw")
    assert error.errno == errno.EROFS
    assert str(error.filename).startswith(str(disk / "run"))
    run(disk / "run")
    assert_same_run(whole, disk / "run")


@pytest.mark.slow
@pytest.mark.parametrize("step", [6, 8])
def test_a_folder_that_is_gone_is_named_and_not_made_again(
    whole: Path, tmp_path: Path, step: int
) -> None:
    root, away = tmp_path / "runs", tmp_path / "away"
    with locked(root):
        error = fails_at_step(step, lambda: root.rename(away), root / "a run")
    assert error.errno == errno.ENOENT
    assert "the folder is gone, while work went on in it; bring it back" in str(error)
    assert error.filename == str(root)
    assert not root.exists()
    away.rename(root)
    with locked(root):
        run(root / "a run")
    assert_same_run(whole, root / "a run")


@pytest.mark.skipif(os.getuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_named_and_loses_nothing(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    error = fails_at_step(6, lambda: folder.chmod(0o500), folder)
    folder.chmod(0o700)
    assert error.errno == errno.EACCES
    assert str(error.filename).startswith(str(folder))
    run(folder)
    assert_same_run(whole, folder)
