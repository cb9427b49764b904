"""Targets whose clips are not new are refused before a clip is drawn or decoded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.errors import ConfigError
from taskgrain.study.datasets import lay_out
from taskgrain.study.folder import RunFolder
from taskgrain.study.leaks import refuse_leaks
from taskgrain.tabletop.dataset import WorldSpec, plan, write_annotations, write_clip
from taskgrain.tools.pack.packing import PackSettings, pack_dataset
from tests.making import PULL, PUSH, moving_square, row, write_video
from tests.making import write_annotations as write_rows

THINGS = ("a red cup", "a pen", "two coins", "the blue box", "a key", "my phone", "a spoon")


def clip_row(clip_id: str, number: int) -> dict[str, object]:
    return row(clip_id, (PUSH, PULL)[number % 2], THINGS[number % len(THINGS)])


def dataset(root: Path, ids: Iterable[str], content: Callable[[int], bytes]) -> Path:
    """Write a dataset of which half is for training; its videos are bytes."""
    ids = list(ids)
    rows: list[object] = [clip_row(clip_id, number) for number, clip_id in enumerate(ids)]
    write_rows(root, rows[: len(rows) // 2], rows[len(rows) // 2 :])
    (root / "videos").mkdir()
    for number, clip_id in enumerate(ids):
        (root / "videos" / f"{clip_id}.webm").write_bytes(content(number))
    return root


GIF = (  # of one pixel; what follows it is passed over
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00"
    b"\x02\x02D\x01\x00;"
)


def own(name: str) -> Callable[[int], bytes]:
    """Make videos of one size, no two alike."""
    return lambda number: GIF + f"{name} {number:04d}".encode()


def study(source: Path | None, target: Path, *changes: str) -> Study:
    root = () if source is None else (f"data.root='{source}'",)
    mine = f"targets=[{{name='mine', root='{target}'}}]"
    small = ("primary.target=mine", "primary.shots=1", "transfer.shots=[1]", "data.train=40")
    return load_study("smoke", [*root, mine, *small, *changes])


def refuse(settings: Study, folder: Path) -> None:
    refuse_leaks(settings, lay_out(settings, RunFolder(folder)))


def names(*parts: str) -> list[str]:
    return [f"{part}{number}" for part in parts for number in range(10)]


def test_a_target_of_other_clips_is_taken(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source", names("s"), own("s"))
    target = dataset(tmp_path / "target", names("t"), own("t"))
    refuse(study(source, target), tmp_path / "run")


def test_the_folder_that_is_learned_from_is_no_target(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source", names("s"), own("s"))
    (tmp_path / "link").symlink_to(source)
    said = r"target mine: 5 of its 10 clips are of data\.root, .*source, that the encoders "
    said += r"learn from, so they would not be new: .*s0\.webm among them; give data\.root a folder"
    for target in (source, tmp_path / "link"):
        with pytest.raises(ConfigError, match=said):
            refuse(study(source, target), tmp_path / "run")


def placed(how: str, file: Path, copy: Path) -> None:
    copy.unlink()
    if how == "copy":
        shutil.copy(file, copy)
    elif how == "hard link":
        copy.hardlink_to(file)
    else:
        copy.symlink_to(file)


@pytest.mark.parametrize("split", ["support", "scored"])
@pytest.mark.parametrize("how", ["copy", "hard link", "link"])
def test_a_file_of_the_source_under_another_name_is_refused(
    tmp_path: Path, how: str, split: str
) -> None:
    source = dataset(tmp_path / "source", names("s"), own("s"))
    target = dataset(tmp_path / "target", names("t"), own("t"))
    number = 3 if split == "support" else 7
    placed(how, source / "videos" / "s2.webm", target / "videos" / f"t{number}.webm")
    what = "of equal content" if how == "copy" else "one file"
    said = rf"mine: 1 of its 10 clips .*t{number}\.webm and .*s2\.webm are {what}; "
    line = '{"clip": "s2", "state": "excluded", "problem": "used by another task"}'
    said += re.escape(f"exclude them by lines of {source}/ledger.jsonl such as {line}")
    with pytest.raises(ConfigError, match=said):
        refuse(study(source, target), tmp_path / "run")


def test_what_the_ledger_excludes_is_learned_from_no_more(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source", names("s"), own("s"))
    target = dataset(tmp_path / "target", names("t"), own("t"))
    placed("copy", source / "videos" / "s2.webm", target / "videos" / "t3.webm")
    line = '{"clip": "s2", "state": "excluded", "problem": "in the target"}\n'
    (source / "ledger.jsonl").write_text(line)
    refuse(study(source, target), tmp_path / "run")


def test_validation_clips_of_the_source_count_where_they_choose_the_weights(
    tmp_path: Path,
) -> None:
    source = dataset(tmp_path / "source", names("s"), own("s"))
    target = dataset(tmp_path / "target", names("t"), own("t"))
    placed("copy", source / "videos" / "s8.webm", target / "videos" / "t3.webm")
    refuse(study(source, target), tmp_path / "run")
    for change in (
        "transfer.checkpoint=best",
        "train.early_stopping=2",
        "train.schedule=plateau",
    ):
        with pytest.raises(ConfigError, match="that the encoders learn from or are chosen by"):
            refuse(study(source, target, change), tmp_path / "run")


def test_where_nothing_is_learned_the_same_clips_may_be_read(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source", names("s"), own("s"))
    frozen = (
        "encoders={a={network='torchvision', model='resnet18', weights='random'},"
        "b={network='torchvision', model='r3d_18', weights='random'}}",
        "sources=[{name='a', encoder='a'}, {name='b', encoder='b'}]",
        "primary.source=a",
        "primary.versus=b",
    )
    refuse(study(source, source, *frozen), tmp_path / "run")


def test_a_clip_in_support_and_among_the_scored_is_refused(tmp_path: Path) -> None:
    target = dataset(tmp_path / "target", names("t"), own("t"))
    placed("copy", target / "videos" / "t1.webm", target / "videos" / "t2.webm")  # both support
    refuse(study(None, target), tmp_path / "run")
    placed("copy", target / "videos" / "t1.webm", target / "videos" / "t8.webm")
    with pytest.raises(ConfigError, match=r"mine: 1 scored clip is in its support pool too, .*t8"):
        refuse(study(None, target), tmp_path / "run")


def test_equal_files_that_are_no_videos_are_broken_clips_as_others_are(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source", names("s"), lambda _: b"404: not found")
    target = dataset(tmp_path / "target", names("t"), lambda _: b"404: not found")
    refuse(study(source, target), tmp_path / "run")


def filmed(root: Path, ids: list[str], lengths: list[int], *, rate: int, suffix: str) -> Path:
    """Write a dataset of real videos of so many twelfths of a second."""
    rows: list[object] = [clip_row(clip_id, number) for number, clip_id in enumerate(ids)]
    write_rows(root, rows, [clip_row("v0", 0), clip_row("v1", 1)])
    for clip_id, length in zip(ids, lengths, strict=True):
        frames = moving_square(length * rate // 12, size=16)
        write_video(root / "videos" / f"{clip_id}{suffix}", frames, rate=rate)
    return root


LENGTHS = [20, 31, 27, 16, 23, 38, 30, 18]
OTHERS = [25, 17, 36, 22, 40, 19, 28, 33]


def test_copies_that_were_encoded_anew_are_known_by_ids_and_lengths(tmp_path: Path) -> None:
    ids = [str(number) for number in range(8)]
    source = filmed(tmp_path / "source", ids, LENGTHS, rate=12, suffix=".webm")
    target = filmed(tmp_path / "target", ids, LENGTHS, rate=24, suffix=".mp4")
    said = r"8 of its 10 clips .*0\.mp4 and .*0\.webm are of equal ids, words and lengths"
    with pytest.raises(ConfigError, match=said):
        refuse(study(source, target), tmp_path / "run")
    text = (target / "train.json").read_text()
    (target / "train.json").write_text(text.replace("ing [something] from left", "ing [something]"))
    with pytest.raises(ConfigError, match="are of equal ids and lengths"):
        refuse(study(source, target), tmp_path / "run")


@pytest.mark.parametrize("lengths", [OTHERS, [24] * 8, [24, 36] * 4])
def test_other_clips_of_the_same_numbers_and_words_are_taken(
    tmp_path: Path, lengths: list[int]
) -> None:
    ids = [str(number) for number in range(8)]
    before = LENGTHS if lengths == OTHERS else lengths  # of one length, or one for each category
    source = filmed(tmp_path / "source", ids, before, rate=12, suffix=".webm")
    target = filmed(tmp_path / "target", ids, lengths, rate=24, suffix=".mp4")
    refuse(study(source, target), tmp_path / "run")


@pytest.mark.slow
def test_packed_clips_are_compared_where_the_videos_are_gone(tmp_path: Path) -> None:
    ids = [f"{number}" for number in range(8)]
    roots = [
        filmed(tmp_path / "source", [f"s{each}" for each in ids], LENGTHS, rate=12, suffix=".webm"),
        filmed(tmp_path / "target", [f"t{each}" for each in ids], OTHERS, rate=12, suffix=".webm"),
    ]
    placed("copy", roots[0] / "videos" / "s2.webm", roots[1] / "videos" / "t5.webm")
    stores = [tmp_path / "one", tmp_path / "two"]
    for root, store in zip(roots, stores, strict=True):
        pack_dataset(root, store, PackSettings(40, 40), workers=1, quiet=True)
        shutil.rmtree(root / "videos")
    packed = (
        f"data.store='{stores[0]}'",
        f"targets=[{{name='mine', root='{roots[1]}', store='{stores[1]}'}}]",
    )
    with pytest.raises(ConfigError, match=r"1 of its 10 clips .*t5\S+ and \S+s2\S+ are of equal"):
        refuse(study(roots[0], roots[1], *packed), tmp_path / "run")


def drawn(root: Path, seed: int) -> Path:
    spec = WorldSpec(world="tabletop", seed=seed, train=40, validation=8)
    write_annotations(root, plan(spec))
    return root


def test_a_copy_of_drawn_clips_is_refused_before_any_is_drawn(tmp_path: Path) -> None:
    settings = study(None, drawn(tmp_path / "copy", seed=0))
    with pytest.raises(ConfigError, match=r"are of equal ids and words; choose another data\.seed"):
        refuse(settings, tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.webm"))
    refuse(study(None, drawn(tmp_path / "other", seed=1)), tmp_path / "run")


@pytest.mark.slow
def test_a_renamed_copy_of_a_drawn_clip_is_refused_before_anything_is_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = WorldSpec(world="tabletop", seed=0, train=40, validation=8)
    write_clip(tmp_path / "drawn", plan(spec)[5])
    (file,) = (tmp_path / "drawn").rglob("*.webm")
    target = dataset(tmp_path / "target", names("t"), own("t"))
    for number in range(10):
        write_video(target / "videos" / f"t{number}.webm", moving_square(12 + number))
    placed("copy", file, target / "videos" / "t3.webm")
    (tmp_path / "mine.toml").write_text(
        'extends = "smoke"\nname = "mine"\n[data]\ntrain = 40\nvalidation = 8\n'
        '[[targets]]\nname = "mine"\nroot = "target"\n'
        '[primary]\ntarget = "mine"\nshots = 1\n[transfer]\nshots = [1]\n'
    )
    out = tmp_path / "run"
    with pytest.raises(SystemExit):
        main(["study", str(tmp_path / "mine.toml"), "--out", str(out), "--quiet"])
    assert re.search(r"t3\.webm and .*are of equal content", capsys.readouterr().err)
    assert not (out / "checkpoints").exists()


def test_a_dry_run_refuses_what_the_study_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = dataset(tmp_path / "source", names("s"), own("s"))
    target = f"targets=[{{name='mine', root='{source}'}}]"
    command = ["study", "smoke", "--set", f"data.root='{source}'", "--set", target]
    command += ["--set", "primary.target=mine"]
    with pytest.raises(SystemExit):
        main([*command, "--dry-run"])
    assert "5 of its 10 clips are of data.root" in capsys.readouterr().err


def test_many_equal_clips_are_not_all_read(tmp_path: Path) -> None:
    ids = [f"s{number}" for number in range(300)]
    source = dataset(tmp_path / "source", ids, own("x"))
    target = dataset(tmp_path / "target", [f"t{number}" for number in range(300)], own("x"))
    with pytest.raises(ConfigError, match="100 or more of its 300 clips"):
        refuse(study(source, target), tmp_path / "run")
