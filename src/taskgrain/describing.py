"""From a clip to its description by a checkpoint: its groups, its category, its caption.

Shapes: S stored frames of a clip, T frames that the model sees, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskgrain.checkpoint import ModelDescription, load_model
from taskgrain.data.dataset import Batch
from taskgrain.data.decode import DecodedClip
from taskgrain.data.sampling import check_clips, decode_stored, names_of, see_given
from taskgrain.decoding import GREEDY, BeamSettings
from taskgrain.familiarity import Familiarity
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, NamedProbability, Ranking
from taskgrain.models.model import SourceModel, encoder_width
from taskgrain.models.weights import find_checkpoint
from taskgrain.train.precision import usable_device
from taskgrain.train.step import decode_captions
from taskgrain.transfer.extract import collect_places, encoder_reader, feature_set
from taskgrain.transfer.features import PLACE_OF, mean_over_steps, read_out

if TYPE_CHECKING:
    from taskgrain.names import Readout

CLIPS_AT_ONCE = 16  # that are read together
UNLIKE = 0.05  # share of own clips; a clip that is rarer is said to be unlike them
READOUT: Readout = "lstm-mean"  # what transfer reads by default
NO_TARGET = torch.zeros(0, dtype=torch.long)  # nothing is compared


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


class Describer:
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
    ) -> Describer:
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
        familiarity = Familiarity.read(find_checkpoint(folder), encoder_width(model.encoder))
        return cls(model, description, device, beams, familiarity=familiarity)

    def __repr__(self) -> str:
        return f"<Describer: {self.summary}>"

    @property
    def summary(self) -> str:
        """Return which model it is, what it answers and sees, and where, in a line."""
        return f"{self.description.summary}; on {self._device}"

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
