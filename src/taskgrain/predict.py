"""From a clip to its description, for the command line, studies and programs.

Shapes: S stored frames of a clip, T frames that the model sees, H W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.config.checked import read_as
from taskgrain.data.dataset import Batch
from taskgrain.data.decode import DecodedClip
from taskgrain.data.sampling import FrameSampling, check_clips, decode_stored, names_of, see_given
from taskgrain.decoding import GREEDY, BeamSettings
from taskgrain.errors import CheckpointError, TaxonomyError
from taskgrain.familiarity import Familiarity
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, Taxonomy
from taskgrain.labels.template import Words
from taskgrain.labels.vocabulary import Vocabulary
from taskgrain.models.build import (
    COMPACT_DECODER,
    DecoderShape,
    EncoderRecipe,
    add_readouts,
    build_from,
    recipe_from_json,
)
from taskgrain.models.model import SourceModel, encoder_width
from taskgrain.models.pretrained.encoder import NetworkShape
from taskgrain.models.weights import FirstWeightsLeftOut, check_fit, find_checkpoint, load_weights
from taskgrain.train.precision import usable_device
from taskgrain.train.step import decode_captions
from taskgrain.transfer.extract import collect_places, encoder_reader, feature_set
from taskgrain.transfer.features import PLACE_OF, mean_over_steps, read_out

if TYPE_CHECKING:
    from taskgrain.names import Readout

FORMAT = 2  # of model.json
TAUGHT = "taskgrain-taught"  # how the format of a taught model's model.json begins
CLIPS_AT_ONCE = 16  # that are read together
UNLIKE = 0.05  # share of own clips; a clip that is rarer is said to be unlike them
READOUT: Readout = "lstm-mean"  # what transfer reads by default
NO_TARGET = torch.zeros(0, dtype=torch.long)  # nothing is compared


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """The content of model.json: all that it takes to use a checkpoint's weights."""

    source: str
    seed: int
    shape: EncoderRecipe | None  # None for an encoder of the user's own
    taxonomy: Taxonomy
    level: str | None  # whose names are the head's classes
    form: CaptionForm | None  # of the captions
    vocabulary: Vocabulary | None
    sampling: FrameSampling
    decoder_shape: DecoderShape = COMPACT_DECODER  # without a vocabulary it is not used

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary}>"

    @property
    def summary(self) -> str:
        """Return which model it is, what it answers and what it sees, in a line."""
        levels = [] if self.level is None else [self.level]
        if self.level == CATEGORY and ACTION_GROUP in self.taxonomy.levels:
            levels.append(ACTION_GROUP)
        answers = levels + ([] if self.form is None else [f"{self.form} caption"])
        size = self.sampling
        return (
            f"source {self.source!r}, seed {self.seed}; answers {', '.join(answers)}; sees "
            f"{size.num_frames} frames of {size.height} x {size.width} pixels"
        )

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes."""
        return {
            "format": FORMAT,
            "source": self.source,
            "seed": self.seed,
            "encoder": None if self.shape is None else self.shape.to_json(),
            "decoder": None if self.vocabulary is None else self.decoder_shape.to_json(),
            "taxonomy": self.taxonomy.to_json(),
            "level": self.level,
            "caption": self.form,
            "vocabulary": None if self.vocabulary is None else list(self.vocabulary.words),
            "words": None if self.vocabulary is None else self.vocabulary.rule,
            "sampling": asdict(self.sampling),
        }

    @classmethod
    def read(cls, path: Path) -> ModelDescription:
        """Read a model.json.

        Raises:
            CheckpointError: naming the file and what is missing or malformed in it.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(
                f"{path}: {error.strerror}; expected a checkpoint folder with model.json and "
                "model.safetensors, as runs/NAME/checkpoints/SOURCE-seed-N/last"
            ) from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: not JSON: {error}") from error
        try:
            return cls._of(stored)
        except (ValueError, TaxonomyError, CheckpointError) as error:
            raise CheckpointError(f"{path}: {error}; expected what a study wrote") from error

    @classmethod
    def _of(cls, entries: object) -> ModelDescription:
        if isinstance(entries, dict) and str(entries.get("format")).startswith(TAUGHT):
            raise ValueError(
                "holds what `taskgrain teach` wrote; `taskgrain describe` and "
                "taskgrain.teaching.model.TaughtModel open it"
            )
        if not isinstance(entries, dict) or entries.get("format") != FORMAT:
            raise ValueError(
                f"its format is not {FORMAT}: not a checkpoint, or written by another version of "
                "taskgrain; use that version"
            )
        stored = read_as(_Stored, entries)
        if stored.level is not None:
            stored.taxonomy.names(stored.level)  # refuses a level that it lacks
        of_decoder = (stored.caption, stored.vocabulary, stored.words, stored.decoder)
        if None in of_decoder and any(each is not None for each in of_decoder):
            raise ValueError("caption, vocabulary, words and decoder: expected all four, or none")
        vocabulary = None
        if stored.vocabulary is not None and stored.words is not None:
            vocabulary = Vocabulary(stored.vocabulary, stored.words)
        return cls(
            source=stored.source,
            seed=stored.seed,
            shape=None if stored.encoder is None else recipe_from_json(stored.encoder),
            taxonomy=stored.taxonomy,
            level=stored.level,
            form=stored.caption,
            vocabulary=vocabulary,
            sampling=stored.sampling,
            decoder_shape=stored.decoder or COMPACT_DECODER,
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """What model.json holds, beside its format."""

    source: str
    seed: int
    encoder: Mapping[str, object] | None  # see `recipe_from_json`
    decoder: DecoderShape | None
    taxonomy: Taxonomy
    level: str | None
    caption: CaptionForm | None
    vocabulary: tuple[str, ...] | None
    words: Words | None
    sampling: FrameSampling


def load_model(
    folder: Path | str, *, encoder: nn.Module | None = None
) -> tuple[SourceModel, ModelDescription]:
    """Load a checkpoint folder: model.json and model.safetensors.

    Args:
        folder: as `checkpoints/SOURCE-seed-N/last` of a run; see `find_checkpoint`.
        encoder: an untrained module of the same kind, for a checkpoint of your own encoder.

    Raises:
        CheckpointError: if either file is missing, malformed or does not fit.
    """
    folder = find_checkpoint(folder)
    description = ModelDescription.read(folder / "model.json")
    if encoder is None and description.shape is None:
        raise CheckpointError(
            f"{folder}: was trained with an encoder of your own; pass one as encoder="
        )
    path = folder / "model.safetensors"
    try:
        if not isinstance(description.shape, NetworkShape):  # libraries compute while they build
            # First on the meta device, so that an absurdly large shape is rejected without memory.
            # Weights are not drawn: on meta that would import torch's compiler, which is slow.
            with torch.device("meta"), FirstWeightsLeftOut():
                check_fit(_untrained(description, encoder), path)
        with FirstWeightsLeftOut():
            model = _untrained(description, encoder)
    except (ValueError, RuntimeError) as error:  # an LSTM without units; numbers past counting
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{folder / 'model.json'}: describes no network: {reason}") from error
    load_weights(model, path)
    return model.eval(), description


def _untrained(description: ModelDescription, encoder: nn.Module | None) -> SourceModel:
    """Build the described model with untrained weights, on its own encoder or on yours."""
    level, vocabulary = description.level, description.vocabulary
    if encoder is None:
        assert description.shape is not None, "an encoder of the user's own is given"
        encoder = build_from(description.shape, seed=0)
    return add_readouts(
        encoder,
        num_classes=None if level is None else len(description.taxonomy.names(level)),
        vocabulary_size=None if vocabulary is None else len(vocabulary),
        decoder_shape=description.decoder_shape,
        seed=0,
    )


@dataclass(frozen=True, slots=True)
class NamedProbability:
    """A class and its probability by the model, 0 to 1."""

    name: str
    probability: float


Ranking = tuple[NamedProbability, ...]  # most probable first


@dataclass(frozen=True, slots=True)
class Description:
    """The answers of a model for one clip; None where it was not trained for one."""

    clip: str
    groups: Ranking | None
    categories: Ranking | None
    caption: str | None
    problem: str | None = None  # of a clip that was read as far as it goes
    # Share of the model's own validation clips that are at least as unlike those that it learned
    # from, 0 to 1 (`Familiarity.typical`); None where it was not measured.
    typical: float | None = None

    @property
    def is_unlike(self) -> bool:
        """Whether the clip is unlike what the model learned from, so that it may know nothing."""
        return self.typical is not None and self.typical <= UNLIKE

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes; docs/data-format.md, "A description"."""
        return asdict(self)


class Predictor:
    """A loaded checkpoint that describes clips, and gives its encoder's features of them."""

    def __init__(
        self,
        model: SourceModel,
        description: ModelDescription,
        device: str,
        beams: BeamSettings = GREEDY,
        *,
        familiarity: Familiarity | None = None,
    ) -> None:
        """Keep a loaded model; see `from_checkpoint`."""
        self.familiarity = familiarity
        self.description = description
        self.beams = beams  # how captions are looked for
        self._device = usable_device(device)
        self.model = model.to(self._device).eval()

    @classmethod
    def from_checkpoint(
        cls,
        folder: Path | str,
        *,
        encoder: nn.Module | None = None,
        device: str = "cpu",
        beam_width: int = 1,
        length_penalty: float = 0.0,
    ) -> Predictor:
        """Load a checkpoint folder; its errors are those of `load_model`.

        Args:
            folder: see `load_model`.
            encoder: see `load_model`.
            device: where the network computes, "cpu" or "cuda".
            beam_width: beginnings of a caption that are followed side by side; 1 is greedy.
            length_penalty: whole captions compare by log-probability / tokens ** this.

        Raises:
            ValueError: if `beam_width` is below 1, or `length_penalty` below 0 or infinite.
        """
        beams = BeamSettings(beam_width, length_penalty)
        model, description = load_model(folder, encoder=encoder)
        width = encoder_width(model.encoder)
        familiarity = Familiarity.read(find_checkpoint(folder), width)
        return cls(model, description, device, beams, familiarity=familiarity)

    def __repr__(self) -> str:
        return f"<Predictor: {self.description.summary}; on {self._device}>"

    def describe_file(self, path: Path | str, *, top: int = 5) -> Description:
        """Describe a video file. A truncated file is described as far as it goes; see `problem`.

        Raises:
            ClipError: if it cannot be decoded.
        """
        return self.describe_decoded(self.decode(path), str(path), top=top)

    def decode(self, path: Path | str) -> DecodedClip:
        """Decode a video file, or a folder of images, at the size that `describe` expects.

        Raises:
            ClipError: if it cannot be decoded.
        """
        return decode_stored(Path(path), self.description.sampling)

    def describe_decoded(self, clip: DecodedClip, name: str, *, top: int = 5) -> Description:
        """Describe a clip of `decode`."""
        # What was cut off must not be described as if it were whole.
        return replace(self.describe([clip.frames], [name], top=top)[0], problem=clip.problem)

    def describe(
        self,
        clips: Sequence[NDArray[np.uint8]],
        names: Sequence[str] | None = None,
        *,
        top: int = 5,
        resize: bool = False,
    ) -> list[Description]:
        """Describe clips; an empty list gives an empty list.

        Args:
            clips: uint8 (S, H', W', 3) each, RGB, 12 frames a second as a rule, S >= 1 of any
                number, at the description's stored size.
            names: one for each clip; None names them "clip 0", "clip 1", ...
            top: how many classes to name, at least 1.
            resize: scale frames of any other size to the stored one, as decoding does.

        Raises:
            ValueError: if a clip is anything else, or names or `top` do not fit.
        """
        names = self._checked(clips, names, resize=resize)
        if not isinstance(top, int) or top < 1:
            raise ValueError(f"top is {top!r}; expected a whole number, at least 1")
        described: list[Description] = []
        for batch in self._batches(clips, names):
            described += self._describe(batch, top)
        return described

    def features(
        self, clips: Sequence[NDArray[np.uint8]], *, resize: bool = False
    ) -> NDArray[np.float32]:
        """Return the encoder's features of clips, as transfer tests them: the mean over the steps.

        Clips, and whether they are scaled, are as in `describe`.

        Returns:
            float32 (N, D), a row a clip; (0, D) of no clips.

        Raises:
            ValueError: as `describe`.
            ResultError: if features are NaN or infinite, naming the clip.
        """
        names = self._checked(clips, None, resize=resize)
        if not names:
            return np.zeros((0, encoder_width(self.model.encoder)), np.float32)
        place = PLACE_OF[READOUT]
        # By the functions that write a study's features, so that these are equal to the bit.
        read = encoder_reader(self.model.encoder, [place], device=self._device)
        parts = collect_places(read, self._batches(clips, names), device=self._device)
        return mean_over_steps(read_out(feature_set([parts], place, {}), READOUT)).features

    def _checked(
        self, clips: Sequence[object], names: Sequence[str] | None, *, resize: bool
    ) -> Sequence[str]:
        """Refuse clips and names that do not fit; return the names."""
        names = names_of(clips, names)
        check_clips(clips, names, self.description.sampling, resize=resize)
        return names

    def _batches(self, clips: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> Iterator[Batch]:
        """Yield what the model sees of the clips, in batches that fit into memory."""
        for first in range(0, len(clips), CLIPS_AT_ONCE):
            some = slice(first, first + CLIPS_AT_ONCE)
            seen = [see_given(clip, self.description.sampling) for clip in clips[some]]
            video = torch.from_numpy(np.stack(seen))
            yield Batch(tuple(names[some]), video, NO_TARGET, NO_TARGET)

    @torch.inference_mode()
    def _describe(self, batch: Batch, top: int) -> list[Description]:
        features = self.model.encoder(batch.video.to(self._device)).float()
        groups = categories = None
        if self.model.head is not None:
            probs = self.model.head(features).softmax(dim=1).cpu()  # (B, K)
            groups, categories = self._named(probs, top)
        captions = self._captions(features)
        typical: list[float] | None = None
        if self.familiarity is not None:
            typical = self.familiarity.typical(features.mean(dim=1).cpu().numpy()).tolist()
        return [
            Description(
                name,
                None if groups is None else groups[index],
                None if categories is None else categories[index],
                None if captions is None else captions[index],
                typical=None if typical is None else typical[index],
            )
            for index, name in enumerate(batch.clip_ids)
        ]

    def _named(self, probs: Tensor, top: int) -> tuple[list[Ranking] | None, list[Ranking] | None]:
        """Name the classes of float (B, K) probabilities, as groups and as categories."""
        taxonomy, level = self.description.taxonomy, self.description.level
        assert level is not None, "a head tells the classes of a level apart"
        if level != CATEGORY:
            return [_most_probable(row, taxonomy.names(level), top) for row in probs], None
        categories = [_most_probable(row, taxonomy.categories, top) for row in probs]
        if ACTION_GROUP not in taxonomy.levels:
            return None, categories
        names = taxonomy.names(ACTION_GROUP)
        # A fine model scored on groups: the probabilities of a group's categories add up.
        of_group = torch.zeros(len(probs), len(names))
        of_group.index_add_(1, torch.from_numpy(taxonomy.index_of(ACTION_GROUP)), probs)
        return [_most_probable(row, names, top) for row in of_group], categories

    def _captions(self, features: Tensor) -> list[str] | None:
        decoder, vocabulary = self.model.decoder, self.description.vocabulary
        if decoder is None or vocabulary is None:
            return None
        tokens = decode_captions(decoder, features, self.beams)
        return [vocabulary.decode(caption) for caption in tokens.tolist()]


def _most_probable(probs: Tensor, names: Sequence[str], top: int) -> Ranking:
    # Stable: equal probabilities keep the order of the classes, on every device.
    order = probs.argsort(descending=True, stable=True)[:top].tolist()
    return tuple(NamedProbability(names[index], float(probs[index])) for index in order)
