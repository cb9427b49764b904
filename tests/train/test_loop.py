from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from taskgrain.data.dataset import Batch
from taskgrain.errors import RunError
from taskgrain.losses import LossWeights
from taskgrain.models.build import add_readouts
from taskgrain.models.model import SourceModel
from taskgrain.models.weights import load_weights
from taskgrain.train.log import read_records
from taskgrain.train.loop import Splits, TrainingResult, Watch, train
from taskgrain.train.step import TrainingOptions
from tests.networks import build_model, compact_shape

BOTH = LossWeights(classification=0.5, captioning=0.5)
OPTIONS = TrainingOptions(epochs=2, weights=BOTH, learning_rate=1e-2, weight_decay=0.0, seed=0)
TINY = compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6), lstm_width=16)


def make_batch(num_clips: int = 6, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    shape = (num_clips, 6, 12, 12, 3)
    caption = torch.randint(4, 12, (num_clips, 6), generator=generator)
    caption[:, 0], caption[:, 4], caption[:, 5] = 1, 2, 0
    return Batch(
        tuple(f"clip-{seed}-{row}" for row in range(num_clips)),
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        torch.arange(num_clips) % 3,
        caption,
    )


class Fixed:
    """The same batches in every epoch."""

    def __init__(self, *fixed: Batch) -> None:
        self.fixed = fixed
        self.steps_per_epoch = len(fixed)

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        return iter(self.fixed[first_step:])


def make_model(num_classes: int | None = 3, vocabulary_size: int | None = 12) -> SourceModel:
    return build_model(TINY, num_classes=num_classes, vocabulary_size=vocabulary_size, seed=0)


def fit(
    model: SourceModel,
    folder: Path,
    *batches: Batch,
    options: TrainingOptions = OPTIONS,
    watch: Watch | None = None,
) -> TrainingResult:
    torch.set_num_threads(1)
    fixed = Fixed(*batches)
    return train(
        model,
        splits=Splits(fixed, fixed),
        options=options,
        folder=folder,
        describe={"name": "tiny"},
        watch=watch,
    )


@pytest.mark.slow
@pytest.mark.parametrize("counts_padding", [False, True])
def test_one_batch_is_learned_by_heart_class_and_caption(
    tmp_path: Path, counts_padding: bool
) -> None:
    options = replace(OPTIONS, epochs=30, counts_padding=counts_padding)
    result = fit(make_model(), tmp_path, *[make_batch()] * 5, options=options)
    first, *_, last = read_records(tmp_path / "epochs.jsonl")
    assert first.validation["exact-match"] == 0.0
    assert last.validation == {"top-1": 1.0, "exact-match": 1.0}
    assert result.best_score == 1.0
    assert last.terms["captioning"] is not None
    assert last.terms["captioning"] < 0.2


@pytest.mark.parametrize("weights", [LossWeights(1, 0), LossWeights(0, 1), BOTH])
def test_an_epoch_is_logged_for_the_tasks_that_there_are(
    tmp_path: Path, weights: LossWeights
) -> None:
    model = make_model(3 if weights.classification else None, 12 if weights.captioning else None)
    fit(model, tmp_path, make_batch(), make_batch(4, 1), options=replace(OPTIONS, weights=weights))
    records = read_records(tmp_path / "epochs.jsonl")
    assert [(r.epoch, r.step, r.clip_passes) for r in records] == [(1, 2, 10), (2, 4, 20)]
    for record in records:
        for values in (record.terms, record.shares, record.validation_terms):
            assert (values["classification"] is not None) == (weights.classification > 0)
            assert (values["captioning"] is not None) == (weights.captioning > 0)
        assert (record.validation["top-1"] is not None) == (weights.classification > 0)
        assert (record.validation["exact-match"] is not None) == (weights.captioning > 0)
        shares = [share for share in record.shares.values() if share is not None]
        assert sum(shares) == pytest.approx(1.0)
        assert len(shares) == 1 or min(shares) > 0


@pytest.mark.slow
def test_the_best_epoch_and_the_last_are_kept_apart(tmp_path: Path) -> None:
    # Trained on one batch and scored on it with other classes: the longer, the worse.
    batch = make_batch()
    other = replace_target(batch, (batch.target + 1) % 3)
    model = make_model(vocabulary_size=None)
    result = train(
        model,
        splits=Splits(Fixed(*[batch] * 4), Fixed(other)),
        options=replace(OPTIONS, epochs=8, weights=LossWeights(1, 0)),
        folder=tmp_path,
        describe={"name": "tiny"},
    )
    records = read_records(tmp_path / "epochs.jsonl")
    scores = [record.validation["top-1"] or 0.0 for record in records]
    assert scores[-1] < max(scores)
    assert result.best_score == max(scores)
    assert result.best_epoch == scores.index(max(scores)) + 1
    best, last = (load_file(tmp_path / name / "model.safetensors") for name in ("best", "last"))
    assert any(not torch.equal(best[name], last[name]) for name in best)
    assert all(torch.equal(last[name], value) for name, value in model.state_dict().items())
    described = json.loads((tmp_path / "best" / "model.json").read_text())
    assert described["name"] == "tiny"
    assert described["trained"]["epoch"] == result.best_epoch


def test_of_equally_good_epochs_the_first_is_the_best(tmp_path: Path) -> None:
    # A rate this small changes no answer, so that every epoch has the same score.
    options = replace(OPTIONS, epochs=3, learning_rate=1e-12)
    result = fit(make_model(), tmp_path, make_batch(), options=options)
    scores = [record.validation for record in read_records(tmp_path / "epochs.jsonl")]
    assert scores[0] == scores[1] == scores[2]
    assert result.best_epoch == 1
    described = json.loads((tmp_path / "best" / "model.json").read_text())
    assert described["trained"]["epoch"] == 1


def replace_target(batch: Batch, target: Tensor) -> Batch:
    return Batch(batch.clip_ids, batch.video, target, batch.caption)


def test_kept_weights_score_as_the_log_says(tmp_path: Path) -> None:
    fit(make_model(), tmp_path, make_batch(), make_batch(4, 1))
    fresh = make_model()
    load_weights(fresh, tmp_path / "last" / "model.safetensors")
    fresh.eval()
    batches = [make_batch(), make_batch(4, 1)]
    with torch.no_grad():
        right = sum(
            int((fresh(b.video, b.caption).log_probs.argmax(1) == b.target).sum()) for b in batches
        )
    assert read_records(tmp_path / "epochs.jsonl")[-1].validation["top-1"] == right / 10


def test_a_validation_is_as_good_in_many_batches_as_in_one(tmp_path: Path) -> None:
    whole = make_batch()
    parts = [
        Batch(whole.clip_ids[c], whole.video[c], whole.target[c], whole.caption[c])
        for c in (slice(0, 1), slice(1, 6))
    ]
    for name, batches in (("one", [whole]), ("many", parts)):
        train(
            make_model(),
            splits=Splits(Fixed(make_batch(seed=1)), Fixed(*batches)),
            options=OPTIONS,
            folder=tmp_path / name,
            describe={},
        )
    one, many = (read_records(tmp_path / name / "epochs.jsonl")[-1] for name in ("one", "many"))
    assert one.validation == many.validation
    assert one.validation_terms["captioning"] == pytest.approx(
        many.validation_terms["captioning"], rel=1e-5
    )


class Poisoned(nn.Module):
    """Someone's encoder; it gives NaN from a certain step of training or validation on."""

    def __init__(self, healthy_steps: int = 10**9, healthy_scores: int = 10**9) -> None:
        super().__init__()
        self.width = 5
        self.linear = nn.Linear(3, 5)
        self.left = {True: healthy_steps, False: healthy_scores}

    def forward(self, video: Tensor) -> Tensor:
        features: Tensor = self.linear(video.float().mean((2, 3)) / 255)
        self.left[self.training] -= 1
        return features * (float("nan") if self.left[self.training] < 0 else 1.0)


def test_anyones_encoder_can_be_trained(tmp_path: Path) -> None:
    model = add_readouts(Poisoned(), num_classes=3, vocabulary_size=12, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert fit(model, tmp_path, make_batch()).status == "finished"
    assert all(not torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_loss_that_is_no_number_stops_the_run_before_the_update(tmp_path: Path) -> None:
    model = add_readouts(Poisoned(1), num_classes=3, vocabulary_size=None, seed=0)
    kept: dict[str, Tensor] = {}

    def see(step: int) -> None:
        kept.update({name: value.clone() for name, value in model.state_dict().items()})

    options = replace(OPTIONS, weights=LossWeights(1, 0))
    with pytest.raises(RunError, match=r"step 1: the classification loss is nan.*clip-1-0, clip-1"):
        fit(
            model,
            tmp_path,
            make_batch(),
            make_batch(4, 1),
            options=options,
            watch=Watch(progress=see),
        )
    assert kept
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("term", "weights"), [("classification", (1, 0)), ("captioning", (0, 1))])
def test_a_validation_loss_that_is_no_number_replaces_no_checkpoint(
    tmp_path: Path, term: str, weights: tuple[int, int]
) -> None:
    encoder = Poisoned(healthy_scores=2)  # one to see its shape, one for the first epoch
    model = add_readouts(encoder, num_classes=3, vocabulary_size=12, seed=0)
    options = replace(OPTIONS, weights=LossWeights(*weights))
    said = rf"step \d+: the {term} loss is nan on validation clips; no checkpoint was replaced"
    with pytest.raises(RunError, match=said):
        fit(model, tmp_path, make_batch(), options=options)
    (record,) = read_records(tmp_path / "epochs.jsonl")
    trained = json.loads((tmp_path / "last" / "model.json").read_text())["trained"]
    assert (trained["epoch"], trained["step"]) == (record.epoch, record.step)


class WrongWidth(Poisoned):
    def forward(self, video: Tensor) -> Tensor:
        return super().forward(video)[..., :4]


def test_an_encoder_that_breaks_its_contract_is_refused(tmp_path: Path) -> None:
    model = add_readouts(WrongWidth(), num_classes=3, vocabulary_size=12, seed=0)
    with pytest.raises(ValueError, match=r"WrongWidth gave .* expected float \(B, T', width\)"):
        fit(model, tmp_path, make_batch())


class Short(Fixed):
    def __init__(self, *fixed: Batch) -> None:
        super().__init__(*fixed)
        self.steps_per_epoch += 1


def test_batches_that_end_early_are_refused(tmp_path: Path) -> None:
    short = Short(make_batch())
    with pytest.raises(ValueError, match=r"epoch 0 ended at step 1; expected 2 steps"):
        train(
            make_model(),
            splits=Splits(short, short),
            options=OPTIONS,
            folder=tmp_path,
            describe={},
        )


def test_global_settings_are_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(0)
    undisturbed = torch.rand(3)
    torch.manual_seed(0)
    fit(make_model(), tmp_path, make_batch())
    assert torch.equal(torch.rand(3), undisturbed)
    assert not torch.are_deterministic_algorithms_enabled()


def test_progress_counts_the_steps(tmp_path: Path) -> None:
    seen: list[int] = []
    fit(make_model(), tmp_path, make_batch(), make_batch(4, 1), watch=Watch(progress=seen.append))
    assert seen == [1, 2, 3, 4]


def test_bfloat16_trains_too(tmp_path: Path) -> None:
    options = replace(OPTIONS, precision="bf16")
    assert fit(make_model(), tmp_path, make_batch(), options=options).status == "finished"


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_of_counted_steps_ends_within_an_epoch_validated_and_annealed(
    tmp_path: Path, accumulate: int
) -> None:
    options = replace(OPTIONS, num_steps=5, accumulate=accumulate)
    batches = [make_batch(6, seed) for seed in range(4)]
    result = fit(make_model(), tmp_path, *batches, options=options)
    assert (result.status, result.step, result.num_steps) == ("finished", 5, 5)
    records = read_records(tmp_path / "epochs.jsonl")
    steps = [4, 5] if accumulate == 1 else [2, 4, 5]
    assert [record.step for record in records] == steps
    assert records[-1].clip_passes == 6 * 5 * accumulate
    assert records[-1].lr == pytest.approx(1e-2 / 25 / 1e4)  # the whole schedule was gone through
    trained = json.loads((tmp_path / "last" / "model.json").read_text())["trained"]
    assert trained["step"] == 5


def test_batches_that_go_on_too_long_are_refused(tmp_path: Path) -> None:
    long = Fixed(make_batch(), make_batch())
    long.steps_per_epoch = 1
    with pytest.raises(ValueError, match=r"epoch 0 ended at step 2; expected 1 steps"):
        train(
            make_model(), splits=Splits(long, long), options=OPTIONS, folder=tmp_path, describe={}
        )
