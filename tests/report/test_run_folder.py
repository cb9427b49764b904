from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from taskgrain.errors import ResultError
from taskgrain.models.weights import save_weights
from taskgrain.report.html import write_report
from taskgrain.report.run_folder import (
    EBML_MAGIC,
    HeldOut,
    encoder_parameters,
    held_out_words,
    read_run_folder,
    seal_words,
)
from tests.report.conftest import STUDY, RunMaker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "results.jsonl").write_text("")
    (tmp_path / "examples").mkdir()
    return tmp_path


def write_example(folder: Path, file: str) -> None:
    entry = {"clip": "c", "file": file, "dataset": "source", "category": "x", "caption": ""}
    text = json.dumps([{**entry, "predictions": []}])
    (folder / "examples" / "examples.json").write_text(text)


@pytest.mark.parametrize("name", ["../secret.webm", "/etc/passwd", "gone.webm", "a\0b", "."])
def test_an_example_file_cannot_lead_out_of_the_folder(folder: Path, name: str) -> None:
    (folder / "secret.webm").write_bytes(EBML_MAGIC)
    write_example(folder, name)
    (example,) = read_run_folder(folder).examples
    assert example.video is None


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    (folder / "secret.webm").write_bytes(EBML_MAGIC)
    (folder / "examples" / "link.webm").symlink_to(folder / "secret.webm")
    write_example(folder, "link.webm")
    assert read_run_folder(folder).examples[0].video is None


def test_only_webm_is_taken_as_a_video(folder: Path) -> None:
    (folder / "examples" / "c.webm").write_bytes(b"ffconcat version 1.0")
    write_example(folder, "c.webm")
    assert read_run_folder(folder).examples[0].video is None
    (folder / "examples" / "c.webm").write_bytes(EBML_MAGIC + b"rest")
    assert read_run_folder(folder).examples[0].video == EBML_MAGIC + b"rest"


def test_a_line_separator_in_a_caption_does_not_end_a_line(folder: Path) -> None:
    entry = {"clip": "a\u2028b", "dataset": "d", "split": "train", "problem": "p"}
    (folder / "ledger.jsonl").write_text(json.dumps(entry, ensure_ascii=False), encoding="utf-8")
    ledger = read_run_folder(folder).ledger
    assert ledger is not None
    assert ledger[0].clip == "a\u2028b"


@pytest.mark.parametrize("name", ["curves.jsonl", "ledger.jsonl", "provenance.json", "study.toml"])
def test_a_malformed_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{ not = this")
    with pytest.raises(ResultError, match=name):
        read_run_folder(folder)


def test_a_run_without_a_ledger_differs_from_one_with_an_empty_ledger(folder: Path) -> None:
    assert read_run_folder(folder).ledger is None
    (folder / "ledger.jsonl").write_text("")
    assert read_run_folder(folder).ledger == ()


def test_settings_are_flattened_in_the_files_order(folder: Path) -> None:
    (folder / "study.toml").write_text(STUDY.replace("seeds = [0]", "seeds = [0, 1]"))
    run = read_run_folder(folder)
    assert run.study is not None
    assert run.study.seeds == (0, 1)
    settings = dict(run.settings)
    assert (settings["targets[0].name"], settings["seeds"]) == ("kitchenware", "[0, 1]")
    assert [key for key, _ in run.settings][:4] == ["name", "question", "seeds", "data.world"]


def test_a_study_file_that_does_not_fit_is_refused_with_every_key(folder: Path) -> None:
    text = STUDY.replace('"made-up"', "3").replace("train = 3000", 'train = "x"')
    (folder / "study.toml").write_text(text)
    with pytest.raises(ResultError, match=r"(?s)study\.toml: name: found 3.*data\.train: found"):
        read_run_folder(folder)


def test_a_run_without_a_study_file_has_no_study(folder: Path) -> None:
    run = read_run_folder(folder)
    assert (run.study, run.settings, run.parameters, run.seal) == (None, (), None, None)


CURVE = {"source": "a", "seed": 0, "epoch": 1, "shares": {"b": 0.5}, "validation": {"c": None}}
SAID = {"source": "a", "seed": 0, "level": None, "caption": "x"}
SHOWN = {"clip": "c", "file": "", "dataset": "source", "category": "x", "caption": ""}


def test_numbers_that_a_run_noted_as_absent_are_left_out(folder: Path) -> None:
    lines = [CURVE, {**CURVE, "shares": None}]
    (folder / "curves.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    first, second = read_run_folder(folder).curves
    assert (first.shares, first.validation, second.shares) == ({"b": 0.5}, {}, {})


def test_what_a_model_says_is_read_most_probable_first(folder: Path) -> None:
    classes = [{"name": "b", "probability": 0.2}, {"name": "a\0", "probability": 0.7}]
    entries = [{**SHOWN, "predictions": [{**SAID, "classes": classes}]}]
    (folder / "examples" / "examples.json").write_text(json.dumps(entries))
    (prediction,) = read_run_folder(folder).examples[0].predictions
    assert [each.probability for each in prediction.classes] == [0.7, 0.2]
    assert "\0" not in prediction.classes[0].name
    assert prediction.level == ""


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("curves.jsonl", {**CURVE, "source": 1}, "jsonl:2: source: found 1; expected text"),
        ("curves.jsonl", {**CURVE, "shares": []}, r"jsonl:2: shares: found \[\]; expected a table"),
        ("ledger.jsonl", {"clip": "c", "dataset": "d"}, "jsonl:2: split: is missing; problem: is"),
        ("examples/examples.json", [SHOWN], r"json: \[0\]\.predictions: is missing"),
        (
            "examples/examples.json",
            [{**SHOWN, "predictions": [{**SAID, "classes": [{"name": "a"}]}]}],
            r"\[0\]\.predictions\[0\]\.classes\[0\]\.probability: is missing",
        ),
    ],
)
def test_an_entry_that_does_not_fit_is_named_with_file_line_and_key(
    folder: Path, name: str, entry: object, message: str
) -> None:
    (folder / name).write_text("\n" + json.dumps(entry))
    with pytest.raises(ResultError, match=message):
        read_run_folder(folder)


class Model(nn.Module):
    """An encoder with every kind of entry that is stored and was not learned, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.LSTM(8, 4))
        self.head = nn.Linear(4, 10)


def write_checkpoint(folder: Path) -> int:
    folder.mkdir(parents=True)
    model = Model()
    save_weights(model, folder / "model.safetensors")
    return sum(each.numel() for each in model.encoder.parameters())


def test_the_parameters_of_the_encoder_are_those_that_torch_counts(tmp_path: Path) -> None:
    wanted = write_checkpoint(tmp_path / "checkpoints" / "categories-seed-3" / "last")
    assert encoder_parameters(tmp_path, "categories") == wanted
    assert encoder_parameters(tmp_path, "captions") is None


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "categories-seed-3" / "last"
    write_checkpoint(folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:50])
    assert encoder_parameters(tmp_path, "categories") is None


def write_seal(run: Path, *, number: int, beside: list[str]) -> None:
    run.mkdir(exist_ok=True)
    (run / "seal.json").write_text(json.dumps({"study": "made-up", "number": number}))
    lines = (json.dumps({"study": name}) + "\n" for name in beside)
    (run.parent / "seals.jsonl").write_text("".join(lines))


@pytest.mark.parametrize(
    ("number", "beside", "known", "said"),
    [
        (1, ["made-up"], "1 of 1 of this study", "1 of 1"),
        (1, ["made-up", "other", "made-up"], "1 of 1 of this study", "1 of 2"),
        (1, [], "1 of 3 of this study", "1 of 3"),  # copied to where the list is not
        (2, [], "", "2 of 2"),
    ],
)
def test_the_place_of_a_seal_counts_every_seal_of_the_study(
    tmp_path: Path, number: int, beside: list[str], known: str, said: str
) -> None:
    write_seal(tmp_path / "run", number=number, beside=beside)
    assert seal_words(tmp_path / "run", "made-up", known) == said
    assert seal_words(tmp_path, "made-up", known) is None


def test_the_page_of_a_sealed_run_begins_with_its_size_and_seal(complete: RunMaker) -> None:
    folder = complete.write()
    assert "seal 1 of 1" not in write_report(folder).read_text(encoding="utf-8")
    write_seal(folder, number=1, beside=["made-up"])
    wanted = write_checkpoint(folder / "checkpoints" / "categories-seed-0" / "last")
    page = write_report(folder).read_text(encoding="utf-8")
    head = page[: page.index("<nav")]
    assert f"({wanted:,} parameters, 3,000 clips, 1 seed, seal 1 of 1)" in head


def held_out_of(folder: Path, stored: object) -> tuple[HeldOut, ...]:
    (folder / "results.jsonl").write_text("")
    (folder / "held-out.json").write_text(json.dumps(stored))
    return read_run_folder(folder).held_out


def test_one_line_says_what_was_held_out_under_which_seed(tmp_path: Path) -> None:
    stored = [
        {"seed": 0, "siblings": ["Push up"], "groups": ["Hold", "Lift"], "others": []},
        {"seed": 1, "siblings": [], "groups": [], "others": []},
        {"seed": 2, "siblings": ["Drop\0"], "groups": [], "others": [], "novel": 3},
    ]
    found = held_out_words(held_out_of(tmp_path, stored))
    first = "seed 0 (siblings: Push up. whole groups: Hold, Lift)"
    assert found == f"{first}; seed 2 (siblings: Drop\N{REPLACEMENT CHARACTER})"


def test_a_list_that_holds_for_every_seed_is_stated_once(tmp_path: Path) -> None:
    stored = [{"seed": None, "siblings": [], "groups": [], "others": ["Wave", "Nod"]}]
    assert held_out_words(held_out_of(tmp_path, stored)) == "every seed (categories: Wave, Nod)"
    assert held_out_words(()) == ""


def test_a_list_that_does_not_fit_is_named_with_file_and_key(tmp_path: Path) -> None:
    stored = [{"seed": 0, "siblings": "Push", "groups": [], "others": []}]
    with pytest.raises(ResultError, match=r"held-out\.json: \[0\]\.siblings: found \"Push\""):
        held_out_of(tmp_path, stored)
