"""Hash everything that the installed taskgrain writes: two studies, and every tool.

    python -m tests.golden.take FOLDER           runs everything in FOLDER, writes golden.json
    python -m tests.golden.take --compare A B    names what differs between two such folders

For a reshaping that must not move a number: take one folder before it and one after it, on one
machine in one sitting (`PYTHONPATH=CHECKOUT/src` chooses the code), and compare. Some minutes
each. Times, commits and commands are masked; of pages and figures only the numbers are hashed, so
that their words may change.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = "golden.json"
STUDY = Path(__file__).with_name("fat.toml")
CHECKPOINT = "runs/fat/checkpoints/joint-seed-3/last"
COMMANDS = {
    "render clips": ("render", "clips", "--train", "80", "--validation", "40", "--seed", "3"),
    "render others": ("render", "others", "--train", "480", "--validation", "40", "--seed", "4"),
    "check": ("check", "clips", "--out", "checked", "--json"),
    "labels": ("labels", "clips", "--json"),
    "pack": ("pack", "clips", "store", "--json"),
    "import": ("import", "foreign", "imported", "--json"),
    "cut": ("cut", "clips/videos", "cut", "--task", "forward-or-reversed", "--json"),
    "dry run": ("study", "fat.toml", "--dry-run", "--json"),
    "smoke": ("study", "smoke", "--quiet", "--workers", "2"),
    "fat": ("study", "fat.toml", "--quiet", "--workers", "2"),
    "report": ("report", "runs/fat"),
    "evidence": ("report", "runs/fat", "--evidence", "evidence"),
    "features": ("features", CHECKPOINT, "others", "features.npz", "--json"),
    "describe": ("describe", CHECKPOINT, "clips/videos/1000001.webm", "--json"),
    "score": (
        *("score", "runs/fat/captions/joint-seed-3.json", "--references"),
        *("references.json", "--training", "clips/train.json", "--json"),
    ),
    "compare": (
        *("compare", "features.npz", "pixels.npz", "--labels", "labels.csv", "--draws", "4"),
        *("--out", "compared", "--json"),
    ),
}
# Files and keys that say when, where, how fast and by which version something was done.
MASKED_FILES = frozenset({"timings.jsonl", GOLDEN})
MASKED_KEYS = frozenset(
    {"taskgrain", "commit", "command", "seconds", "machine", "processors", "libraries", "python"}
    | {"data_share", "clips_per_second", "changed"}
)
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def take(folder: Path) -> None:
    """Run every command in a folder and write the hash of everything that came out."""
    folder.mkdir(parents=True)
    (folder / "fat.toml").write_bytes(STUDY.read_bytes())
    printed = {}
    for name, arguments in COMMANDS.items():
        if name == "check":
            write_list(folder)
            write_foreign(folder)
        if name == "score":
            write_references(folder)
        if name == "compare":
            write_arrays(folder)
        done = subprocess.run(
            [sys.executable, "-m", "taskgrain", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        print(f"{name}: exit {done.returncode}", flush=True)
        if done.returncode:
            sys.exit(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
        printed[f"printed by {name}"] = digest(masked_text(done.stdout))
    hashes = {
        str(path.relative_to(folder)): digest(masked(path, folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in MASKED_FILES
    }
    (folder / GOLDEN).write_text(json.dumps({**printed, **hashes}, indent=1) + "\n")
    print(f"{len(printed) + len(hashes)} hashes in {folder / GOLDEN}")


def write_list(folder: Path) -> None:
    """Write a few-shot list of the clips of four categories, as CMN publishes them."""
    lines = []
    for split in ("train", "validation"):
        rows = json.loads((folder / "others" / f"{split}.json").read_text())
        for row in rows:
            name = row["template"].replace("[", "").replace("]", "").replace(" ", "_")
            lines.append((name, f"{name}/{row['id']}\n"))
    names = sorted({name for name, _ in lines})
    chosen = [name for name in names if sum(each == name for each, _ in lines) >= 12][:4]
    (folder / "list.txt").write_text("".join(line for name, line in lines if name in chosen))


def write_foreign(folder: Path) -> None:
    """Write a dataset that has to be imported: the clips in a folder for each class."""
    for row in json.loads((folder / "others" / "train.json").read_text()):
        clip = folder / "others" / "videos" / f"{row['id']}.webm"
        copied = folder / "foreign" / row["label"][:12].strip() / clip.name
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(clip.read_bytes())


def write_references(folder: Path) -> None:
    """Write the annotations of the clips that have a caption: those of base categories."""
    captions = json.loads((folder / "runs/fat/captions/joint-seed-3.json").read_text())
    rows = json.loads((folder / "runs/fat/data/source/validation.json").read_text())
    ids = {each["id"] for each in captions}
    (folder / "references.json").write_text(json.dumps([row for row in rows if row["id"] in ids]))


def write_arrays(folder: Path) -> None:
    """Write a second encoder's features of the same clips, and the labels of both."""
    import numpy as np

    with np.load(folder / "features.npz") as found:
        ids = found["clip"]
    drawn = np.random.default_rng(0).normal(size=(len(ids), 12)).astype(np.float32)
    np.savez(folder / "pixels.npz", clip=ids, features=drawn)
    lines = [f"{name},{index % 3},{'query' if index % 2 else 'support'}\n"
             for index, name in enumerate(ids)]  # fmt: skip
    (folder / "labels.csv").write_text("clip,label,split\n" + "".join(lines))


def masked(path: Path, folder: Path) -> bytes:
    """Return what of a file has to stay: without times, the folder's name, and words of pages."""
    if path.suffix not in (".html", ".svg", ".json", ".jsonl", ".toml"):
        return path.read_bytes()
    text = path.read_text(encoding="utf-8").replace(str(folder.resolve()), "FOLDER")
    if path.suffix not in (".html", ".svg"):
        return masked_text(text)
    for value in _of_this_run(path.with_name("provenance.json")):
        text = text.replace(value, "")
    return " ".join(NUMBER.findall(re.sub(r'"[^"]*;base64,[^"]*"', "", text))).encode()


def _of_this_run(provenance: Path) -> tuple[str, ...]:
    """Return the commit and the seconds of a run, as its page shows them."""
    if not provenance.is_file():
        return ()
    facts = json.loads(provenance.read_text(encoding="utf-8"))
    return facts["commit"], f"{facts['seconds']:.1f}"


def masked_text(text: str) -> bytes:
    """Return JSON, or lines of it, without the masked keys; other text as it is."""
    try:
        return json.dumps(without(json.loads(text))).encode()
    except ValueError:
        return "\n".join(_lines(text)).encode()


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        try:
            yield json.dumps(without(json.loads(line)))
        except ValueError:
            yield line


def without(value: Any) -> Any:
    """Return JSON without the masked keys, at any depth."""
    if isinstance(value, dict):
        return {key: without(each) for key, each in value.items() if key not in MASKED_KEYS}
    return [without(each) for each in value] if isinstance(value, list) else value


def digest(content: bytes) -> str:
    """Return the first half of the SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:32]


def compare(first: Path, second: Path) -> int:
    """Name each hash that differs or is on one side alone; return 1 if there is any."""
    one, two = (json.loads((folder / GOLDEN).read_text()) for folder in (first, second))
    moved = [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]
    for name in moved:
        where = "" if name in one and name in two else ", on one side alone"
        print(f"{name}{where}")
    print(f"{len(moved)} of {len({*one, *two})} differ")
    return 1 if moved else 0


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3])))
    take(Path(sys.argv[1]))
