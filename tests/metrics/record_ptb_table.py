"""Run captions through Stanford's PTBTokenizer 3.4.1, as coco-caption does.

`python -m tests.metrics.record_ptb_table` writes ptb_table.json anew: its keys are sentences, its
values the tokens that are left once coco-caption's punctuation is dropped, with a space between.
It needs Java and pycocoevalcap, which brings the jar.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

TABLE = Path(__file__).with_name("ptb_table.json")
_CLASS = "edu.stanford.nlp.process.PTBTokenizer"
_NEUTRAL = "xx"  # a line that leaves the words of the line before it as they are


def words_through_java(captions: Sequence[str]) -> list[list[str]]:
    """Split captions that stand in one file, one a line, in this order."""
    from pycocoevalcap.tokenizer import ptbtokenizer

    jar = Path(ptbtokenizer.__file__).parent / ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "captions.txt")
        file.write_text("\n".join(captions), encoding="utf-8")
        command = ["java", "-Dfile.encoding=UTF-8", "-cp", str(jar), _CLASS]
        command += ["-preserveLines", "-lowerCase", str(file)]
        done = subprocess.run(command, capture_output=True, check=True)
    lines = done.stdout.decode("utf-8").split("\n")[: len(captions)]
    dropped = {"", *ptbtokenizer.PUNCTUATIONS}
    return [[word for word in line.split(" ") if word not in dropped] for line in lines]


def main() -> None:
    """Write the table anew; each sentence is split by itself."""
    sentences = list(json.loads(TABLE.read_text(encoding="utf-8")))
    lines = [line for sentence in sentences for line in (sentence, _NEUTRAL)]
    words = words_through_java(lines)[::2]
    table = {sentence: " ".join(each) for sentence, each in zip(sentences, words, strict=True)}
    TABLE.write_text(json.dumps(table, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
