from __future__ import annotations

from pathlib import Path

import pytest
import torch

from taskgrain.config.load import load_study, study_to_toml
from taskgrain.config.settings import Study
from taskgrain.data.opening import read_manifest
from taskgrain.errors import ConfigError
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.study.folder import RunFolder
from taskgrain.study.gather import compared_pairs, nested_ladder
from taskgrain.study.inputs import Inputs
from taskgrain.study.learning import task_of
from taskgrain.study.networks import new_model, weights_seed
from tests.making import PULL, PUSH, row, write_annotations

COARSE = '{name="coarse", classify="half"}'
FINE = '{name="fine", classify="category"}'
TWIN = '{name="again", twin_of="fine"}'
PRIMARY = 'primary={source="fine", versus="coarse", target="kitchenware"}'


def study_of(*sources: str, primary: str = PRIMARY) -> Study:
    return load_study("smoke", [f"sources=[{', '.join(sources)}]", primary])


def test_a_twin_has_the_settings_of_the_other_and_survives_being_written(tmp_path: Path) -> None:
    joint = '{name="fine", classify="category", caption="full", lambda=0.3}'
    study = study_of(COARSE, joint, TWIN)
    twin, own = study.sources[2], study.sources[1]
    assert (twin.classify, twin.caption, twin.classification_weight) == ("category", "full", 0.3)
    assert twin.model_copy(update={"name": "fine", "twin_of": None}) == own
    path = tmp_path / "study.toml"
    path.write_text(study_to_toml(study), encoding="utf-8")
    assert load_study(str(path)) == study


def test_a_packaged_source_may_have_a_twin() -> None:
    study = study_of(
        '"action-groups"',
        '"categories"',
        '{name="again", twin_of="categories"}',
        primary='primary={source="categories", versus="action-groups", target="kitchenware"}',
    )
    assert study.sources[2].classify == "category"


@pytest.mark.parametrize(
    ("sources", "problem"),
    [
        ((TWIN,), "twin_of is 'fine'; this study has"),
        (
            (FINE, '{name="again", twin_of="fine", caption="full", lambda=0.5}'),
            "settings of its own",
        ),
        ((FINE, TWIN, '{name="third", twin_of="again"}'), "is a twin of 'again', itself a twin"),
        (('{name="fine", classify="category", warm_start="coarse"}', TWIN), "are not drawn"),
        (
            ('{name="fine", classify="category", twin_of="fine"}',),
            "is a twin of 'fine', itself a twin",
        ),
    ],
)
def test_what_is_no_twin_is_refused(sources: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        study_of(COARSE, *sources)


@pytest.mark.parametrize(
    "primary",
    [
        'primary={source="again", versus="coarse", target="kitchenware"}',
        'primary={source="fine", versus="again", target="kitchenware"}',
    ],
)
def test_a_twin_enters_no_claim(primary: str) -> None:
    with pytest.raises(ConfigError, match="enter no claim; name the other"):
        study_of(COARSE, FINE, TWIN, primary=primary)


def test_a_twin_is_compared_with_the_other_alone() -> None:
    study = study_of(TWIN, COARSE, FINE, '{name="other", twin_of="coarse"}')
    assert compared_pairs(study) == [("fine", "coarse"), ("again", "fine"), ("other", "coarse")]


def test_a_twin_differs_in_its_first_weights_and_in_nothing_else(tmp_path: Path) -> None:
    write_annotations(tmp_path, [row("1", PUSH, "a"), row("2", PULL, "b")], [row("3", PUSH, "c")])
    manifest = read_manifest(tmp_path)
    joint = '{name="fine", classify="category", caption="full", lambda=0.3}'
    study = study_of(COARSE, joint, TWIN, '{name="third", twin_of="fine"}')
    inputs = Inputs(study, RunFolder(tmp_path), {}, None, "cpu", "fp32")
    models = {
        name: new_model(
            inputs, task_of(inputs, name, manifest, seed=seed), encoder_of=name, seed=seed
        )
        for name in ("fine", "again", "third")
        for seed in [7]
    }
    own, again, third = (
        torch.cat(
            [each.flatten() for each in model.state_dict().values() if each.is_floating_point()]
        )
        for model, _ in models.values()
    )
    assert own.shape == again.shape
    assert not torch.equal(own, again)
    assert not torch.equal(again, third)
    assert {description.seed for _, description in models.values()} == {7}
    for role in ("encoder", "head", "decoder"):
        ours, theirs = (getattr(models[name][0], role).state_dict() for name in ("fine", "again"))
        assert any(not torch.equal(ours[key], theirs[key]) for key in ours)
    assert (
        task_of(inputs, "again", manifest, seed=7).vocabulary
        == task_of(inputs, "fine", manifest, seed=7).vocabulary
    )
    assert weights_seed(inputs, "fine", 7) == weights_seed(inputs, None, 7) == 7
    assert weights_seed(inputs, "again", 7) != weights_seed(inputs, "again", 8)


def test_a_twin_has_no_place_on_the_ladder() -> None:
    taxonomy = Taxonomy(("a", "b", "c", "d"), {"half": ("x", "x", "y", "y")})
    assert nested_ladder(study_of(TWIN, COARSE, FINE), taxonomy) == ["coarse", "fine"]
