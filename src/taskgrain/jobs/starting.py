"""What a worker process does before its first cell: run the main program's file, import by name.

Workers are spawned: each is a new Python. It first runs the file of the main program again, as a
module called `__mp_main__`, so that what is defined there can be found; a program without
`if __name__ == "__main__":` would so begin the work again in every worker. What a cell is made of
then reaches the worker as names of modules, and names in them.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from taskgrain.errors import RunError

GUARD = 'if __name__ == "__main__":'
STARTS_WORKERS = "TASKGRAIN_STARTS_WORKERS"  # environment: number of the process that does
BEGAN_AGAIN = 87  # exit code of a worker in which the main program began the work again


@contextmanager
def starting_workers() -> Iterator[None]:
    """Prepare this process for starting workers inside the block.

    A main program whose file workers cannot read (standard input, a pipe) is not run again.

    Raises:
        RunError: if this process may not start others.
    """
    if multiprocessing.current_process().daemon:
        raise RunError(
            "this process is a daemon of multiprocessing, which may not start workers; start them "
            "from the main program, or from a process with daemon=False"
        )
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    is_hidden = file is not None and not _is_run_again()
    before = os.environ.get(STARTS_WORKERS)
    os.environ[STARTS_WORKERS] = str(os.getpid())
    if is_hidden:
        # multiprocessing tells workers which file to run by this name; without it they run none.
        del main.__file__
    try:
        yield
    finally:
        if is_hidden:
            main.__file__ = file
        if before is None:
            del os.environ[STARTS_WORKERS]
        else:
            os.environ[STARTS_WORKERS] = before


def refuse_to_begin_again() -> None:
    """End this process if it is a worker in which the main program begins the work again.

    The process that started it then raises the error, once, instead of every worker.

    Raises:
        RunError: if it was not `run_cells` that started this process.
    """
    again = sys.modules.get("__mp_main__")
    if again is None or again is sys.modules.get("__main__"):  # the file has been run to its end
        return
    if os.environ.get(STARTS_WORKERS) == str(os.getppid()):
        os._exit(BEGAN_AGAIN)
    raise RunError(_lacks_guard(_file_of(again)))


def explain_death(exit_codes: Sequence[int | None], under_way: str | None) -> str:
    """Explain why workers died, and what to do.

    Args:
        exit_codes: of all of them, as `multiprocessing.Process.exitcode`: negative for a signal.
        under_way: names of the cells that were being computed; None before the first.
    """
    main = _file_of(sys.modules["__main__"])
    if BEGAN_AGAIN in exit_codes:
        return _lacks_guard(main)
    # Those that did not die by themselves were ended (SIGTERM) when the first had died.
    first = next((code for code in exit_codes if code not in (None, 0, -signal.SIGTERM)), None)
    how = _ending(first)
    if first == -signal.SIGKILL:
        how += ", as the system does where memory runs out; fewer workers need less of it"
    if under_way is not None:
        return f"a worker process died in {under_way} ({how}); run it again to go on from here"
    if first == -signal.SIGKILL or not _is_run_again():
        return f"a worker process died as it started ({how}); nothing was computed"
    return (
        f"a worker process died as it started ({how}); nothing was computed. A worker first runs "
        f"{main} again, and what went wrong there is printed above; put what workers are not to "
        f"run below `{GUARD}`"
    )


def why_not_importable(made: object) -> str | None:
    """Explain why a worker could not import what an object is made of; None if it can.

    Args:
        made: a function, a class, or an object that is pickled: a partial, an instance.
    """
    try:
        _Names(io.BytesIO()).dump(made)
    except _NotImportableError as error:
        return str(error)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
        return f"it cannot be sent to workers: {error}"
    return None


class _NotImportableError(Exception):
    pass


class _Names(pickle.Pickler):
    """Pickles into nothing, and looks at each function and class that workers would import."""

    def reducer_override(self, made: object) -> Any:
        if isinstance(made, type | FunctionType):
            problem = _name_problem(made)
            if problem is not None:
                raise _NotImportableError(problem)
        # So that pickle does what it would have done.
        return NotImplemented


def _name_problem(made: type | FunctionType) -> str | None:
    """Explain why a function or class has no name that a worker could import it by."""
    module, name = made.__module__, made.__qualname__
    if name.rpartition(".")[2] == "<lambda>":
        return "a lambda has no name to import it by"
    if "<locals>" in name:
        return f"{name} is defined inside a function, where workers cannot reach it"
    if module == "__main__":
        return _main_problem(name)
    spec = _find(module)
    if spec is None:
        return f"{name} belongs to {module!r}, which is no module on sys.path"
    # Another file of that name, earlier on the path, would be imported instead.
    held = getattr(sys.modules.get(module), "__file__", None)
    if held and spec.origin and Path(held).exists() and not Path(held).samefile(spec.origin):
        return f"{name} comes from {held}, but workers would import {module!r} from {spec.origin}"
    return None


def _main_problem(name: str) -> str | None:
    """Explain why workers would not find a name of the main program."""
    if _is_run_again():
        return None
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return f"{name} is defined in {spec.name}, which workers do not run"
    return (
        f"{name} is defined in a notebook, at a prompt, or in a program that was not read from a "
        "file, and workers cannot run that again"
    )


def _is_run_again() -> bool:
    """Whether workers run the main program's file; multiprocessing decides in the same way."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return not f".{spec.name}".endswith(".__main__")
    file = getattr(main, "__file__", None)
    return file is not None and Path(file).is_file()


def _file_of(main: ModuleType) -> str:
    return str(getattr(main, "__file__", "the main program"))


def _lacks_guard(main: str) -> str:
    return (
        f"{main}: lacks `{GUARD}`. Every worker process runs this file first, and would begin the "
        "work again; put the calls that do work below that line, and leave imports and "
        "definitions above it"
    )


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "its exit code is unknown"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-exit_code}"


def _find(module: str) -> ModuleSpec | None:
    """Find where a new Python with this sys.path would import a module from.

    `importlib.util.find_spec` would answer from the modules that are loaded here.
    """
    path: Sequence[str] | None = None
    above = module.rpartition(".")[0]
    if above:
        package = _find(above)
        if package is None or package.submodule_search_locations is None:
            return None
        path = package.submodule_search_locations
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = None if find is None else find(module, path)
        if spec is not None:
            return spec
    return None
