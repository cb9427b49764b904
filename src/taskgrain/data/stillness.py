"""Notice a clip that shows few of its frames for most of its time."""

from __future__ import annotations

from array import array

import numpy as np

# A frame that stays for longer than both of these stands for others that never came.
LONG_SECONDS = 1.0
LONG_TIMES = 10.0  # the usual time between two frames
MOST_SHARE = 0.5  # of a clip's time that such frames may take


def still_note(starts: array[float], end: float) -> str | None:
    """Return what is to be known of a clip most of whose time is a few frames; None otherwise.

    Its clock may have jumped, as that of a recorder which sets it after its first frame; frames
    drawn evenly from such a clip are nearly all the same picture. It may also be meant so.

    Args:
        starts: of the frames, ascending, in seconds.
        end: of the last frame, in seconds.
    """
    if len(starts) < 2:
        return None
    at = np.frombuffer(starts)
    gaps = at[1:] - at[:-1]
    if max(gaps.max(), end - at[-1]) <= LONG_SECONDS:  # as nearly always
        return None
    stays = np.append(gaps, end - at[-1])
    usual = float(np.partition(stays, (len(stays) - 1) // 2)[(len(stays) - 1) // 2])
    long = stays[stays > max(LONG_SECONDS, LONG_TIMES * usual)]
    span = end - starts[0]
    if long.sum() <= MOST_SHARE * span:
        return None
    one = len(long) == 1
    return (
        f"{len(long)} of {len(starts)} frames {'stands' if one else 'stand'} for "
        f"{long.sum():.1f} of {span:.1f} s: the clock jumped, or the picture stood still"
    )
