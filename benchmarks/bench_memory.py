"""Memory of `check` and `pack`: 20,000 clips against 1,000, the whole process tree.

Memory is the sum over processes of their proportional set size, at its peak. The clips are links to
one small file: what grows with their number is what is kept of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import psutil
from benchmarks.table import Row, main_of

FEW, MANY = 1_000, 20_000
POLL_SECONDS = 0.1
WANTED = 0.85  # so much of the memory is there with few clips already
COMMANDS = {
    "check": ["check", "DATA", "--workers", "2", "--quiet"],
    "pack": ["pack", "DATA", "STORE", "--workers", "2", "--quiet", "--height", "8", "--width", "8"],
}


def write_clip(path: Path) -> None:
    """Write four frames of nothing."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=12)
        assert isinstance(stream, av.VideoStream)
        stream.height = stream.width = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_dataset(root: Path, num_clips: int) -> None:
    """Write a dataset of links to one clip, with labels as long as the real ones."""
    (root / "videos").mkdir(parents=True)
    write_clip(root / "clip.webm")
    rows = []
    for n in range(num_clips):
        if n % 50_000 == 49_999:  # a file has so many names at most on some file systems
            write_clip(root / "clip.webm")
        os.link(root / "clip.webm", root / "videos" / f"{n}.webm")
        thing = f"a red cup number {n}"
        rows.append(
            {
                "id": str(n),
                "label": f"pushing {thing} from left to right",
                "template": "Pushing [something] from left to right",
                "placeholders": [thing],
            }
        )
    (root / "train.json").write_text(json.dumps(rows[10:]))
    (root / "validation.json").write_text(json.dumps(rows[:10]))
    (root / "clip.webm").unlink()


def peak_megabytes(command: list[str]) -> float:
    """Run a command to its end, and give the most that its processes held together."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_bytes(process.pid))
        time.sleep(POLL_SECONDS)
    assert process.returncode in (0, 1), command  # 1: check finds one content in two splits
    return peak / 1e6


def tree_bytes(pid: int) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0  # one ended while it was looked at: the next look counts
    return total


def measure(small: bool) -> list[Row]:
    few, many = (20, 40) if small else (FEW, MANY)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        roots = {number: Path(folder, str(number)) for number in (few, many)}
        for number, root in roots.items():
            write_dataset(root, number)
        for name, command in COMMANDS.items():
            peaks = {}
            for number, root in roots.items():
                place = {"DATA": str(root), "STORE": str(root) + "-store"}
                words = [place.get(word, word) for word in command]
                peaks[number] = peak_megabytes([sys.executable, "-m", "taskgrain", *words])
            grown = (peaks[many] - peaks[few]) / (many - few) * 1e6
            rows.append(
                Row(
                    f"memory of {name}, {many:,} clips",
                    peaks[many],
                    f"{few:,} clips",
                    peaks[few],
                    unit="MB",
                    wanted=WANTED,
                    note=f"{grown:.0f} bytes a clip",
                )
            )
    return rows


if __name__ == "__main__":
    main_of(measure, __doc__)
