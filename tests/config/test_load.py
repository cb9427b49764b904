from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.config.learning import LADDER
from taskgrain.config.load import differences, load_study, packaged_studies, study_to_toml
from taskgrain.errors import ConfigError


def test_every_packaged_study_loads_and_survives_being_written(tmp_path: Path) -> None:
    names = packaged_studies()
    assert {"quick", "smoke"} <= set(names)
    for name in names:
        study = load_study(name)
        assert study.name == name
        path = tmp_path / f"{name}.toml"
        path.write_text(study_to_toml(study), encoding="utf-8")
        assert load_study(str(path)) == study


def test_the_ladder_has_its_six_names() -> None:
    assert [source.name for source in LADDER] == [
        "action-groups",
        "categories",
        "captions-simplified",
        "captions-full",
        "joint-simplified",
        "joint-full",
    ]


def test_a_study_that_extends_another_states_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "quick"\nname = "mine"\n[train]\nepochs = 3\n')
    study = load_study(str(path))
    changed = differences(load_study("quick"), study)
    assert changed == ["name: quick before, mine now", "train.epochs: 10 before, 3 now"]


@pytest.mark.parametrize(
    ("written", "siblings"),
    [
        ("", 8),  # the parent's targets, novel among them
        ('[[targets]]\nname = "mine"\nroot = "clips"\n', None),
        ('[[targets]]\nname = "mine"\nroot = "clips"\n[data.hold_out]\nsiblings = 3\n', 3),
        ("[data.hold_out]\nsiblings = 3\n", 3),
    ],
)
def test_a_study_that_tests_no_held_out_category_holds_none_out(
    tmp_path: Path, written: str, siblings: int | None
) -> None:
    path = tmp_path / "mine.toml"
    head = 'extends = "quick"\n'
    if "mine" in written:
        head += '[primary]\ntarget = "mine"\nsource = "categories"\nversus = "action-groups"\n'
    path.write_text(head + written, encoding="utf-8")
    held = load_study(str(path)).data.hold_out
    assert (None if held is None else held.siblings) == siblings
    assert held is None or held.groups == (2 if siblings == 8 else 0)  # its own takes the whole


def test_a_study_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"')
    (tmp_path / "b.toml").write_text('extends = "a.toml"')
    with pytest.raises(ConfigError, match="circle"):
        load_study(str(tmp_path / "a.toml"))


def test_a_folder_in_a_study_file_is_meant_from_where_the_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "quick"\n[data]\nroot = "clips"\n')
    study = load_study(str(path))
    assert study.data.root == tmp_path / "clips"
    assert study.data.world is None  # a folder of one's own takes the drawn world's place
    path.write_text(study_to_toml(study))
    assert load_study(str(path)) == study


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epoch=3", r"train\.epoch: no such setting; did you mean 'epochs'"),
        (
            "train.weight_decay=inf",
            r"train\.weight_decay: found Infinity; expected a finite number",
        ),
        ("train.learning_rate=nan", r"learning_rate: found NaN; expected a finite number$"),
        ("train.max_gradient_norm=inf", r"max_gradient_norm: found Infinity; expected a finite"),
        ("train.epochs=0", r"train\.epochs: found 0; expected at least 1"),
        ("train.epochs=1.5", r"train\.epochs: found 1\.5; expected a whole number"),
        ("data.train=many", r'data\.train: found "many"; expected a whole number'),
        ("train.schedule=cosin", r"'plateau' or 'constant'; did you mean 'cosine'\?"),
        ("seeds=[]", r"seeds: found \[\]; expected at least 1 in the list"),
        ("seeds=3", r"seeds: found 3; expected a list in brackets"),
        ("transfer.shots=[0]", r"^quick: transfer\.shots\[0\]: found 0; .* 1 or 'all'$"),
        ('sources=["categorie"]', "did you mean 'categories'"),
        ("targets=[{name='a/b'}]", r"targets\[0\]\.name"),
        ("primary.source=foo", "primary.source is 'foo'; this study has action-groups"),
        ("primary.shots=7", "primary.shots is 7; this study has 1, 5"),
        ("video.height=65", "does not fit into stored frames"),
        ("seeds=[1, 1]", "seeds names 1 twice"),
        ("transfer.shots=[5, 5]", "transfer.shots names 5 twice"),
        ("primary.versus=categories", "with itself"),
        ('transfer.batch_norm=["target"]', 'batch_norm needs "source"'),
        ('targets=[{name="source"}]', "cannot be called 'source'"),
        ("sources=[{name='x'}]", 'needs "classify", "caption" or both'),
        ("sources=[{name='x', caption='full', lambda=0.5}]", '"lambda" belongs to'),
        ("train", "expected key=value"),
        ("name.x=1", "name is not a table"),
    ],
)
def test_a_mistaken_setting_is_named_with_what_was_expected(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_study("quick", [override])


def test_overrides_are_read_as_toml_and_bare_words_as_strings() -> None:
    study = load_study("quick", ["seeds=[0,1,2]", "name=mine", 'transfer.shots=[5, "all"]'])
    assert study.seeds == (0, 1, 2)
    assert study.name == "mine"
    assert study.transfer.shots == (5, "all")


def test_an_unknown_study_names_its_neighbour() -> None:
    with pytest.raises(ConfigError, match=r"no study 'quik'.*did you mean 'quick'"):
        load_study("quik")


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("name = [")
    with pytest.raises(ConfigError, match="not TOML"):
        load_study(str(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_study(str(path))


def test_folders_of_a_packaged_study_are_meant_from_where_the_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "studies" / "mine.toml"
    mine.parent.mkdir()
    mine.write_text('extends = "paper-ssv2"\nname = "mine"\n', encoding="utf-8")
    for study in (load_study("paper-ssv2"), load_study(str(mine))):
        assert study.data.root == tmp_path / "something-something-v2"


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("{network='torchvision', model='resnet18', recurrent=true}", "an LSTM that was never"),
        ("{temporal_widths=[]}", "learns nothing, and its encoder was never trained"),
        ("{model='resnet18'}", '"model" belongs to a pretrained network'),
        ("{network='torchvision'}", 'needs "model"'),
        ("{network='torchvision', model='vgg16', dropout=0.5}", '"dropout" belongs to the two-'),
    ],
)
def test_an_encoder_that_could_not_serve_is_refused(network: str, said: str) -> None:
    frozen = "sources=['action-groups', 'categories', {name='frozen', encoder='other'}]"
    with pytest.raises(ConfigError, match=said):
        load_study("quick", [frozen, f"encoders={{other={network}}}"])


TASKS = """
[[targets]]
name = "tasks"
world = "tabletop"
tasks = 4
[primary]
target = "tasks"
"""


def test_tasks_that_could_not_be_drawn_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    start = 'extends = "quick"\nname = "mine"\n'
    path.write_text(start + "alignment = 1000\n" + TASKS)
    assert load_study(str(path)).targets[0].tasks == 4
    path.write_text(start + TASKS)
    with pytest.raises(ConfigError, match="set alignment"):
        load_study(str(path))
    path.write_text(start + "alignment = 1000\n" + TASKS.replace('"tabletop"', '"kitchenware"'))
    with pytest.raises(ConfigError, match='declared of world = "tabletop"'):
        load_study(str(path))
    frozen = (
        'sources = ["categories", {name = "published", encoder = "published"}]\n'
        "alignment = 1000\n"
        '[encoders.published]\nnetwork = "torchvision"\nmodel = "resnet18"\n'
    )
    path.write_text(start + frozen + TASKS + 'versus = "published"\n')
    with pytest.raises(ConfigError, match="'published' learns nothing"):
        load_study(str(path))
