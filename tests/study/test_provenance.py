"""The seal: encoder seeds from the commit, target seeds from the finished weights, all counted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.config.load import load_study, study_to_toml
from taskgrain.config.settings import Study
from taskgrain.data.opening import read_manifest
from taskgrain.errors import ConfigError, RunError
from taskgrain.results import read_rows
from taskgrain.study.folder import RunFolder
from taskgrain.study.provenance import after_opening, before_opening, open_seal, read_seal
from taskgrain.tabletop.dataset import WorldSpec, plan, write_annotations

NO_COMMIT = "0123456789abcdef0123456789abcdef01234567"
COMMIT = subprocess.run(
    ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
    capture_output=True,
    text=True,
    check=False,
).stdout.strip()
COMMIT = COMMIT if len(COMMIT) == len(NO_COMMIT) else NO_COMMIT  # outside a checkout any will do
SEALED = (
    f"seal={{commit='{COMMIT}', seeds=2}}",
    "targets=[{name='kitchenware', sealed=true, support=26, scored=39},"
    " {name='kitchenware-far', world='kitchenware-far', support=26, scored=39}]",
)


def sealed_study(*changes: str) -> Study:
    return load_study("smoke", [*SEALED, *changes])


def with_weights(study: Study, root: Path, content: bytes = b"weights") -> RunFolder:
    """Write what stands for the weights of every training of a study."""
    folder = RunFolder(root)
    for source in study.sources:
        for seed in study.seeds:
            path = folder.checkpoint(source.name, seed) / "last" / "model.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content + source.name.encode() + bytes([seed % 251]))
    return folder


def test_the_commit_decides_the_encoder_seeds() -> None:
    seeds = sealed_study().seeds
    assert len(set(seeds)) == 2
    assert sealed_study("seeds=[7]").seeds == seeds  # whatever the file or its parent names
    other = sealed_study(f"seal={{commit='{COMMIT[::-1]}', seeds=2}}")
    assert not set(other.seeds) & set(seeds)
    assert sealed_study(f"seal={{commit='{COMMIT}', seeds=3}}").seeds[:2] == seeds


def test_a_sealed_study_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(study_to_toml(sealed_study()), encoding="utf-8")
    assert load_study(path) == sealed_study()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (["seal={commit='main', seeds=2}"], "seal.commit"),
        ([f"seal={{commit='{COMMIT}', seeds=0}}"], "seal.seeds"),
        ([f"seal={{commit='{COMMIT}'}}"], "seal.seeds"),
        (
            ["targets=[{name='kitchenware', root='.', sealed=true}]"],
            '"sealed" is for drawn targets: the clips below "root"',
        ),
        (
            ["targets=[{name='novel', novel=true, sealed=true}]", "data.hold_out={siblings=4}"],
            "the clips of held-out categories",
        ),
    ],
)
def test_a_seal_that_seals_nothing_is_refused(changes: list[str], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        sealed_study(*changes)


@pytest.mark.skipif(COMMIT == NO_COMMIT, reason="outside a checkout no commit is known")
def test_a_commit_that_the_checkout_does_not_have_froze_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [part for each in (*SEALED, f"seal.commit='{NO_COMMIT}'") for part in ("--set", each)]
    with pytest.raises(SystemExit):
        main(["study", "smoke", "--quiet", "--out", str(tmp_path / "run"), *changes])
    assert f"seal.commit is {NO_COMMIT}, which is no commit of this" in capsys.readouterr().err
    assert not (tmp_path / "run" / "study.toml").exists()


def test_a_sealed_target_needs_a_seal() -> None:
    with pytest.raises(ConfigError, match=r'needs "seal\.commit" and "seal\.seeds"'):
        load_study("smoke", [SEALED[1]])


def test_the_weights_decide_the_clips_of_sealed_targets_alone(tmp_path: Path) -> None:
    study = sealed_study()
    assert [target.name for target in before_opening(study).targets] == ["kitchenware-far"]
    seal = open_seal(study, with_weights(study, tmp_path / "one"))
    seeds = [target.seed for target in after_opening(study, seal).targets]
    assert seeds == [seal.seed, 0]
    again = open_seal(study, with_weights(study, tmp_path / "two"))
    assert again.seed == seal.seed
    other = open_seal(study, with_weights(study, tmp_path / "three", b"others"))
    assert other.seed != seal.seed
    changed = sealed_study("train.epochs=3")
    assert open_seal(changed, with_weights(changed, tmp_path / "four")).seed != seal.seed


def test_every_seal_that_is_opened_is_counted_once(tmp_path: Path) -> None:
    study = sealed_study()
    one = with_weights(study, tmp_path / "one")
    assert open_seal(study, one).number == 1
    assert open_seal(study, one).number == 1  # gone on with
    (one.root / "seal.json").unlink()  # killed between the line and the file
    assert open_seal(study, one).number == 1
    other = with_weights(study, tmp_path / "two", b"others")
    assert open_seal(study, other).number == 2
    renamed = sealed_study("name=another")
    assert open_seal(renamed, with_weights(renamed, tmp_path / "three")).number == 1
    lines = (tmp_path / "seals.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["run"] for line in lines] == ["one", "two", "three"]


def test_a_run_whose_weights_are_others_than_its_seals_is_refused(tmp_path: Path) -> None:
    study = sealed_study()
    folder = with_weights(study, tmp_path / "run")
    open_seal(study, folder)
    with_weights(study, tmp_path / "run", b"trained again")
    with pytest.raises(RunError, match="the weights of this run are not those"):
        open_seal(study, folder)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            ["targets=[{name='kitchenware', sealed=true, factors=['colour']}]"],
            "no factor 'colour'",
        ),
        (["transfer.shots=[1, 30]"], "30 wanted"),
        (
            [
                *("transfer.readouts=['lstm-last']", "primary.readout='lstm-last'"),
                *("transfer.probes=['nearest-mean', 'recurrent']", "primary.probe='recurrent'"),
            ],
            "lstm-last has none",
        ),
    ],
)
def test_what_a_sealed_study_could_not_test_is_refused_before_it_learns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], wanted: str
) -> None:
    small = (*SEALED, "data.train=60", "data.validation=24", "transfer.shots=[1]")
    settings = [part for each in (*small, "primary.shots=1", *changes) for part in ("--set", each)]
    with pytest.raises(SystemExit):
        main(["study", "smoke", "--quiet", "--out", str(tmp_path / "run"), *settings])
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "run" / "cells").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("forked_trainings")
def test_a_sealed_study_draws_its_targets_after_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    small = (
        *("data.train=60", "data.validation=24", "examples=2", "transfer.shots=[1]"),
        *('sources=["action-groups", "categories"]', "primary.shots=1", "train.epochs=1"),
        *("transfer.draws=3", "transfer.controls=['majority', 'random-labels']"),
    )
    changes = [part for each in (*SEALED, *small) for part in ("--set", each)]
    main(["study", "smoke", "--quiet", "--workers", "1", "--out", str(out), *changes])
    seal = read_seal(RunFolder(out))
    assert seal is not None
    assert seal.commit == COMMIT
    cells = [json.loads(line)["cell"] for line in (out / "timings.jsonl").read_text().splitlines()]
    trained = [place for place, cell in enumerate(cells) if cell.startswith("train ")]
    assert len(trained) == 6
    drawn = cells.index("prepare kitchenware 00000")
    assert cells.index("prepare kitchenware-far 00000") < min(trained) <= max(trained) < drawn
    # The clips are those of the sealed seed, and the study file still holds none.
    ids = {record.clip_id for record in read_manifest(out / "data" / "kitchenware").records}
    write_annotations(
        tmp_path / "same", plan(WorldSpec("kitchenware", seal.seed, train=26, validation=39))
    )
    same = read_manifest(tmp_path / "same")
    assert {record.clip_id for record in same.records} == ids
    assert load_study(out / "study.toml").targets[0].seed == 0
    targets = {row.target for row in read_rows(out / "results.jsonl")}
    assert targets >= {"kitchenware", "kitchenware-far"}
    before = (out / "results.jsonl").read_bytes()
    main(["study", "smoke", "--quiet", "--out", str(out), *changes])  # complete: nothing to do
    assert (out / "results.jsonl").read_bytes() == before
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "1 of 1 of this study" in page
    assert "computed by the frozen code" in page
    assert COMMIT in page
    assert capsys.readouterr().err == ""
