from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from taskgrain.errors import RunError
from taskgrain.jobs.workspace import (
    claim,
    locked,
    reading_mark,
    refuse_others,
    refuse_within,
    workspace,
)

MARK = Path(".drawing", "world.json")


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from taskgrain.jobs.workspace import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=f"in use by process {holder.pid}"), locked(tmp_path):
        pass
    holder.communicate()
    with locked(tmp_path):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from taskgrain.jobs.workspace import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with locked(tmp_path):
        pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_tidy_workspace_leaves_what_it_found(tmp_path: Path) -> None:
    new, photos = tmp_path / "new", tmp_path / "photos"
    photos.mkdir()
    (photos / "summer.jpg").touch()
    for folder in (new, photos):
        with suppress(RunError), workspace(folder, tidy=True):
            assert ".lock" in names(folder)
            raise RunError("no work")
    assert not new.exists()
    assert names(photos) == ["summer.jpg"]
    with workspace(new, tidy=True):
        (new / "result").touch()
    assert names(new) == ["result"]


def test_a_workspace_that_is_not_tidy_keeps_its_lock_file(tmp_path: Path) -> None:
    with workspace(tmp_path / "run"):
        pass
    assert names(tmp_path / "run") == [".lock"]


def test_a_folder_that_cannot_be_written_is_refused_with_the_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = tmp_path / "file" / "below"
    with pytest.raises(RunError, match=r"cannot be written .*; try a disk"):
        workspace(where, advice="try a disk").__enter__()


def test_a_claimed_folder_is_ours_for_equal_work_alone(tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    claim(folder, MARK, "world 1", work="a drawing")
    (folder / "videos").mkdir()
    claim(folder, MARK, "world 1", work="a drawing")
    with pytest.raises(RunError, match=r"holds a drawing of world 1; .* folder for world 2"):
        claim(folder, MARK, "world 2", work="a drawing")
    assert (folder / MARK).read_text() == "world 1"


def test_a_claim_that_was_killed_while_it_was_written_is_made_again(tmp_path: Path) -> None:
    mark = tmp_path / MARK
    mark.parent.mkdir()
    (mark.parent / ".world.json.7.tmp").touch()
    (tmp_path / ".study.toml.7.tmp").touch()
    (tmp_path / ".lock").touch()
    claim(tmp_path, MARK, "world 1", work="a drawing")
    assert mark.read_text() == "world 1"


def test_other_files_are_refused_by_the_first_name_and_stay(tmp_path: Path) -> None:
    for name in (".lock", "b.txt", "a.txt", "ours"):
        (tmp_path / name).touch()
    wanted = r"holds other files \(a\.txt, \.\.\.\); choose a new or empty folder, or go home$"
    with pytest.raises(RunError, match=wanted):
        refuse_others(tmp_path, ours=("ours",), more=", or go home")
    with pytest.raises(RunError, match=r"a\.txt"):
        claim(tmp_path, MARK, "world 1", work="a drawing")
    assert names(tmp_path) == [".lock", "a.txt", "b.txt", "ours"]
    refuse_others(tmp_path, ours=("ours", "a.txt", "b.txt"))
    refuse_others(tmp_path / "not there")


def test_a_folder_within_the_data_is_refused_also_through_a_link(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(data / "inner")
    for folder in (data, data / "new", tmp_path / "link"):
        with pytest.raises(RunError, match="lies within"):
            refuse_within(folder, data)
    refuse_within(tmp_path / "data-2", data)


def test_a_damaged_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    path.write_text("{}")
    with (
        pytest.raises(RunError, match=r"mark\.json: cannot be read .*'source'"),
        reading_mark(path),
    ):
        json.loads(path.read_text())["source"]
