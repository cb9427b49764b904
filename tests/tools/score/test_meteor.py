from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from taskgrain.errors import ResultError
from taskgrain.metrics.ptb import ptb_words
from taskgrain.tools.score.meteor import JAR_VARIABLE, Meteor, find_jar

SAID = ["pushing a cup from left to right", "tearing paper", ""]
OF_PYCOCOEVALCAP = 0.2588995458115586  # by Meteor().compute_score of version 1.2 on the same words
TRUE = [["pushing a mug from left to right", "pushing a cup"], ["tearing a page"], ["a cat"]]


def test_without_java_meteor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ResultError, match=r"needs Java.*default-jre-headless"):
        Meteor()


def test_a_jar_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResultError, match=r"mine\.jar: no such file"):
        find_jar(tmp_path / "mine.jar")
    monkeypatch.setenv(JAR_VARIABLE, str(tmp_path / "other.jar"))
    with pytest.raises(ResultError, match=r"other\.jar: no such file"):
        find_jar()
    (tmp_path / "other.jar").touch()
    with pytest.raises(ResultError, match=r"paraphrase-en\.gz: no such file"):
        find_jar()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JAR_VARIABLE, raising=False)
    monkeypatch.setattr("taskgrain.tools.score.meteor.find_spec", lambda name: None)
    with pytest.raises(ResultError, match=r"pip install 'taskgrain\[meteor\]'"):
        find_jar()


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java")
def test_a_jar_that_fails_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "paraphrase-en.gz").touch()
    jar = tmp_path / "broken.jar"
    jar.write_text("this is no jar")
    with Meteor(jar) as meteor, pytest.raises(ResultError, match=r"broken\.jar: METEOR ended: .+"):
        meteor.score([("a",)], [[("a",)]])


@pytest.mark.slow  # Java reads the table of paraphrases first
@pytest.mark.skipif(shutil.which("java") is None, reason="no Java")
def test_meteor_is_that_of_pycocoevalcap_wherever_its_jar_lies(tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap.meteor.meteor")
    home = tmp_path / "with a space, and \u00e4"
    (home / "data").mkdir(parents=True)
    jar = find_jar(None)
    shutil.copyfile(jar, home / jar.name)
    for table in (jar.parent / "data").iterdir():
        (home / "data" / table.name).symlink_to(table)
    with Meteor(home / jar.name) as meteor:
        score = meteor.score(
            [ptb_words(each) for each in SAID], [[ptb_words(one) for one in each] for each in TRUE]
        )
    assert score == pytest.approx(OF_PYCOCOEVALCAP, abs=1e-9)
