"""The wires of the settings of how features are tested, and of the endpoints."""

from __future__ import annotations

from tests.wiring.wire import Wire, gains, loses, renamed

EPISODE_ARGUMENTS = ("probes", "ways", "shots", "queries", "number", "seed", "pooled")


def transfer_wires() -> list[Wire]:
    """List the wires of probes, episodes and controls."""
    episodes = "targets[*].episodes"
    return [
        Wire(
            "transfer.probes",
            ["nearest-mean", "k-nn", "ridge"],
            {
                "probes.probes": ("nearest-mean", "k-nn", "ridge"),
                f"{episodes}.probes": ["nearest-mean", "k-nn", "ridge"],
            },
        ),
        Wire(
            "transfer.shots",
            [1, 3, "all"],
            {
                "probes.shots": (1, 3, "all"),
                "permuted.shots": (1,),
                "from_scratch.shots": (1, 3, "all"),
            },
        ),
        Wire("transfer.draws", 9, {"probes.num_draws": 9, "permuted.num_draws": 9}),
        Wire(
            "transfer.seed",
            6,
            {
                **{"probes.seed": 6, "permuted.seed": 6, "from_scratch.seed": 6},
                f"{episodes}.seed": [6],
            },
        ),
        Wire("transfer.from_scratch.draws", 4, {"from_scratch.draws": 4}),
        Wire("transfer.from_scratch.passes", 700, {"from_scratch.passes": 700}),
        Wire(
            "transfer.readouts",
            ["lstm-mean", "channels-mean", "lstm-last"],
            {
                "subjects": gains("fine-seed-3-lstm-last of None read as lstm-last"),
                "cells": gains("evaluate fine-seed-3-lstm-last on kitchen"),
                "targets[*].asked": gains("fine-seed-3-lstm-last", "both-seed-3-lstm-last"),
            },
        ),
        Wire(
            "transfer.batch_norm",
            ["source", "target"],
            {
                "subjects": gains("fine-seed-3-target-norm", "random-encoder-seed-3-target-norm"),
                "cells": gains("evaluate fine-seed-3-target-norm on kitchen"),
                "targets[*].asked": gains("fine-seed-3-target-norm"),
            },
        ),
        Wire(
            "transfer.checkpoint",
            "best",
            {"sources[*].checkpoint": lambda old, new: new == old.replace("last", "best") != old},
        ),
        Wire("transfer.episodes.ways", 3, {f"{episodes}.ways": [3]}),
        Wire("transfer.episodes.shots", [2, 3], {f"{episodes}.shots": [2, 3]}),
        Wire("transfer.episodes.queries", 2, {f"{episodes}.queries": [2]}),
        Wire("transfer.episodes.number", 11, {f"{episodes}.number": [11]}),
        Wire(
            "transfer.episodes.number",
            0,
            {
                **{f"{episodes}.{name}": [] for name in EPISODE_ARGUMENTS},
                "targets[*].asked": [],
                "cells": loses("episodes "),
            },
        ),
        Wire(
            "transfer.controls",
            ["majority", "random-encoder", "permuted-labels", "pixels"],
            {
                "subjects": gains("pixels of pixels read as flat"),
                "cells": gains("evaluate pixels on kitchen after features pixels"),
                "targets[*].asked": gains("pixels"),
                "rows.controls": ("majority", "random-encoder", "permuted-labels", "pixels"),
            },
        ),
        Wire(
            "transfer.controls",
            ["random-encoder", "permuted-labels"],
            {"rows.controls": ("random-encoder", "permuted-labels")},
        ),
        Wire(
            "transfer.controls",
            ["majority", "random-encoder"],
            {"targets[0].permuted": [], "rows.controls": ("majority", "random-encoder")},
        ),
    ]


def endpoints_wires() -> list[Wire]:
    """List the wires of the primary endpoint and its family."""
    found = [
        Wire("primary.source", "wide", {"endpoints[0].source": "wide", "rows.at.source": "wide"}),
        Wire(
            "primary.versus",
            "wide",
            {
                "endpoints[0].versus": ("wide",),
                "rows.at.versus": ("wide",),
                "rows.compared": [
                    *[("fine", "wide"), ("both", "wide"), ("coarse", "wide")],
                    ("fine", "coarse"),
                ],
            },
        ),
        Wire(
            "primary.target",
            "attic",
            {
                "endpoints[0].target": "attic",
                "rows.at.target": "attic",
                "targets[0].permuted": [],
                "targets[1].permuted": gains("both-seed-3 on attic"),
            },
        ),
        Wire(
            "primary.probe",
            "nearest-mean",
            {
                "endpoints[0].probe": "nearest-mean",
                "rows.at.probe": "nearest-mean",
                "permuted.probes": ("nearest-mean",),
            },
        ),
        Wire(
            "primary.shots",
            3,
            {"endpoints[0].shots": 3, "rows.at.shots": 3, "permuted.shots": (3,)},
        ),
        Wire(
            "primary.metric",
            "mean-per-class",
            {
                "endpoints[0].metric": "mean-per-class",
                "rows.at.metric": "mean-per-class",
                "rows.trend_metric": "mean-per-class",
            },
        ),
        Wire(
            "primary.readout",
            "channels-mean",
            {
                "endpoints[0].readout": "channels-mean",
                "rows.at.readout": "channels-mean",
                "targets[0].permuted": renamed("seed-3", "seed-3-channels-mean"),
            },
        ),
    ]
    for name, value in (
        ("target", "kitchen"),
        ("probe", "mlp"),
        ("shots", 2),
        ("metric", "top-1"),
        ("readout", "channels-mean"),
    ):
        found.append(Wire(f"family[0].{name}", value, {f"endpoints[1].{name}": value}))
    pairs = [("fine", "coarse"), ("both", "coarse"), ("wide", "coarse")]
    return [
        *found,
        Wire(
            "family[0].source",
            "both",
            {"endpoints[1].source": "both", "rows.compared": [*pairs, ("both", "fine")]},
            {"family[0].versus": "fine", "family[0].source": "wide"},
        ),
        Wire(
            "family[0].versus",
            "wide",
            {"endpoints[1].versus": ("wide",), "rows.compared": [*pairs, ("fine", "wide")]},
        ),
        Wire(
            "family[0].versus",
            ["both", "coarse"],
            {
                "endpoints[1].versus": ("both", "coarse"),
                "rows.compared": [*pairs, ("fine", "both")],
            },
        ),
        Wire("family[0].minus_target", "kitchen", {"endpoints[1].minus_target": "kitchen"}),
    ]
