from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from taskgrain.jobs.starting import explain_death, why_not_importable

WORK = """
from functools import partial
from pathlib import Path

from taskgrain.jobs.executor import Cell, run_cells


class Silent:
    def started(self, cell): ...
    def advanced(self, cell, cost): ...
    def finished(self, cell, seconds, facts): print("done", cell.name)
    def stopping(self): ...


def touch(worker, path):
    path.touch()


def begin(work=touch):
    cells = [Cell("one", partial(work, path=Path("one")), 1.0, Path("one.done"), Path("one"))]
    run_cells(cells, workers=1, monitor=Silent())
"""
UNGUARDED = "import working\nworking.begin()\n"
OWN = "def mine(worker, path): path.touch()\n"
MAIN = 'if __name__ == "__main__":\n    '
KILLS = "import os, signal\ndef mine(worker, path): os.kill(os.getpid(), signal.SIGKILL)\n"
LACKS = 'lacks `if __name__ == "__main__":`'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "working.py").write_text(WORK)
    return tmp_path


def run(place: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(place), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": path},
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )


def only_error(ended: subprocess.CompletedProcess[str], code: int = 1) -> str:
    assert ended.returncode == code
    assert ended.stderr.count("Traceback") == 1, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("taskgrain.errors.RunError: "), ended.stderr
    return last


@pytest.mark.slow
@pytest.mark.parametrize("as_module", [False, True])
def test_a_program_without_main_guard_is_named_once_with_the_line_that_it_lacks(
    place: Path, as_module: bool
) -> None:
    (place / "program.py").write_text(UNGUARDED)
    ended = run(place, *(["-m", "program"] if as_module else ["program.py"]))
    assert f"{place / 'program.py'}: {LACKS}" in only_error(ended)
    assert ended.stdout == ""
    assert not (place / "one").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["guarded", "given", "command", "package"])
def test_a_program_that_workers_need_not_or_must_not_run_again_works(place: Path, how: str) -> None:
    if how == "guarded":  # what is defined in it is found, too
        (place / "program.py").write_text(f"import working\n{OWN}{MAIN}working.begin(mine)\n")
        ended = run(place, "program.py")
    elif how == "given":
        ended = run(place, "-", given=UNGUARDED + "print(__file__)\n")
        assert ended.stdout.endswith("<stdin>\n")  # it is as it was
    elif how == "command":
        ended = run(place, "-c", UNGUARDED)
    else:
        (place / "package").mkdir()
        (place / "package" / "__main__.py").write_text(UNGUARDED)
        ended = run(place, "-m", "package")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("done one\n")
    assert ended.stderr == ""


@pytest.mark.slow
def test_what_only_the_main_program_has_is_named_where_a_worker_lacks_it(place: Path) -> None:
    (place / "program.py").write_text(f"import working\n{MAIN}{OWN}    working.begin(mine)\n")
    said = only_error(run(place, "program.py"))
    assert "one: a worker process cannot import what it is to run (AttributeError: " in said
    assert "'mine'" in said


@pytest.mark.slow
def test_a_program_that_fails_when_it_is_run_again_is_named(place: Path) -> None:
    text = 'import working\nif __name__ != "__main__": raise KeyError("again")\nworking.begin()\n'
    (place / "program.py").write_text(text)
    ended = run(place, "program.py")
    assert "KeyError: 'again'" in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert f"A worker first runs {place / 'program.py'} again" in last
    assert "exit code 1" in last


@pytest.mark.slow
def test_a_worker_that_was_killed_blames_memory_and_no_main_guard(place: Path) -> None:
    (place / "program.py").write_text(f"import working\n{KILLS}{MAIN}working.begin(mine)\n")
    said = only_error(run(place, "program.py"))
    assert "died in one (killed by SIGKILL, as the system does where memory runs out" in said
    assert "__main__" not in said


@pytest.mark.slow
def test_a_daemon_is_told_that_it_may_not_start_workers(place: Path) -> None:
    code = (
        "import multiprocessing, working\n"
        'with multiprocessing.get_context("spawn").Pool(1) as pool:\n'
        "    pool.apply(working.begin)\n"
    )
    ended = run(place, "-c", code)
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("taskgrain.errors.RunError: this process is a daemon")


@pytest.mark.slow
def test_a_program_without_main_guard_that_something_else_starts_again_is_named(
    place: Path,
) -> None:
    (place / "program.py").write_text(
        "import multiprocessing, working\n"
        "if multiprocessing.parent_process() is None and __name__ == '__main__':\n"
        "    one = multiprocessing.get_context('spawn').Process(target=print)\n"
        "    one.start()\n"
        "    one.join()\n"
        "else:\n"
        "    working.begin()\n"
    )
    ended = run(place, "program.py")
    assert f"{place / 'program.py'}: {LACKS}" in only_error(ended, code=0)


def test_what_has_a_name_in_a_module_can_be_imported_by_workers(place: Path) -> None:
    (place / "making_things.py").write_text(
        "class Maker:\n"
        "    def __init__(self, made): self.made = made\n"
        "    def __call__(self, seed): return seed\n"
        "    @staticmethod\n"
        "    def static(seed): return seed\n"
    )
    code = (
        "from functools import partial\n"
        "from making_things import Maker\n"
        "from taskgrain.jobs.starting import why_not_importable\n"
        "made = [Maker, Maker.static, Maker(3), Maker(3).__call__, partial(Maker, 3), dict]\n"
        "print([why_not_importable(each) for each in made])\n"
        "print(why_not_importable(Maker(lambda: 3)))\n"
    )
    ended = run(place, "-c", code)
    assert ended.stdout == f"{[None] * 6}\na lambda has no name to import it by\n", ended.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("made = lambda seed: 1", "a lambda has no name"),
        ("made = partial(lambda seed: 1)", "a lambda has no name"),
        ("def made(seed): ...", "made is defined in a notebook, at a prompt"),
        ("class made: ...", "made is defined in a notebook, at a prompt"),
        (
            "ghost = ModuleType('ghost'); exec('def made(seed): ...', vars(ghost))\n"
            "made = ghost.made",
            "made belongs to 'ghost', which is no module on sys.path",
        ),
        (
            "import textwrap; from textwrap import dedent as made\ntextwrap.dedent = None",
            "not the same object as textwrap.dedent",
        ),
        ("made = partial(print, open('working.py'))", "cannot pickle"),
    ],
)
def test_what_workers_could_not_import_says_why(place: Path, code: str, said: str) -> None:
    program = (
        "from functools import partial\nfrom types import ModuleType\n"
        f"from taskgrain.jobs.starting import why_not_importable\n{code}\n"
        "print(why_not_importable(made))\n"
    )
    ended = run(place, "-c", program)
    assert said in ended.stdout, ended.stderr


def test_a_function_inside_a_function_is_out_of_reach() -> None:
    def inner(seed: int) -> None: ...

    said = why_not_importable(partial(inner, 3))
    assert said is not None
    assert "inner is defined inside a function" in said


def test_a_module_that_workers_would_find_elsewhere_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("first", "second"):
        (place / folder).mkdir()
        (place / folder / "twice_there.py").write_text("def made(seed): ...\n")
    monkeypatch.syspath_prepend(str(place / "first"))
    import twice_there  # type: ignore[import-not-found]

    assert why_not_importable(twice_there.made) is None
    monkeypatch.syspath_prepend(str(place / "second"))
    said = why_not_importable(twice_there.made)
    assert said is not None
    assert f"workers would import 'twice_there' from {place / 'second'}" in said


@pytest.mark.parametrize(
    ("exit_codes", "how"),
    [
        ([0, -11, -15], "killed by SIGSEGV"),
        ([-15, 9], "exit code 9"),
        ([None], "its exit code is unknown"),
        ([-15, -60], "killed by signal 60"),
    ],
)
def test_the_worker_that_died_by_itself_explains_the_death(
    exit_codes: list[int | None], how: str
) -> None:
    said = explain_death(exit_codes, "this")
    assert said == f"a worker process died in this ({how}); run it again to go on from here"
