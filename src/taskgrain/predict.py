"""A model and clips in, its answers out: what programs use.

Shapes: S frames of a clip, H' W' its pixels, N clips, D width of the features.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from taskgrain.checkpoint import ModelDescription as ModelDescription
from taskgrain.checkpoint import load_model as load_model
from taskgrain.describing import Describer as Describer
from taskgrain.describing import Description as Description
from taskgrain.errors import CheckpointError
from taskgrain.labels.taxonomy import NamedProbability as NamedProbability
from taskgrain.labels.taxonomy import Ranking as Ranking
from taskgrain.models.weights import find_checkpoint
from taskgrain.teaching.given import GivenClips, teach_given
from taskgrain.teaching.model import Prediction as Prediction
from taskgrain.teaching.model import TaughtModel as TaughtModel
from taskgrain.teaching.outcome import read_estimate
from taskgrain.teaching.taught import is_taught
from taskgrain.teaching.teach import ALPHA, AUTO, Teaching
from taskgrain.teaching.teach import teach as teach_folder


class Predictor:
    """A model that is ready for clips: a study's checkpoint, or what was taught.

    | | a study's checkpoint | a taught model |
    |---|---|---|
    | `describe`, `describe_file` | groups, categories, caption | - |
    | `predict`, `predict_file` | - | an action of yours, or none of these |
    | `estimate` | - | how often it will be right |
    | `features` | of its encoder | of its encoder |
    | `teach`, `teach_clips` | a taught model | another taught model, with the same encoder |

    What a model does not answer is refused with a CheckpointError that names what to call instead.
    """

    def __init__(
        self,
        opened: Describer | TaughtModel,
        folder: Path | None = None,
        *,
        device: str = "cpu",
        estimate: Mapping[str, object] | None = None,
    ) -> None:
        """Keep an opened model; see `from_checkpoint`.

        Args:
            opened: the model.
            folder: of its files; None of a taught model in memory.
            device: where its networks are, and those that it teaches with will be.
            estimate: of a taught model; None: it lies in the folder.
        """
        self._opened = opened
        self._folder = folder
        self._device = device
        self._estimate = estimate

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
        """Open a study's checkpoint, or a model that was taught.

        Args:
            folder: a checkpoint, a run with one training in it, or what `taskgrain teach`, `teach`
                or `teach_clips` wrote.
            encoder: an untrained module of the same kind, for a checkpoint of your own encoder.
            device: where the network computes, "cpu" or "cuda".
            beam_width: beginnings of a caption that are followed side by side; 1 is greedy.
            length_penalty: whole captions compare by log-probability / tokens ** this.

        Raises:
            CheckpointError: if a file is missing, malformed or does not fit, or the encoder on
                this machine is not the one that the model was taught with.
            ConfigError: if the weights of a taught model's encoder are not on this machine.
            ValueError: if `beam_width` is below 1, `length_penalty` below 0 or infinite, or if a
                taught model is given any of these or an encoder.
        """
        folder = Path(folder)
        if is_taught(folder):
            if encoder is not None or (beam_width, length_penalty) != (1, 0.0):
                raise ValueError(
                    f"{folder}: encoder, beam_width and length_penalty are for a study's "
                    "checkpoint; this is a taught model, which brings its encoder and has no "
                    "captions"
                )
            return cls(TaughtModel.from_folder(folder, device=device), folder, device=device)
        folder = find_checkpoint(folder)
        describer = Describer.from_checkpoint(
            folder,
            encoder=encoder,
            device=device,
            beam_width=beam_width,
            length_penalty=length_penalty,
        )
        return cls(describer, folder, device=device)

    def __repr__(self) -> str:
        return f"<Predictor: {self._opened.summary}>"

    @property
    def describer(self) -> Describer:
        """The study's checkpoint, with its networks and what model.json says of them.

        Raises:
            CheckpointError: if this is a taught model.
        """
        if isinstance(self._opened, Describer):
            return self._opened
        raise CheckpointError(
            f"{self._name}: a taught model, which has no groups, categories or captions; "
            "predict(clips) and predict_file(path) answer with its actions"
        )

    @property
    def taught(self) -> TaughtModel:
        """The taught model, with its classifier and its encoder.

        Raises:
            CheckpointError: if this is a study's checkpoint.
        """
        if isinstance(self._opened, TaughtModel):
            return self._opened
        raise CheckpointError(
            f"{self._name}: a study's checkpoint, which was taught none of your actions; "
            "describe(clips) and describe_file(path) answer with what it was trained for, "
            "teach(folder, out) makes a model of your actions with its encoder"
        )

    @property
    def _name(self) -> str:
        return "this model" if self._folder is None else str(self._folder)

    def describe(
        self,
        clips: Sequence[NDArray[np.uint8]],
        names: Sequence[str] | None = None,
        *,
        top: int = 5,
        resize: bool = False,
    ) -> list[Description]:
        """Describe clips by a study's checkpoint; an empty list gives an empty list.

        Args:
            clips: uint8 (S, H', W', 3) each, RGB, 12 frames a second as a rule, S >= 1 of any
                number, at the checkpoint's stored size.
            names: one for each clip; None names them "clip 0", "clip 1", ...
            top: how many classes to name, at least 1.
            resize: scale frames of any other size to the stored one, as decoding does.

        Raises:
            ValueError: if a clip is anything else, or names or `top` do not fit.
            CheckpointError: if this is a taught model.
        """
        return self.describer.describe(clips, names, top=top, resize=resize)

    def describe_file(self, path: Path | str, *, top: int = 5) -> Description:
        """Describe a video file, or a folder of images, by a study's checkpoint.

        A truncated file is described as far as it goes; see `problem`.

        Raises:
            ClipError: if it cannot be decoded.
            CheckpointError: if this is a taught model.
        """
        return self.describer.describe_file(path, top=top)

    def predict(
        self, clips: Sequence[NDArray[np.uint8]], names: Sequence[str] | None = None
    ) -> list[Prediction]:
        """Answer by a taught model which action clips show, or that it is none of its actions.

        Args:
            clips: uint8 (S, H', W', 3) each, RGB, 12 frames a second as a rule, of any size.
            names: one for each clip; None names them "clip 0", "clip 1", ...

        Returns:
            One prediction a clip: of an empty list an empty one. `answer.label` is the action, or
            None; `answer.verdict` says whether the model knows it from others at all.

        Raises:
            ValueError: if a clip is anything else, or names do not fit.
            CheckpointError: if this is a study's checkpoint.
        """
        return self.taught.predict(clips, names)

    def predict_file(self, path: Path | str) -> Prediction:
        """Answer by a taught model which action a video file, or a folder of images, shows.

        A truncated file is read as far as it goes; see `problem`.

        Raises:
            ClipError: if it cannot be decoded.
            CheckpointError: if this is a study's checkpoint.
        """
        return self.taught.predict_file(path)

    def features(
        self, clips: Sequence[NDArray[np.uint8]], *, resize: bool = False
    ) -> NDArray[np.float32]:
        """Compute features of clips.

        Those of a study's checkpoint are its encoder's, as transfer tests them: the mean over the
        steps. Those of a taught model are what its classifier reads.

        Args:
            clips: as in `describe` or `predict`.
            resize: as in `describe`; a taught model takes frames of any size in any case.

        Returns:
            float32 (N, D), a row a clip; (0, D) of no clips.

        Raises:
            ValueError: if a clip is anything else.
            ResultError: if features are NaN or infinite, naming the clip.
        """
        if isinstance(self._opened, Describer):
            return self._opened.features(clips, resize=resize)
        return self._opened.features(clips)

    @property
    def estimate(self) -> Mapping[str, object]:
        """How good a taught model will be on new recordings, as JSON reads it.

        docs/data-format.md, "A taught model", has its keys: `estimate["accuracy"]["value"]` is how
        often it will be right on a clip of a new recording.

        Raises:
            CheckpointError: if this is a study's checkpoint, or estimate.json is not whole.
        """
        taught = self.taught
        if self._estimate is None:
            assert self._folder is not None, f"{taught} lies in a folder, or came with its estimate"
            self._estimate = read_estimate(self._folder)
        return self._estimate

    def teach(
        self,
        folder: Path | str,
        out: Path | str,
        *,
        none: Path | str | None = None,
        recordings: Path | str | None = None,
        rejected: float = ALPHA,
    ) -> Predictor:
        """Teach a classifier of your own actions with this model's encoder, from a folder.

        Arguments, what is returned and errors are those of `teach`, but for the encoder; and:

        Raises:
            CheckpointError: if this is a checkpoint of your own encoder, which cannot be stored.
        """
        return teach(
            folder,
            out,
            none=none,
            recordings=recordings,
            encoder=self._encoder_name(),
            rejected=rejected,
            device=self._device,
        )

    def teach_clips(
        self,
        clips: Sequence[NDArray[np.uint8]],
        labels: Sequence[str | None],
        recordings: Sequence[Hashable] | None = None,
        *,
        out: Path | str | None = None,
        rejected: float = ALPHA,
    ) -> Predictor:
        """Teach a classifier of your own actions with this model's encoder, from clips in memory.

        Arguments, what is returned and errors are those of `teach_clips`, but for the encoder; and:

        Raises:
            CheckpointError: if this is a checkpoint of your own encoder, which cannot be stored.
        """
        return teach_clips(
            clips,
            labels,
            recordings,
            encoder=self._encoder_name(),
            out=out,
            rejected=rejected,
            device=self._device,
        )

    def _encoder_name(self) -> str:
        """Return the encoder's name, as `encoder_named` takes it.

        Raises:
            CheckpointError: if it is the user's own.
        """
        if isinstance(self._opened, TaughtModel):
            return self._opened.encoder.name
        if self._opened.description.shape is None or self._folder is None:
            raise CheckpointError(
                f"{self._name}: has an encoder of your own, which a taught model could not carry "
                "along; fit a classifier of yours on features(clips)"
            )
        return str(self._folder)


def teach(  # noqa: PLR0913 - the options of the command
    folder: Path | str,
    out: Path | str,
    *,
    none: Path | str | None = None,
    recordings: Path | str | None = None,
    encoder: str = AUTO,
    rejected: float = ALPHA,
    device: str = "cpu",
) -> Predictor:
    """Teach a classifier of your own actions from a folder, as `taskgrain teach` does.

    Args:
        folder: a folder of clips for each action, or a dataset of any layout.
        out: folder of the model: new, empty, or of an earlier teaching, which is replaced.
        none: folder of clips that show none of the actions.
        recordings: table with the columns `clip` and `recording`: which were filmed in one go.
        encoder: "auto", the best of those on this machine; or "imagenet", "motion-energy",
            "pixels", LIBRARY:NAME as "torchvision:r3d_18", or the folder of a checkpoint.
        rejected: share of clips of the actions that may be answered "none of these", .001 to .5.
        device: where the encoder computes, "cpu" or "cuda".

    Returns:
        The taught model, which predicts; its `estimate` says how often it will be right.

    Raises:
        ValueError: if `rejected` is out of its range.
        ManifestError: if the clips cannot serve.
        ConfigError: if there is no such encoder, or its weights are not on this machine.
        RunError: if `out` holds other things, or lies in `folder`.
        CheckpointError: if the encoder's weights are not whole.
        ResultError: if features are NaN or infinite.
    """
    teaching = Teaching(
        Path(folder),
        None if none is None else Path(none),
        None if recordings is None else Path(recordings),
        encoder,
        rejected,
        device,
    )
    teach_folder(teaching, Path(out))
    return Predictor.from_checkpoint(out, device=device)


def teach_clips(  # noqa: PLR0913 - the options of the command
    clips: Sequence[NDArray[np.uint8]],
    labels: Sequence[str | None],
    recordings: Sequence[Hashable] | None = None,
    *,
    encoder: str = AUTO,
    out: Path | str | None = None,
    rejected: float = ALPHA,
    device: str = "cpu",
) -> Predictor:
    """Teach a classifier of your own actions from clips in memory.

    Args:
        clips: uint8 (S, H', W', 3) each, RGB, 12 frames a second as a rule, of any size.
        labels: the action of each clip; None: it shows none of the actions.
        recordings: which recording each clip is of, by any values: equal for clips that were
            filmed in one go, `range(len(clips))` where none were. None: not known. The model then
            answers, but there is no estimate of how often it is right about new recordings, and
            it never answers "none of these".
        encoder: as in `teach`.
        out: folder to write the model into, as in `teach`; None writes nothing.
        rejected: as in `teach`.
        device: as in `teach`.

    Returns:
        The taught model, which predicts; its `estimate` says how often it will be right.

    Raises:
        ValueError: if clips, labels or recordings do not fit, there are fewer than two actions, an
            action has fewer than two clips, or `rejected` is out of its range.
        ConfigError: if there is no such encoder, or its weights are not on this machine.
        RunError: if `out` holds other things.
        CheckpointError: if the encoder's weights are not whole.
        ResultError: if features are NaN or infinite.
    """
    given = GivenClips(clips, labels, recordings)
    where = None if out is None else Path(out)
    outcome, chosen = teach_given(given, encoder=encoder, out=where, alpha=rejected, device=device)
    taught = TaughtModel(outcome.taught, chosen)
    return Predictor(taught, where, device=device, estimate=outcome.to_json())
