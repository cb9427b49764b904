"""Which plain arguments each setting of a study moves, and to which values.

A wire is laid out twice, before and after its setting takes a new value: exactly the arguments
that it names may differ. `sources[*]` stands for every source.
"""

from __future__ import annotations

from tests.wiring.clips import augment_wires, data_wires, targets_wires, video_wires
from tests.wiring.learned import decoder_wires, encoders_wires, sources_wires, train_wires
from tests.wiring.small_study import Places
from tests.wiring.tested import endpoints_wires, transfer_wires
from tests.wiring.wire import Wire, option, renamed

NOT_ARGUMENTS = {
    "question": "text for readers: study.toml and the report hold it",
    "data.world": "has one value, which is filled in wherever there is no root: see data.root",
    "targets[].world": "has one value, which is filled in wherever there is no root",
}
"""Settings that no argument follows from, and why."""


def wires(places: Places) -> list[Wire]:
    """List the wires of every setting."""
    return [
        Wire("name", "other", {"rows.study": "other"}),
        Wire(
            "seeds",
            [4],
            {
                **option("seed", 4),
                "sources[*].training.variation.seed": 4,
                "sources[*].model.seed": 4,
                "sources[*].checkpoint": lambda old, new: new == old.replace("seed-3", "seed-4"),
                "subjects": renamed("seed-3", "seed-4"),
                "cells": lambda old, new: (
                    new
                    == [
                        each.replace("seed-3", "seed-4").replace("seed 3", "seed 4") for each in old
                    ]
                ),
                "targets[*].asked": renamed("seed-3", "seed-4"),
                "targets[0].permuted": renamed("seed-3", "seed-4"),
            },
        ),
        Wire("examples", 20, {"examples": {"source": 12, "kitchen": 4, "attic": 4}}),
        Wire("margin", 3.5, {"report.margin": 0.035}),
        *data_wires(places),
        *video_wires(),
        *encoders_wires(),
        *decoder_wires(),
        *train_wires(),
        *augment_wires(),
        *sources_wires(),
        *targets_wires(places),
        *transfer_wires(),
        *endpoints_wires(),
    ]
