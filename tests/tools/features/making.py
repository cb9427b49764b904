from __future__ import annotations

import json
from pathlib import Path

from taskgrain.checkpoint import ModelDescription
from taskgrain.data.sampling import FrameSampling
from taskgrain.labels.taxonomy import CATEGORY, taxonomy_of
from taskgrain.models.weights import save_weights
from tests.networks import build_model, compact_shape

SAMPLING = FrameSampling(8, 36, 36, 32, 32)


def checkpoint(
    folder: Path,
    *,
    spatial: tuple[int, ...] = (4, 6),
    temporal: tuple[int, ...] = (4, 4),
    seed: int = 3,
) -> Path:
    """Store a tiny untrained model as a study does."""
    shape = compact_shape(spatial_widths=spatial, temporal_widths=temporal, lstm_width=8)
    taxonomy = taxonomy_of(["Pushing something", "Pulling something"])
    description = ModelDescription("tiny", seed, shape, taxonomy, CATEGORY, None, None, SAMPLING)
    model = build_model(shape, num_classes=2, vocabulary_size=None, seed=seed)
    folder.mkdir(parents=True)
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    return folder
