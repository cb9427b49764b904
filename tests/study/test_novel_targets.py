"""Targets of held-out categories: which clips they ask about, and what is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from taskgrain.cli.main import main
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.data.manifest import Split
from taskgrain.errors import ConfigError, TaskgrainError
from taskgrain.study.checking import lay_out_study
from taskgrain.study.datasets import SOURCE, lay_out, shards
from taskgrain.study.folder import RunFolder, claim
from taskgrain.study.leaks import refuse_leaks
from taskgrain.study.seed_clips import seed_clips
from taskgrain.study.targets import clips_asked, refuse_seen, rotates, target_tasks, task_seeds
from tests.making import row, write_annotations

KINDS = {"drop": 5, "hold": 2, "turn": 2}
NAMES = [f"{kind} {n}" for kind, size in KINDS.items() for n in range(size)]
GIF = (  # of one pixel; what follows it is passed over
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00"
    b"\x02\x02D\x01\x00;"
)
ROTATING = 'data.hold_out={siblings=2, groups=1, level="kind"}'
NOVEL = "{name='novel', novel=true}"


def category(name: str) -> str:
    return f"Doing {name} with something"


def clips_of(name: str, split: str) -> list[str]:
    return [f"{name.replace(' ', '')}{split}{n}" for n in range(4 if split == "t" else 2)]


def write_dataset(root: Path, names: list[str], prefix: str = "") -> Path:
    """Write 4 training and 2 validation clips of each category; no two videos are equal."""
    rows = {
        split: [
            row(prefix + clip, f"Doing {name} with [something]")
            for name in names
            for clip in clips_of(name, split)
        ]
        for split in ("t", "v")
    }
    write_annotations(root, list(rows["t"]), list(rows["v"]))
    (root / "videos").mkdir()
    for each in (*rows["t"], *rows["v"]):
        (root / "videos" / f"{each['id']}.webm").write_bytes(GIF + f"{each['id']:>20}".encode())
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "source", NAMES)


def study_of(source: Path, *targets: str, changes: tuple[str, ...] = (ROTATING,)) -> Study:
    levels = {kind: [category(name) for name in NAMES if kind in name] for kind in KINDS}
    listed = ", ".join(f"{kind}={names}" for kind, names in levels.items())
    name = re.findall("name='([a-z]+)'", targets[0])[0]
    return load_study(
        "smoke",
        [
            f"data.root='{source}'",
            f"data.levels={{kind={{{listed}}}}}",
            f"targets=[{', '.join(targets)}]",
            'sources=[{name="groups", classify="kind"}, "categories"]',
            *("primary.versus=groups", f"primary.target={name}", "primary.shots=1"),
            *("transfer.shots=[1]", "seeds=[0, 1, 2, 3]", *changes),
        ],
    )


def held_list(folder: Path, *names: str) -> Path:
    """Write a list as OTAM's, of all clips of some categories."""
    lines = [f"test{number}/{clip}\n" for number, name in enumerate(names)
             for split in ("t", "v") for clip in clips_of(name, split)]  # fmt: skip
    path = folder / "test_otam.txt"
    path.write_text("".join(lines))
    return path


def test_a_novel_target_asks_about_the_held_out_categories_of_each_seed(
    source: Path, tmp_path: Path
) -> None:
    study = study_of(source, NOVEL)
    datasets = lay_out_study(study, RunFolder(tmp_path / "run"))
    (target,) = study.targets
    assert rotates(study, target)
    assert task_seeds(study, target) == (0, 1, 2, 3)
    asked = []
    for seed in study.seeds:
        found = seed_clips(study.data, datasets[SOURCE].manifest(), seed)
        manifest, strata = clips_asked(study, datasets["novel"], target, seed)
        whole, siblings, groups = target_tasks(target, manifest, None, strata)
        assert (siblings.name, groups.name) == ("novel/siblings", "novel/groups")
        assert len(siblings.class_names) == 2
        assert set(whole.class_names) == {*siblings.class_names, *groups.class_names}
        assert not {*whole.class_names} & {*found.learned.taxonomy.categories}
        ids = {split: {r.clip_id for r in manifest.split(split)} for split in Split}
        assert (set(whole.support_ids), set(whole.query_ids)) == (
            ids[Split.TRAIN],
            ids[Split.VALIDATION],
        )
        assert np.bincount(whole.support_labels).tolist() == [4] * len(whole.class_names)
        asked.append(whole.class_names)
    assert len(set(asked)) > 1
    assert list(shards(datasets["novel"])) == []  # its frames are the source's
    assert datasets["novel"].store == datasets[SOURCE].store


def test_a_stratum_of_one_category_or_none_is_no_task(source: Path, tmp_path: Path) -> None:
    for hold_out in ("{siblings=1, groups=1, level='kind'}", "{siblings=3, level='kind'}"):
        study = study_of(source, NOVEL, changes=(f"data.hold_out={hold_out}",))
        datasets = lay_out(study, RunFolder(tmp_path / "run"))
        clips = clips_asked(study, datasets["novel"], study.targets[0], 0)
        assert [task.name for task in target_tasks(study.targets[0], clips[0], None, clips[1])] == [
            "novel"
        ]


def test_a_held_out_clip_that_equals_a_learned_one_is_refused(source: Path, tmp_path: Path) -> None:
    study = study_of(source, NOVEL)
    datasets = lay_out(study, RunFolder(tmp_path / "run"))
    refuse_leaks(study, datasets)
    held = seed_clips(study.data, datasets[SOURCE].manifest(), 0).novel.records
    learned = seed_clips(study.data, datasets[SOURCE].manifest(), 0).learned.records
    shutil.copy(learned[0].path, held[-1].path)
    said = (
        rf"target novel: 1 of its .*{held[-1].clip_id}\.webm and .* are of equal content; exclude"
    )
    with pytest.raises(ConfigError, match=said):
        refuse_leaks(study, datasets)


def test_a_scored_held_out_clip_that_equals_one_of_its_support_is_refused(
    source: Path, tmp_path: Path
) -> None:
    study = study_of(source, NOVEL)
    datasets = lay_out(study, RunFolder(tmp_path / "run"))
    held = seed_clips(study.data, datasets[SOURCE].manifest(), 2).novel
    shutil.copy(held.split(Split.TRAIN)[0].path, held.split(Split.VALIDATION)[0].path)
    with pytest.raises(ConfigError, match="target novel: 1 scored clip is in its support pool"):
        refuse_leaks(study, datasets)


def test_the_sources_own_folder_is_taken_where_its_listed_categories_are_held_out(
    source: Path, tmp_path: Path
) -> None:
    path = held_list(tmp_path, "drop 1", "hold 0")
    listed = f"{{name='listed', root='{source}', few_shot='{path}', novel=true}}"
    study = study_of(source, listed, NOVEL, changes=(f"data.hold_out={{few_shot='{path}'}}",))
    datasets = lay_out_study(study, RunFolder(tmp_path / "run"))
    assert not rotates(study, study.targets[1])
    assert task_seeds(study, study.targets[1]) == (None,)
    manifest, strata = clips_asked(study, datasets["novel"], study.targets[1], None)
    assert {record.category for record in manifest.records} == set(
        map(category, ("drop 1", "hold 0"))
    )
    assert strata == {}  # the dataset has no level of this name
    open_study = study_of(source, listed.replace(", novel=true", ""), changes=())
    with pytest.raises(ConfigError, match=r"set data\.hold_out\.few_shot = .*test_otam\.txt"):
        refuse_leaks(open_study, lay_out(open_study, RunFolder(tmp_path / "run")))


def test_a_target_declared_novel_is_refused_if_a_seed_learns_one_of_its_categories(
    source: Path, tmp_path: Path
) -> None:
    other = write_dataset(tmp_path / "other", ["lift 0", "hold 0", "lift 1"], prefix="o")
    for name in ("train.json", "validation.json"):
        text = (other / name).read_text()
        (other / name).write_text(text.replace("Doing hold 0 with", "DOING_hold 0 with"))
    declared = f"{{name='declared', root='{other}', novel=true}}"
    study = study_of(source, declared)
    said = (
        r"target declared: is declared novel, but the sources of seed \d learn 1 of its 3 "
        r"categories: 'DOING_hold 0 with something'; hold them out by data\.hold_out\.few_shot"
    )
    with pytest.raises(ConfigError, match=said):
        lay_out_study(study, RunFolder(tmp_path / "run"))
    path = held_list(tmp_path, "hold 0", "hold 1")
    held = study_of(source, declared, changes=(f"data.hold_out={{few_shot='{path}'}}",))
    lay_out_study(held, RunFolder(tmp_path / "held"))
    plain = study_of(source, declared.replace(", novel=true", ""))
    refuse_seen(plain, lay_out(plain, RunFolder(tmp_path / "plain")))


@pytest.mark.parametrize(
    ("targets", "changes", "text"),
    [
        (NOVEL, (), r"target 'novel' is novel and has no root or world, .*set data\.hold_out"),
        ("{name='novel', novel=true, factors=['siblings']}", (ROTATING,), "a factor cannot be cal"),
        (NOVEL, ("data.hold_out={level='kind'}",), r'data\.hold_out: needs "siblings", "groups"'),
        (NOVEL, ("data.hold_out={groups=1, few_shot='a'}",), "leave siblings and groups out"),
        (NOVEL, ("data.hold_out={groups=3, level='kind'}",), "of the 3 groups .* one has to stay"),
        (NOVEL, (ROTATING, "data.draw=40"), r"data\.draw is 40, but under seed \d .* has 20 trai"),
        (NOVEL, (ROTATING, "transfer.shots=[1, 5]"), "target novel: class .* has 4 usable support"),
        (NOVEL, ("data.hold_out={siblings=1, level='kind'}",), "target novel has one class only"),
        (NOVEL, ("data.hold_out={few_shot='no.txt'}",), r"no\.txt: no such file"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    source: Path, tmp_path: Path, targets: str, changes: tuple[str, ...], text: str
) -> None:
    with pytest.raises(TaskgrainError, match=text):
        lay_out_study(study_of(source, targets, changes=changes), RunFolder(tmp_path / "run"))
    assert not list((tmp_path / "run").rglob("*.frames"))


@pytest.mark.slow
def test_a_dry_run_counts_base_and_novel_categories_and_clips(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.toml"
    levels = "\n".join(
        f"{kind} = {[category(name) for name in NAMES if kind in name]}" for kind in KINDS
    )
    path.write_text(
        'extends = "smoke"\nname = "mine"\nsources = ["categories", "captions-full"]\n'
        f'seeds = [0, 1]\n[data]\nroot = "{source}"\ndraw = 10\n[data.levels.kind]\n{levels}\n'
        '[data.hold_out]\nlevel = "kind"\nsiblings = 2\ngroups = 1\n'
        '[[targets]]\nname = "novel"\nnovel = true\n[transfer]\nshots = [1]\n'
        '[primary]\ntarget = "novel"\nshots = 1\nversus = "captions-full"\n'
    )
    main(["study", str(path), "--dry-run"])
    said = capsys.readouterr().out
    for seed in (0, 1):
        found = re.search(
            rf"seed {seed}: (\d) base categories, 10 training and (\d+) validation clips; (\d) "
            r"novel \(2 siblings, (\d) of whole groups\), (\d+) support and (\d+) scored clips",
            said,
        )
        assert found is not None
        base, validation, novel, of_groups, support, scored = map(int, found.groups())
        assert (base + novel, novel) == (9, 2 + of_groups)
        assert (validation, support, scored) == (2 * base, 4 * novel, 2 * novel)
    assert "clips: source 54;" in said  # the target's are the source's own


def test_a_run_goes_on_where_its_list_has_moved(source: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    path = held_list(tmp_path, "hold 0", "hold 1")
    claim(folder, study_of(source, NOVEL, changes=(f"data.hold_out={{few_shot='{path}'}}",)))
    (folder.root / "checkpoints").mkdir()  # something was learned: other settings are refused
    moved = shutil.copy(path, tmp_path / "moved.txt")
    claim(folder, study_of(source, NOVEL, changes=(f"data.hold_out={{few_shot='{moved}'}}",)))
