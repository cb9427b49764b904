"""How far the source's clips change over time: what the inputs of the channels are divided by."""

from __future__ import annotations

from collections.abc import Sequence

from taskgrain.config.learning import Encoder
from taskgrain.data.manifest import Split
from taskgrain.data.sampling import generator_for
from taskgrain.data.store import FrameStore
from taskgrain.models.encoder import (
    UNMEASURED,
    ChangeDeviations,
    changes_shown,
    measure_changes,
)
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs, batches_in_order
from taskgrain.study.networks import encoder_settings

MEASURED_CLIPS = 500  # of the source: the deviation is then known to a few percent


def measured_changes(inputs: Inputs, source: str | None, *, seed: int) -> ChangeDeviations:
    """Measure the source's training clips, as a frozen encoder would see them.

    Of the clips that a seed learns from some are drawn, for all sources alike: every cell of the
    seed that measures them finds the same numbers. Seeds that learn from the same clips have equal
    numbers too.

    Args:
        inputs: of the study.
        source: whose encoder asks; None for the study's own.
        seed: of the encoder.

    Returns:
        `UNMEASURED`, without a look at the clips, where the encoder is shown no changes.
    """
    settings = encoder_settings(inputs, source)
    if inputs.encoder_factory is not None or not shows_changes(settings):
        return UNMEASURED
    store = inputs.datasets[SOURCE].frames()
    records = inputs.clips(seed).learned.split(Split.TRAIN)
    usable = [record.clip_id for record in records if record.clip_id in store]
    return changes_of(inputs, usable, store)


def changes_of(inputs: Inputs, usable: Sequence[str], store: FrameStore) -> ChangeDeviations:
    """Measure some clips, or 500 drawn of them, as a frozen encoder would see them."""
    drawn = generator_for(0, 0, "changes").permutation(len(usable))[:MEASURED_CLIPS]
    clips = [usable[index] for index in sorted(drawn)]
    return measure_changes(
        batch.video for batch in batches_in_order(inputs, clips, store).batches()
    )


def shows_changes(settings: Encoder) -> bool:
    """Whether a channel of the encoder sees how far clips change."""
    kinds = (settings.spatial_input, settings.temporal_input)
    return settings.network == "two-channel" and any(changes_shown(kind) for kind in kinds)
