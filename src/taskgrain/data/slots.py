"""The times of frames in a file that only numbers its packets in the order of decoding."""

from __future__ import annotations

from bisect import insort

# Packets that a decoder of H.264 or H.265 may hold back at a time. Where it holds more, some gave
# no frame, and their times are no frame's.
MOST_HELD = 17


class Slots:
    """Hand the times of the packets sent to a decoder to the frames that it gives, in order.

    AVI gives every packet of its video one slot of a steady clock, and knows nothing of frames
    that are shown in another order than they are decoded in. FFmpeg then guesses, and B-frames
    come one or two frames early; but the frames come in the order of display, so that the n-th
    of them has the n-th slot.
    """

    def __init__(self) -> None:
        """Begin before the first packet."""
        self._times: list[float] = []

    def send(self, at: float) -> None:
        """Take note of a packet of the time `at`, in seconds."""
        insort(self._times, at)
        if len(self._times) > MOST_HELD:
            del self._times[0]

    def lose(self, at: float) -> None:
        """Take note that the packet of the time `at` will give no frame."""
        if at in self._times:
            self._times.remove(at)

    def next(self) -> float | None:
        """Return the time of the next frame, in seconds; None where no packet is left for it."""
        return self._times.pop(0) if self._times else None
