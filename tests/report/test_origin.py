from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from taskgrain.models.weights import save_weights
from taskgrain.report.html import write_report
from taskgrain.report.origin import encoder_parameters, seal_words
from tests.report.conftest import RunMaker


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


@pytest.mark.slow
def test_the_page_of_a_sealed_run_begins_with_its_size_and_seal(complete: RunMaker) -> None:
    folder = complete.write()
    assert "seal 1 of 1" not in write_report(folder).read_text(encoding="utf-8")
    write_seal(folder, number=1, beside=["made-up"])
    wanted = write_checkpoint(folder / "checkpoints" / "categories-seed-0" / "last")
    page = write_report(folder).read_text(encoding="utf-8")
    head = page[: page.index("<nav")]
    assert f"({wanted:,} parameters, 3,000 clips, 1 seed, seal 1 of 1)" in head
