"""The wires of the settings of what is learned: networks, training and sources."""

from __future__ import annotations

from taskgrain.models.build import spatial_channel, temporal_channel
from tests.wiring.wire import Moves, Wire, gains, option, renamed

ELSEWHERE = {  # the study's own encoder, which no source has then
    "encoder": {"network": "torchvision", "model": "resnet18"},
    **{f"sources[{index}].encoder": "wide" for index in (0, 1, 3)},
    "transfer.controls": ["majority", "permuted-labels"],
}


def own(name: str, value: object) -> Moves:
    """Name an argument of the study's own encoder, which three sources and the control have."""
    sources = (f"sources[{index}].encoder" for index in (0, 1, 3))
    return {f"{place}.{name}": value for place in ("encoder", "random-encoder", *sources)}


def wide(name: str, value: object) -> Moves:
    """Name an argument of the encoder that one source has."""
    return {f"{place}.{name}": value for place in ("encoders.wide", "sources[2].encoder")}


def encoders_wires() -> list[Wire]:
    """List the wires of encoders, ours and pretrained."""
    found: list[Wire] = []
    for table, moved, spatial, temporal in (
        ("encoder", own, (2, 3), (3, 2)),
        ("encoders.wide", wide, (4, 5), (5, 4)),
    ):
        found += [
            Wire(
                f"{table}.layers",
                "paper",
                {
                    **moved("spatial", spatial_channel(spatial, "paper")),
                    **moved("temporal", temporal_channel(temporal, "paper")),
                },
            ),
            Wire(
                f"{table}.spatial_widths",
                [6, 7],
                moved("spatial", spatial_channel((6, 7), "compact")),
            ),
            Wire(
                f"{table}.temporal_widths",
                [7, 6],
                moved("temporal", temporal_channel((7, 6), "compact")),
            ),
            Wire(
                f"{table}.spatial_input",
                "pixels-and-centred",
                {
                    **moved(
                        "spatial", spatial_channel(spatial, "compact", shown="pixels-and-centred")
                    ),
                    **moved("pixels.centred_deviation", 1.0),
                },
            ),
            Wire(
                f"{table}.temporal_input",
                "difference",
                {
                    **moved("temporal", temporal_channel(temporal, "compact", shown="difference")),
                    **moved("pixels.difference_deviation", 1.0),
                },
            ),
            Wire(
                f"{table}.reduction",
                "mean",
                {
                    **moved("spatial", spatial_channel(spatial, "compact", reduction="mean")),
                    **moved("temporal", temporal_channel(temporal, "compact", reduction="mean")),
                },
            ),
            Wire(f"{table}.lstm_width", 6, moved("lstm_width", 6)),
            Wire(f"{table}.feature_width", 7, moved("feature_width", 7)),
            Wire(f"{table}.dropout", 0.3, moved("dropout", 0.3)),
            Wire(f"{table}.pixel_mean", 80.0, moved("pixels.mean", 80.0)),
            Wire(f"{table}.pixel_deviation", 70.0, moved("pixels.deviation", 70.0)),
        ]
    for table, given in (("encoder", ELSEWHERE), ("encoders.published", {})):
        found += [
            Wire(f"{table}.network", "huggingface", {f"{table}.network": "huggingface"}, given),
            Wire(f"{table}.model", "vgg16", {f"{table}.model": "vgg16"}, given),
            Wire(f"{table}.weights", "download", {f"{table}.weights": "download"}, given),
            Wire(f"{table}.single_frame", True, {f"{table}.single_frame": True}, given),
            Wire(f"{table}.recurrent", True, {f"{table}.lstm_width": 128}, given),
            Wire(
                f"{table}.lstm_width",
                9,
                {f"{table}.lstm_width": 9},
                {**given, f"{table}.recurrent": True},
            ),
        ]
    return found


def decoder_wires() -> list[Wire]:
    """List the wires of the caption decoder."""
    beams = {"decoder.beam_width": 3}
    return [
        Wire("decoder.beam_width", 7, {"scores.beams.width": 7}),
        Wire("decoder.length_penalty", 0.5, {"scores.beams.length_penalty": 0.5}, beams),
        *(
            Wire(f"decoder.{name}", value, {f"sources[*].decoder.{name}": value})
            for name, value in (
                ("word_width", 8),
                ("lstm_width", 9),
                ("num_layers", 1),
                ("attention", False),
                ("first_weights", "torch"),
            )
        ),
    ]


def train_wires() -> list[Wire]:
    """List the wires of training."""
    return [
        Wire("train.epochs", 7, option("epochs", 7)),
        Wire(
            "train.passes",
            [30, 70],
            {
                **option("num_steps", 9),  # 24 clips an epoch, in 5 batches and 3 steps
                "cells": gains("passes 30"),
            },
            {"train.schedule": "cosine", "train.early_stopping": None},
        ),
        Wire(
            "train.batch_size",
            3,
            {
                "sources[*].training.batch_size": 3,
                "sources[*].validation.batch_size": 3,
                "features.batch_size": 3,
            },
        ),
        Wire("train.accumulate", 4, option("accumulate", 4)),
        Wire("train.optimizer", "adam", option("optimizer", "adam")),
        Wire("train.learning_rate", 0.04, option("learning_rate", 0.04)),
        Wire("train.momentum", 0.7, option("momentum", 0.7)),
        Wire("train.weight_decay", 0.05, option("weight_decay", 0.05)),
        Wire("train.schedule", "cosine", option("schedule", "cosine")),
        Wire("train.plateau_factor", 0.6, option("plateau.factor", 0.6)),
        Wire("train.plateau_patience", 5, option("plateau.patience", 5)),
        Wire("train.least_learning_rate", 1e-5, option("plateau.least_lr", 1e-5)),
        Wire("train.early_stopping", 11, option("early_stopping", 11)),
        Wire("train.max_gradient_norm", 2.5, option("max_gradient_norm", 2.5)),
        Wire("train.label_smoothing", 0.15, option("weights.label_smoothing", 0.15)),
        Wire("train.hidden_captions", 0.65, option("hidden_captions", 0.65)),
        Wire("train.balanced", True, {"sources[*].training.variation.is_balanced": True}),
        Wire("train.padding", "counted", option("counts_padding", True)),
        Wire(
            "train.words",
            "paper",
            {
                "sources[1].task.rule": "paper",
                "sources[1].task.words": lambda old, new: {"red", "7"} <= {*old} - {*new},
            },
        ),
        Wire(
            "train.min_word_count",
            9,
            {"sources[1].task.words": lambda old, new: 0 < len(new) < len(old)},
        ),
        Wire("train.precision", "bf16", option("precision", "bf16")),
        Wire("train.tensorboard", True, option("tensorboard", True)),
    ]


def sources_wires() -> list[Wire]:
    """List the wires of the sources."""
    return [
        Wire(
            "sources[2].name",
            "broad",
            {
                "sources[2].task.name": "broad",
                "sources[2].model.source": "broad",
                "sources[2].checkpoint": "RUN/checkpoints/broad-seed-3/last",
                "subjects": renamed("wide", "broad"),
                "cells": renamed("wide", "broad"),
                "targets[*].asked": renamed("wide", "broad"),
                "targets[0].permuted": renamed("wide", "broad"),
                "rows.compared": [("fine", "coarse"), ("both", "coarse"), ("broad", "coarse")],
            },
        ),
        Wire(
            "sources[2].classify",
            "verb",
            {"sources[2].task.level": "verb", "sources[2].task.num_classes": 2},
        ),
        Wire(
            "sources[1].caption",
            "template",
            {
                "sources[1].task.form": "template",
                "sources[1].task.words": lambda old, new: "red" in {*old} - {*new},
            },
        ),
        Wire(
            "sources[1].lambda",
            0.75,
            {
                "sources[1].task.lambda": 0.75,
                "sources[1].options.weights.classification": 0.75,
                "sources[1].options.weights.captioning": 0.25,
            },
        ),
        Wire(
            "sources[1].encoder",
            "wide",
            {
                "sources[1].encoder.spatial": spatial_channel((4, 5), "compact"),
                "sources[1].encoder.temporal": temporal_channel((5, 4), "compact"),
                "sources[1].encoder.lstm_width": 8,
                "sources[1].encoder.feature_width": 9,
                "sources[1].encoder.dropout": 0.2,
                "sources[1].encoder.pixels.mean": 90.0,
                "sources[1].encoder.pixels.deviation": 40.0,
            },
        ),
        Wire(
            "sources[3].regrouped",
            True,
            {
                "sources[3].task.level": "regrouped-verb",
                "sources[3].task.levels": lambda old, new: (
                    sorted(new.pop("regrouped-verb")) == ["group-1"] * 2 + ["group-2"] * 2
                    and new == old
                ),
                "rows.ladder": ["fine"],
            },
        ),
        Wire(
            "sources[2].twin_of",
            "fine",
            {
                "sources[2].weights_seed": lambda old, new: old == 3 != new,
                "rows.compared": [("fine", "coarse"), ("both", "coarse"), ("wide", "fine")],
            },
            {"sources[2].encoder": None},
        ),
        Wire(
            "sources[1].warm_start",
            "fine",
            {
                "sources[1].begins_with.checkpoint": "RUN/checkpoints/fine-seed-3/last",
                "sources[1].begins_with.parts": "encoder",
                "cells": renamed(
                    "train both seed 3 after check",
                    "train both seed 3 after check, train fine seed 3",
                ),
            },
        ),
        Wire(
            "sources[3].warm_start_parts",
            "all",
            {"sources[3].begins_with.parts": "all"},
            {"sources[3].warm_start": "fine", "sources[3].classify": "category"},
        ),
    ]
