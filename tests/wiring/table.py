"""Which plain arguments each setting of a study moves, and to which values.

A wire is laid out twice, before and after its setting takes a new value: exactly the arguments
that it names may differ. `sources[*]` stands for every source.
"""

from __future__ import annotations

from taskgrain.config.testing import Seal
from tests.wiring.clips import DRAWN, augment_wires, data_wires, targets_wires, video_wires
from tests.wiring.learned import decoder_wires, encoders_wires, sources_wires, train_wires
from tests.wiring.seeds import seeds_wires
from tests.wiring.small_study import Places
from tests.wiring.tested import endpoints_wires, transfer_wires
from tests.wiring.wire import Moves, Wire, gains, option, renamed

NOT_ARGUMENTS = {
    "question": "text for readers: study.toml and the report hold it",
    "data.world": "has one value, which is filled in wherever there is no root: see data.root",
}
"""Settings that no argument follows from, and why."""


SEALS = ({"commit": "1" * 40, "seeds": 1}, {"commit": "2" * 40, "seeds": 1})


def reseeded(old: int, new: int) -> Moves:
    """Name what the seed of the encoders reaches, where there is one seed."""
    return {
        **option("seed", new),
        "sources[*].training.variation.seed": new,
        "sources[*].model.seed": new,
        "sources[*].weights_seed": new,
        "sources[*].checkpoint": lambda before, after: (
            after == before.replace(f"seed-{old}", f"seed-{new}")
        ),
        "subjects": renamed(f"seed-{old}", f"seed-{new}"),
        "cells": lambda before, after: (
            after
            == [
                each.replace(f"seed-{old}", f"seed-{new}").replace(f"seed {old}", f"seed {new}")
                for each in before
            ]
        ),
        "targets[*].asked": renamed(f"seed-{old}", f"seed-{new}"),
        "targets[0].permuted": renamed(f"seed-{old}", f"seed-{new}"),
    }


def another_seed(seal: Seal) -> Moves:
    """Name what a second seed of the encoders reaches; the small study lays out the first."""
    _, second = seal.drawn_seeds()
    return {
        "subjects": gains(f"fine-seed-{second}"),
        "cells": lambda before, after: f"train fine seed {second} after check" in after,
        "targets[*].asked": gains(f"fine-seed-{second}"),
        "targets[0].permuted": gains(f"fine-seed-{second}"),
    }


def wires(places: Places) -> list[Wire]:
    """List the wires of every setting."""
    return [
        Wire("name", "other", {"rows.study": "other"}),
        Wire("seeds", [4], reseeded(3, 4)),
        Wire(
            "seal.commit",
            SEALS[1]["commit"],
            reseeded(*(Seal.model_validate(each).drawn_seeds()[0] for each in SEALS)),
            {"seal": SEALS[0]},
        ),
        Wire(
            "seal.seeds",
            2,
            another_seed(Seal.model_validate({**SEALS[0], "seeds": 2})),
            {"seal": SEALS[0]},
        ),
        Wire("examples", 20, {"examples": {"source": 12, "kitchen": 4, "attic": 4}}),
        Wire("margin", 3.5, {"report.margin": 0.035}),
        Wire(
            "alignment", 4000, {"alignment.scenes": 4000, "cells": gains("alignment after")}, DRAWN
        ),
        *data_wires(places),
        *seeds_wires(places),
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
