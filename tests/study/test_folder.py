from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.errors import RunError
from taskgrain.jobs.workspace import locked
from taskgrain.study.folder import RunFolder, claim, note_places, sweep


def test_a_new_folder_takes_the_study_and_the_same_study_again(tmp_path: Path) -> None:
    study = load_study("smoke")
    for _ in range(2):
        folder = RunFolder(tmp_path / "run")
        with locked(folder.root):
            claim(folder, study)
    assert load_study(str(tmp_path / "run" / "study.toml")) == study


@pytest.mark.parametrize("training", ["checkpoints", "from-scratch"])
def test_another_study_is_refused_with_the_difference(tmp_path: Path, training: str) -> None:
    folder = RunFolder(tmp_path)
    with locked(tmp_path):
        claim(folder, load_study("smoke"))
        (tmp_path / training).mkdir()  # of one that was stopped or killed, which has no mark
        with pytest.raises(RunError, match=r"train\.epochs: 2 before, 3 now"):
            claim(folder, load_study("smoke", ["train.epochs=3"]))


def test_the_users_own_data_may_lie_elsewhere_and_may_not_become_a_drawn_world(
    tmp_path: Path,
) -> None:
    target = "targets=[{{name='own', root='{0}/t', few_shot='{0}/list.csv'}}]"
    primary = "primary.target='own'"

    def study_at(place: str) -> Study:
        own = [f"data.root='{place}/s'", target.format(place), primary]
        return load_study("smoke", own)

    folder = RunFolder(tmp_path)
    with locked(tmp_path):
        claim(folder, study_at("/first"))
        (tmp_path / "checkpoints").mkdir()
        claim(folder, study_at("/second"))
        assert load_study(str(tmp_path / "study.toml")) == study_at("/first")
        note_places(folder, study_at("/second"))  # once they are known to be the same
        assert load_study(str(tmp_path / "study.toml")) == study_at("/second")
        with pytest.raises(RunError, match=r"data\.root: /second/s before, None now"):
            claim(folder, load_study("smoke", [target.format("/second"), primary]))
        with pytest.raises(RunError, match=r"targets\[0\]\.few_shot: /second/list.csv before"):
            claim(
                folder,
                load_study(
                    "smoke",
                    ["data.root='/second/s'", "targets=[{name='own', root='/second/t'}]", primary],
                ),
            )


def test_a_study_may_be_mended_before_anything_is_learned(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with locked(tmp_path):
        claim(folder, load_study("smoke"))
        write_text(folder.done("prepare-source-00000"), "")
        fewer = load_study("smoke", ["transfer.shots=[1]", "primary.shots=1"])
        claim(folder, fewer)
        assert load_study(str(tmp_path / "study.toml")) == fewer
        with pytest.raises(RunError, match=r"data\.train"):  # its clips are drawn already
            claim(folder, load_study("smoke", ["data.train=90"]))


def test_half_written_files_are_swept_away_and_nothing_else(tmp_path: Path) -> None:
    inner = tmp_path / "checkpoints" / "a-seed-0"
    inner.mkdir(parents=True)
    for name in (".x.json.12.tmp", ".training.json.new", ".tmp42AUqw", "kept.json", ".lock"):
        (inner / name).touch()
    sweep(RunFolder(tmp_path))
    assert {path.name for path in inner.iterdir()} == {"kept.json", ".lock"}


def test_caches_are_removed_of_a_run_and_of_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "mine.txt").touch()
    with pytest.raises(SystemExit) as stopped:
        main(["study", "smoke", "--clean", "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert "holds no run" in capsys.readouterr().err
    assert (tmp_path / "features" / "mine.txt").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    folder = RunFolder(tmp_path)
    with locked(tmp_path), pytest.raises(RunError, match=r"thesis\.tex"):
        claim(folder, load_study("smoke"))
    assert not (tmp_path / "study.toml").exists()


def test_a_damaged_study_file_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("name = [")
    folder = RunFolder(tmp_path)
    with locked(tmp_path), pytest.raises(RunError, match="nothing is resumed"):
        claim(folder, load_study("smoke"))
