"""The weights that a source begins with: those of an earlier source, or of any checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from taskgrain.checkpoint import ModelDescription
from taskgrain.config.learning import Source
from taskgrain.config.settings import Study
from taskgrain.errors import CheckpointError, ConfigError, nearest
from taskgrain.models.model import SourceModel
from taskgrain.models.weights import load_part, load_weights
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import shape_of
from taskgrain.transfer.features import file_sha256

IGNORED_KEYS = ("dropout", "centred_deviation", "difference_deviation")
"""Keys in which two descriptions of an encoder may differ while the weights still fit: dropout has
no weights, and the deviations were measured on clips."""
MODEL, WEIGHTS, ENCODER = "model.json", "model.safetensors", "encoder."


def warm_start_source(inputs: Inputs, name: str) -> str | None:
    """Name the earlier source whose checkpoint of the same seed a source begins with, or None."""
    warm_start = inputs.source(name).warm_start
    return warm_start if warm_start is not None and is_source_name(warm_start) else None


def warm_start_of(
    inputs: Inputs, name: str, seed: int
) -> tuple[Path, Literal["encoder", "all"]] | None:
    """Find the checkpoint folder that a source begins with, and which of its weights are taken.

    Returns:
        None for a source that begins with newly drawn weights.
    """
    source = inputs.source(name)
    if source.warm_start is None:
        return None
    earlier = warm_start_source(inputs, name)
    folder = Path(source.warm_start) if earlier is None else inputs.checkpoint(earlier, seed)
    return folder, source.warm_start_parts


def is_source_name(warm_start: str) -> bool:
    """Whether a warm start names a source of the study; a folder is written with a slash."""
    return "/" not in warm_start and "\\" not in warm_start


def begin_with(
    model: SourceModel,
    description: ModelDescription,
    checkpoint: Path,
    parts: Literal["encoder", "all"],
) -> tuple[dict[str, object], object]:
    """Load into a new model the weights of a checkpoint: those of its encoder, or all of them.

    What is taken fits wholly, or the model stays as it was.

    Args:
        model: with the weights of its seed, which head and decoder keep where the encoder's
            alone are taken.
        description: of the model.
        checkpoint: folder with model.json and model.safetensors.
        parts: "all" wants the same classes and the same words, in the same order.

    Returns:
        The entry of model.json (whose weights, their digest, and the names of those left out), and
        the encoder's description, with the input statistics of the checkpoint, not of this study.

    Raises:
        CheckpointError: naming the first thing that does not fit.
    """
    # Descriptions are compared before weights: strides, pooling, classes and words of other meaning
    # would fit tensors of the same shape.
    held, path = ModelDescription.read(checkpoint / MODEL), checkpoint / WEIGHTS
    refuse_other_encoder(held, description.to_json()["encoder"], checkpoint)
    left_out: Sequence[str] = ()
    if parts == "all":
        _refuse_other_labels(held, description, checkpoint)
        load_weights(model, path)
    else:
        left_out = load_part(model.encoder, path, ENCODER)
    origin = {
        "source": held.source,
        "seed": held.seed,
        "parts": parts,
        "weights_sha256": file_sha256(path),
        "left_out": list(left_out),
    }
    return origin, _with_inputs_of(held.to_json()["encoder"], description.to_json()["encoder"])


def _with_inputs_of(held: object, own: object) -> object:
    """Return the description of an encoder with the pixels of the one whose weights it took."""
    if not isinstance(held, dict) or not isinstance(own, dict) or "pixels" not in held:
        return own
    return {**own, "pixels": held["pixels"]}


def check_warm_start(study: Study, source: Source) -> None:
    """Refuse a warm start that could only fail when training begins.

    Raises:
        ConfigError: naming the source, and what it cannot begin with.
        CheckpointError: if the folder it begins with holds no checkpoint, or another encoder's.
    """
    if source.warm_start is None:
        return
    where = f"source {source.name!r}: warm_start = {source.warm_start!r}"
    if source.is_frozen:
        raise ConfigError(f"{where}, but nothing is learned; leave it out")
    if not is_source_name(source.warm_start):
        folder = Path(source.warm_start)
        held = ModelDescription.read(folder / MODEL)
        if not (folder / WEIGHTS).is_file():
            raise CheckpointError(f"{folder / WEIGHTS}: no such file")
        # The shape of a pretrained network is known only once its library has built it.
        settings = study.encoder_of(source)
        if settings.network == "two-channel":
            refuse_other_encoder(held, shape_of(settings).to_json(), folder)
        return
    known = [other.name for other in study.sources]
    if source.warm_start not in known:
        raise ConfigError(
            f"{where} is no source of this study{nearest(source.warm_start, known)}; "
            "a folder is written with a slash, as ./NAME"
        )
    _check_earlier(study, source, study.sources[known.index(source.warm_start)], where)


def _check_earlier(study: Study, source: Source, earlier: Source, where: str) -> None:
    """Compare a source with the earlier source of the study whose weights it wants."""
    if earlier.is_frozen:
        raise ConfigError(f"{where} learns nothing, and has no checkpoint")
    if study.encoder_of(source) != study.encoder_of(earlier):
        raise ConfigError(f"{where} has another encoder; give both the same")
    if source.warm_start_parts == "all" and (source.classify, source.caption) != (
        earlier.classify,
        earlier.caption,
    ):
        raise ConfigError(
            f"{where} learns another task, so head and decoder do not fit; set warm_start_parts = "
            '"encoder"'
        )


def refuse_other_encoder(held: ModelDescription, wanted: object, folder: Path) -> None:
    """Compare encoders as model.json describes them, `IGNORED_KEYS` apart.

    Strides and pooling have no weights that would show a difference. A user's own
    encoder, described by None, is compared by its weights alone.

    Raises:
        CheckpointError: naming the first entry that differs.
    """
    own = held.to_json()["encoder"]
    if own is None or wanted is None:
        return
    difference = _difference(own, wanted, "encoder")
    if difference is not None:
        raise CheckpointError(f"{folder / MODEL}: is of another encoder: {difference}")


def _refuse_other_labels(
    held: ModelDescription, description: ModelDescription, folder: Path
) -> None:
    """Compare the classes of the heads and the words of the decoders; refuse other ones."""
    difference = _difference(_labels(held), _labels(description), "")
    if difference is not None:
        raise CheckpointError(
            f"{folder / MODEL}: {difference}; begin with the encoder alone, or with a checkpoint "
            "of the same classes and words"
        )


def _labels(description: ModelDescription) -> dict[str, object]:
    """Return the classes and words that the outputs of head and decoder stand for."""
    level, vocabulary = description.level, description.vocabulary
    return {
        "level": level,
        "class": [] if level is None else list(description.taxonomy.names(level)),
        "caption": description.form,
        "words": None if vocabulary is None else vocabulary.rule,
        "word": [] if vocabulary is None else list(vocabulary.words),
    }


def _difference(held: object, wanted: object, where: str) -> str | None:
    """Phrase the first difference of two pieces of JSON; None where there is none."""
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        keys = [key for key in {**held, **wanted} if key not in IGNORED_KEYS]
        pairs = [(held.get(key), wanted.get(key), f"{where}.{key}".strip(".")) for key in keys]
    elif isinstance(held, list | tuple) and isinstance(wanted, list | tuple):
        joined = enumerate(zip(held, wanted, strict=False))
        pairs = [(one, other, f"{where} {index}") for index, (one, other) in joined]
        pairs.append((len(held), len(wanted), f"{where} (number of them)"))
    else:
        return None if held == wanted else f"{where} is {held!r}; expected {wanted!r}"
    return next(filter(None, (_difference(*pair) for pair in pairs)), None)
