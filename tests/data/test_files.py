from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from taskgrain.data.files import check_writable, holding, missing_folder, write_text
from taskgrain.errors import ConfigError


def test_a_place_is_refused_before_the_work_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "new" / "deep" / "out.npz")
    check_writable(tmp_path / "file")
    with pytest.raises(ConfigError, match="is a folder; expected the name of a file"):
        check_writable(tmp_path)
    with pytest.raises(ConfigError, match=r"out\.npz cannot be written: .*file is a file"):
        check_writable(tmp_path / "file" / "below" / "out.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=f"no permission in {tmp_path}"):
        check_writable(tmp_path / "out.npz")


def test_a_file_in_a_folders_place_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert missing_folder(tmp_path / "file") == "is a file, not a folder"
    assert missing_folder(tmp_path / "none") == "no such folder"


def test_a_file_that_cannot_be_written_is_named_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(tmp_path / "out.json", "{}")
    assert caught.value.filename == str(tmp_path / "out.json")
    assert not list(tmp_path.iterdir())


def test_what_a_disk_does_not_take_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "é.txt"
    write_text(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))  # as a quota does
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_text(path, "new" * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert [each.name for each in path.parent.iterdir()] == ["é.txt"]


def test_a_folder_that_is_held_is_never_made_again(tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    with holding([root]):
        write_text(root / "deep" / "a.txt", "a")
        root.rename(tmp_path / "away")
        with pytest.raises(FileNotFoundError, match="bring it back") as caught:
            write_text(root / "deep" / "b.txt", "b")
        assert caught.value.filename == str(root)
        write_text(tmp_path / "run beside" / "c.txt", "c")
    assert not root.exists()
    write_text(root / "d.txt", "d")  # it is held no more
