from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.config.learning import Source
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.errors import ConfigError
from taskgrain.labels.taxonomy import taxonomy_of
from taskgrain.study.gather import nested_ladder
from taskgrain.study.sources import SourceTask, source_task
from taskgrain.tabletop.dataset import category_names
from tests.making import row, write_annotations

CATEGORIES = category_names("tabletop")
REGROUPED = '{name="mixed", classify="action-group", regrouped=true}'
PRIMARY = 'primary={source="categories", versus="action-groups", target="kitchenware"}'


def study_of(*sources: str) -> Study:
    return load_study("smoke", [f"sources=[{', '.join(sources)}]", PRIMARY])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    clips: list[object] = [row(f"{index}", name) for index, name in enumerate(CATEGORIES)]
    more: list[object] = [row(f"v{index}", name) for index, name in enumerate(CATEGORIES)]
    return read_manifest(write_annotations(tmp_path_factory.mktemp("data") / "clips", clips, more))


def task_of(manifest: Manifest, name: str, seed: int, *, regrouped: bool = True) -> SourceTask:
    settings = {"name": name, "classify": "action-group", "regrouped": regrouped}
    return source_task(Source.model_validate(settings), manifest, seed=seed)


def targets(task: SourceTask, manifest: Manifest) -> list[int]:
    return [example.label.target for example in task.examples(manifest.split(Split.TRAIN))]


def test_every_source_that_regroups_learns_the_same_groups_of_a_seed(manifest: Manifest) -> None:
    first, second = (task_of(manifest, name, 3) for name in ("one", "two"))
    assert targets(first, manifest) == targets(second, manifest)
    assert targets(first, manifest) != targets(task_of(manifest, "one", 4), manifest)


def test_its_labels_are_of_as_many_bits_as_the_groups_and_other_groups(manifest: Manifest) -> None:
    plain, mixed = (task_of(manifest, "one", 3, regrouped=each) for each in (False, True))
    training = manifest.split(Split.TRAIN)
    assert (plain.level, mixed.level) == ("action-group", "regrouped-action-group")
    assert plain.num_classes == mixed.num_classes
    assert plain.entropy_bits(training) == pytest.approx(mixed.entropy_bits(training))
    together = [
        {(a, b) for a, x in enumerate(each) for b, y in enumerate(each) if a < b and x == y}
        for each in (targets(plain, manifest), targets(mixed, manifest))
    ]
    assert len(together[0]) == len(together[1])
    assert len(together[0] & together[1]) < len(together[0]) / 2


def test_a_seed_means_nothing_to_sources_that_do_not_regroup(manifest: Manifest) -> None:
    first, second = (task_of(manifest, "one", seed, regrouped=False) for seed in (3, 4))
    assert first == second


@pytest.mark.parametrize("what", ['classify="category"', 'caption="full"'])
def test_there_have_to_be_groups_to_match(what: str) -> None:
    with pytest.raises(ConfigError, match="their number and sizes are matched"):
        study_of('"action-groups"', '"categories"', f'{{name="mixed", {what}, regrouped=true}}')


def test_random_groups_have_no_place_on_the_ladder() -> None:
    study = study_of(REGROUPED, '"action-groups"', '"categories"')
    assert nested_ladder(study, taxonomy_of(CATEGORIES)) == ["action-groups", "categories"]


def test_the_setting_survives_being_written(tmp_path: Path) -> None:
    from taskgrain.config.load import study_to_toml

    study = study_of(REGROUPED, '"action-groups"', '"categories"')
    path = tmp_path / "study.toml"
    path.write_text(study_to_toml(study), encoding="utf-8")
    assert load_study(str(path)).sources[0].regrouped
