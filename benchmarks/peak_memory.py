"""Run a command and print the peak memory of it and all its children.

Usage: python benchmarks/peak_memory.py taskgrain study smoke --out /tmp/smoke

Memory is the sum over processes of their proportional set size, file-backed pages left out: mapped
frames belong to the page cache and would be counted once a process. Linux only.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

POLL_SECONDS = 0.5
COUNTED = ("Pss_Anon:", "Pss_Shmem:")


def own_kilobytes(pid: int) -> int:
    """Read what one process holds in memory of its own; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(COUNTED))


def tree_kilobytes(pid: int) -> int:
    """Add up a process and its descendants."""
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(own_kilobytes(process.pid) for process in processes)


def main() -> None:
    """Run the command given as arguments and watch it."""
    process = subprocess.Popen(sys.argv[1:])
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_kilobytes(process.pid))
        time.sleep(POLL_SECONDS)
    print(f"peak memory {peak / 2**20:.2f} GiB, exit code {process.returncode}")


if __name__ == "__main__":
    main()
