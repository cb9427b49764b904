from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from torch import Tensor, nn

from taskgrain.config.load import load_study
from taskgrain.errors import ConfigError, ResultError
from taskgrain.jobs.executor import Cell
from taskgrain.study.datasets import lay_out
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import EncoderFactory, Inputs
from taskgrain.study.plan import plan_cells
from tests.making import PULL, PUSH, row, write_annotations


def planned(
    root: Path,
    *changes: str,
    templates: tuple[str, ...] = (PUSH, PULL),
    encoder: EncoderFactory | None = None,
) -> list[Cell]:
    rows = [row(str(number), templates[number % len(templates)]) for number in range(12)]
    data = write_annotations(root / "data", list(rows[:8]), list(rows[8:]))
    target = f"targets=[{{name='kitchenware', root='{data}'}}]"
    shots = ("transfer.shots=[1]", "primary.shots=1")
    study = load_study("smoke", [f"data.root='{data}'", target, *shots, *changes])
    folder = RunFolder(root / "run")
    return plan_cells(Inputs(study, folder, lay_out(study, folder), encoder, "cpu", "fp32"))


def named(cells: list[Cell], name: str) -> Cell:
    return next(cell for cell in cells if cell.name == name)


def names(cells: list[Cell], step: str) -> list[str]:
    return [cell.name for cell in cells if cell.name.split()[0] == step]


def test_every_cell_needs_only_what_stands_before_it_and_ends_by_its_own_mark(
    tmp_path: Path,
) -> None:
    controls = 'transfer.controls=["random-labels", "random-encoder", "shuffled-time", "pixels"]'
    norms = 'transfer.batch_norm=["source", "target"]'
    cells = planned(tmp_path, controls, norms, "seeds=[0, 1]", "transfer.episodes.number=5")
    seen: set[str] = set()
    for cell in cells:
        assert set(cell.needs) <= seen, cell.name
        seen.add(cell.name)
    assert len(seen) == len(cells) > 80
    assert len({cell.done for cell in cells}) == len(cells)


def test_labels_at_random_are_learned_by_cells_of_their_own(tmp_path: Path) -> None:
    cells = planned(tmp_path, 'transfer.controls=["random-labels"]', "seeds=[0, 3]")
    assert names(cells, "train")[-2:] == [
        "train random-labels seed 0",
        "train random-labels seed 3",
    ]
    features = named(cells, "features random-labels-seed-3")
    assert features.needs == ("check", "train random-labels seed 3")
    output = named(cells, "train random-labels seed 3").output
    assert output.parts[-4:-1] == ("checkpoints", "random-labels-seed-3", "last")
    assert "score random-labels seed 0" not in names(cells, "score")


def test_what_learns_the_target_from_scratch_has_a_cell_a_target_and_seed(tmp_path: Path) -> None:
    changes = ("seeds=[0, 3]", "transfer.from_scratch={draws=3, passes=1900}")
    plain = planned(tmp_path / "plain", *changes)
    assert not names(plain, "scratch")
    cells = planned(tmp_path, 'transfer.controls=["from-scratch"]', *changes)
    assert names(cells, "scratch") == ["scratch kitchenware seed 0", "scratch kitchenware seed 3"]
    cell = named(cells, "scratch kitchenware seed 3")
    assert cell.needs == ("check",)
    assert cell.output.name == "from-scratch-seed-3.kitchenware.npz"
    assert cell.cost == pytest.approx(3 * 1900 / 190)  # three draws at one shot
    assert cell.name in named(cells, "results").needs


def test_labels_of_one_category_cannot_be_at_random(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="random-labels cannot be learned"):
        planned(tmp_path, 'transfer.controls=["random-labels"]', templates=(PUSH,))


@pytest.mark.slow
def test_a_frozen_source_learns_nothing_and_is_tested_like_the_others(tmp_path: Path) -> None:
    cells = planned(
        tmp_path,
        'encoders={image={network="torchvision", model="resnet18"}}',
        'sources=["categories", {name="image", encoder="image"}]',
        *('primary.versus="image"', "seeds=[0, 1]", "transfer.controls=[]"),
    )
    for step in ("train", "score"):
        assert names(cells, step) == [f"{step} categories seed 0", f"{step} categories seed 1"]
    assert names(cells, "features")[2:] == ["features image-frozen"]
    assert named(cells, "features image-frozen").needs == ("check",)
    for seed in (0, 1):
        evaluate = named(cells, f"evaluate image-seed-{seed} on kitchenware")
        assert evaluate.needs == ("features image-frozen",)


def test_a_warm_start_waits_for_the_source_that_it_begins_with(tmp_path: Path) -> None:
    cells = planned(
        tmp_path,
        'sources=["categories", {name="warm", classify="category", warm_start="categories"}]',
        *('primary.versus="warm"', "seeds=[0, 1]"),
    )
    needs = named(cells, "train warm seed 1").needs
    assert needs == ("check", "train categories seed 1")
    assert named(cells, "train categories seed 1").needs == ("check",)


def test_the_checkpoint_that_is_tested_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    last = planned(tmp_path)
    best = planned(tmp_path / "other", "transfer.checkpoint=best")
    outputs = [named(cells, "train categories seed 0").output for cells in (last, best)]
    assert [output.parent.name for output in outputs] == ["last", "best"]


def test_episodes_are_asked_where_there_are_some(tmp_path: Path) -> None:
    assert not names(planned(tmp_path), "episodes")
    cells = planned(tmp_path / "other", "transfer.episodes.number=5")
    evaluated = [cell.name.removeprefix("evaluate ") for cell in cells if "evaluate" in cell.name]
    asked = [cell.removeprefix("episodes ") for cell in names(cells, "episodes")]
    assert evaluated == asked
    assert len(asked) > 5


def test_fewer_passes_are_trainings_of_their_own_that_are_scored_and_not_tested(
    tmp_path: Path,
) -> None:
    cells = planned(tmp_path, "train.passes=[8, 16, 32]")
    assert names(cells, "train")[2:5] == [
        "train joint-full seed 0",
        "train action-groups seed 0 passes 8",
        "train categories seed 0 passes 8",
    ]
    fewer, whole = (named(cells, f"score action-groups seed 0{each}") for each in (" passes 8", ""))
    assert fewer.needs == ("train action-groups seed 0 passes 8",)
    assert fewer.output != whole.output
    trainings = [cell for cell in cells if cell.name.startswith("train ")]
    assert len({cell.output for cell in trainings}) == len(trainings) == 9
    needed = {need for cell in cells if cell.name != "results" for need in cell.needs}
    assert {name for name in needed if "passes" in name} == {
        cell.name for cell in trainings if "passes" in cell.name
    }
    assert not any("passes" in need for need in named(cells, "examples").needs)
    assert trainings[3].cost == pytest.approx(trainings[0].cost / 4)


class Alone:
    """A worker that nobody watches."""

    def report(self, cost: float) -> None: ...

    def advance(self, cost: float) -> None: ...

    def stopping(self) -> bool:
        return False


class Counted(nn.Module):
    """A user's encoder that counts how often it is built."""

    width = 3
    built = 0

    def __init__(self, seed: int) -> None:
        super().__init__()
        type(self).built += 1
        self.norm = nn.BatchNorm1d(3)

    def forward(self, video: Tensor) -> Tensor:
        return video.float().mean((2, 3))


def test_the_cell_that_writes_the_rows_is_told_whom_to_read_and_builds_no_encoder(
    tmp_path: Path,
) -> None:
    norms = 'transfer.batch_norm=["source", "target"]'
    results = planned(tmp_path, norms, "transfer.controls=[]", encoder=Counted)[-1]
    assert isinstance(results.work, partial)
    assert [key.name for key in results.work.keywords["keys"]][:2] == [
        "action-groups-seed-0",
        "action-groups-seed-0-target-norm",
    ]
    built = Counted.built
    with pytest.raises(ResultError, match="no such file"):  # nothing was scored yet
        results.work(Alone())
    assert Counted.built == built > 0
