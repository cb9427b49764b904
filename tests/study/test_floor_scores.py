from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from taskgrain.config.load import load_study
from taskgrain.results import ResultRow, read_rows
from taskgrain.study.datasets import lay_out, prepare_shard, shards
from taskgrain.study.floor_scores import floors_name, score_floors
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from tests.making import find, moving_square, row, write_annotations, write_video

MOVES, STANDS = "Pushing [something] so that it slightly moves", "Holding [something]"
TRAINING = (MOVES,) * 8 + (STANDS,) * 12
VALIDATION = (MOVES,) * 6 + (STANDS,) * 4
SOURCES = """[{name="other", classify="action-group"}, {name="categories", classify="category"},
    {name="joint", classify="category", caption="full", lambda=0.5}]"""
BROKEN = 29  # the last validation clip: it stands


class Calm:
    def report(self, cost: float) -> None: ...

    def advance(self, cost: float) -> None: ...

    def stopping(self) -> bool:
        return False


def laid_out(root: Path, sources: str, rows: list[object]) -> Inputs:
    """Lay out a study of 30 clips: a square that moves, or one that stands; one is broken."""
    data = write_annotations(root / "data", rows[:20], rows[20:])
    for number, template in enumerate((*TRAINING, *VALIDATION)):
        frames = moving_square(10)
        shown = frames if template == MOVES else frames[:1].repeat(10, axis=0)
        bright = np.minimum(shown.astype(np.int64) + number, 255).astype(np.uint8)
        write_video(data / "videos" / f"{number}.webm", bright)
    (data / "videos" / f"{BROKEN}.webm").write_bytes(b"no video")
    (root / "study.toml").write_text(
        f'extends = "smoke"\nname = "tiny"\nsources = {sources}\n[data]\nroot = "{data}"\n'
        f'[[targets]]\nname = "mine"\nroot = "{data}"\n[primary]\ntarget = "mine"\nshots = 1\n'
        'versus = "other"\n[transfer]\nshots = [1]\n'
    )
    study = load_study(root / "study.toml")
    folder = RunFolder(root / "run")
    inputs = Inputs(study, folder, lay_out(study, folder), None, "cpu", "fp32")
    source = inputs.datasets["source"]
    for number, records, plans in shards(source):
        prepare_shard(Calm(), source, number, records, plans)
    return inputs


def floors_of(inputs: Inputs) -> tuple[ResultRow, ...]:
    score_floors(Calm(), inputs, None)
    return read_rows(inputs.folder.rows(floors_name(None)))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultRow, ...]:
    templates = (*TRAINING, *VALIDATION)
    clips: list[object] = [row(str(n), each) for n, each in enumerate(templates)]
    root = tmp_path_factory.mktemp("floors")
    return floors_of(laid_out(root, SOURCES, clips))


def test_each_score_that_a_source_is_judged_by_has_three_floors(
    rows: tuple[ResultRow, ...],
) -> None:
    judged = dict.fromkeys((row.source, row.metric) for row in rows)
    assert list(judged) == [
        ("other", "top-1"),
        ("categories", "top-1"),
        ("joint", "top-1"),
        ("joint", "template-accuracy"),
    ]
    for source, metric in judged:
        found = [row for row in rows if (row.source, row.metric) == (source, metric)]
        assert [row.control for row in found] == ["chance", "majority", "motion-energy"]
        assert {(row.n, row.failed, row.seed, row.target) for row in found} == {
            (10, 1, None, "source-validation")
        }


def test_the_floors_are_counted_with_the_broken_clip_as_wrong(rows: tuple[ResultRow, ...]) -> None:
    values = [
        find(rows, source="categories", control=name).value for name in ("chance", "majority")
    ]
    assert values == [0.5, 0.3]  # standing clips are the commonest in training, and one is broken
    moved = find(rows, source="categories", control="motion-energy")
    assert (moved.value, moved.chosen) == (0.9, "C=0.1")


def test_free_sentences_are_judged_by_exact_match(tmp_path: Path) -> None:
    def clip(number: int, caption: str) -> dict[str, object]:
        template = "Doing a thing" if number % 2 else "Doing another"
        return {"id": str(number), "label": caption, "template": template, "placeholders": []}

    captions = ["a cup moves"] * 3 + [f"a cup moves {n} times" for n in range(17)]
    captions += ["a cup moves"] * 2 + ["it stands still"] * 7 + ["a cup moves"]
    clips: list[object] = [clip(n, each) for n, each in enumerate(captions)]
    source = '[{name="other", caption="full"}, {name="categories", classify="category"}]'
    found = floors_of(laid_out(tmp_path, source, clips))
    own = [row for row in found if row.source == "other"]
    assert [(row.metric, row.control, row.value) for row in own] == [
        ("exact-match", "chance", 1 / 18),
        ("exact-match", "majority", 0.2),
    ]


def test_random_groups_have_floors_of_each_seed(tmp_path: Path) -> None:
    mixed = '{name="mixed", classify="action-group", regrouped=true}'
    sources = SOURCES.replace("[{", f"[{mixed}, {{", 1) + "\nseeds = [4, 5]"
    clips: list[object] = [row(str(n), each) for n, each in enumerate((*TRAINING, *VALIDATION))]
    found = floors_of(laid_out(tmp_path, sources, clips))
    for seed in (4, 5):
        own = [each for each in found if (each.source, each.seed) == ("mixed", seed)]
        assert [each.control for each in own] == ["chance", "majority", "motion-energy"]
        assert [each.value for each in own][:2] == [0.5, 0.3]  # the last of four that stand failed
    others = {each.seed for each in found if each.source != "mixed"}
    assert others == {None}
