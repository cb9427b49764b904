"""Clips that a program gives as arrays: checked, and cut to what a model sees of them.

Shapes: S frames of a clip, H' W' its pixels, T frames and H W pixels that the model sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.framing import Framing, write_image
from taskgrain.data.sampling import FrameSampling, central_window

NUM_PLANES = 3
EXPECTED = "expected a numpy array, uint8 (frames, height, width, 3), RGB"


def names_of(clips: Sequence[object], names: Sequence[str] | None) -> Sequence[str]:
    """Name each clip: as given, or "clip 0", "clip 1", ...

    Raises:
        ValueError: if the clips are no sequence, or the names are not one text for each.
    """
    if not (hasattr(clips, "__len__") and hasattr(clips, "__getitem__")):
        raise ValueError(f"clips is a {type(clips).__name__}; expected a list: give list(clips)")
    if names is None:
        return [f"clip {index}" for index in range(len(clips))]
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise ValueError(f"names is {names!r:.80}; expected a list of texts, one for each clip")
    if len(names) != len(clips):
        raise ValueError(
            f"names: found {len(names)} of them; expected one for each of {len(clips)} clips"
        )
    return names


def check_clips(
    clips: Sequence[object], names: Sequence[str], sampling: FrameSampling, *, resize: bool
) -> None:
    """Refuse clips of which a model would see something else than it was trained on.

    Args:
        clips: each to be uint8 (S, H', W', 3), RGB, S >= 1.
        names: of the clips, for messages.
        sampling: what the model is shown of a clip.
        resize: whether frames may have another size than the stored one.

    Raises:
        ValueError: naming the first clip that does not fit, what was found and what was expected.
    """
    if isinstance(clips, np.ndarray) and clips.ndim == 4:
        raise ValueError(
            f"clips is one array of shape {clips.shape}; expected a sequence of clips: give [clip]"
        )
    for clip, name in zip(clips, names, strict=True):
        problem = _problem(clip, sampling, resize=resize)
        if problem is not None:
            raise ValueError(f"{name}: {problem}")


def see_given(clip: NDArray[np.uint8], sampling: FrameSampling) -> NDArray[np.uint8]:
    """Cut what evaluation sees out of a clip of any size: uint8 (S, H', W', 3) -> (T, H, W, 3).

    Frames of another size than the stored one are scaled as images of a folder of frames are.
    """
    window = central_window(len(clip), sampling)
    frames = clip[window.frames]
    framing = Framing(sampling.store_height, sampling.store_width, sampling.fit)
    if frames.shape[1:3] != (framing.height, framing.width):
        scaled = np.empty((len(frames), framing.height, framing.width, NUM_PLANES), np.uint8)
        for frame, out in zip(frames, scaled, strict=True):
            write_image(frame, framing, out)
        frames = scaled
    return frames[:, window.rows, window.columns]


def _problem(clip: object, sampling: FrameSampling, *, resize: bool) -> str | None:
    if not isinstance(clip, np.ndarray):
        mend = "; numpy.stack(frames) makes one of a list" if isinstance(clip, list | tuple) else ""
        if hasattr(clip, "numpy"):
            mend = "; a tensor's .numpy() is one"
        return f"is a {type(clip).__module__}.{type(clip).__name__}; {EXPECTED}{mend}"
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != NUM_PLANES:
        return f"is {clip.dtype} of shape {clip.shape}; {EXPECTED}"
    if not clip.size:
        return f"has no pixels (its shape is {clip.shape}); expected at least one frame"
    height, width = clip.shape[1:3]
    stored = sampling.store_height, sampling.store_width
    if (height, width) != stored and not resize:
        return (
            f"frames are {height} x {width} pixels (height x width); expected the size that the "
            f"model's clips are stored in, {stored[0]} x {stored[1]}; resize=True scales them"
        )
    return None
