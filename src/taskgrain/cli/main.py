"""`taskgrain`: its commands, and what their errors look like."""

from __future__ import annotations

import errno
import gc
import io
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from taskgrain.cli.describe import describe
from taskgrain.cli.report import report
from taskgrain.cli.study import study
from taskgrain.errors import StoppedError, TaskgrainError, how_to_install
from taskgrain.tools.check.command import check
from taskgrain.tools.compare.command import compare
from taskgrain.tools.cut.command import cut
from taskgrain.tools.export.command import export
from taskgrain.tools.features.command import features
from taskgrain.tools.importer.command import import_dataset
from taskgrain.tools.labels.command import labels
from taskgrain.tools.pack.command import pack
from taskgrain.tools.render.command import render
from taskgrain.tools.score.command import score
from taskgrain.tools.teach.command import teach
from taskgrain.version import package_version

EXIT_MENDABLE = 2  # the user can mend it
EXIT_STOPPED = 130  # after Ctrl-C, as a shell says it

app = typer.Typer(
    name="taskgrain",
    help="How fine should labels be, if the video features learned from them serve another task?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help is there in half the time
    pretty_exceptions_enable=False,
)
P = ParamSpec("P")


def _stoppable(command: Callable[P, None]) -> Callable[P, None]:
    """Keep the exit code of Ctrl-C, which typer would turn into 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (KeyboardInterrupt, StoppedError):
            print("taskgrain: stopped; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(EXIT_STOPPED) from None

    return run


# Their modules hold options, and import what they call when they are called: `--help` takes .19 s,
# of which `import typer` is .12 (docs/log.md, "How long the commands take").
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (  # as `--help` lists them
    ("study", study, "From a question to the report of its answer"),
    ("report", report, "Rebuild a run's report from its results"),
    ("compare", compare, "Compare features from any encoders"),
    ("features", features, "Write an encoder's features of clips"),
    ("teach", teach, "Teach your own actions from a few clips"),
    ("describe", describe, "Describe what happens in clips, and where"),
    ("score", score, "Score captions"),
    ("check", check, "Find what is broken or odd in a dataset"),
    ("labels", labels, "Show a dataset's hierarchy and words"),
    ("pack", pack, "Decode a dataset once, for all studies"),
    ("cut", cut, "Make a test of features from your footage"),
    ("export", export, "Write a checkpoint as ONNX, checked"),
    ("import", import_dataset, "Turn clips of other layouts into a dataset"),
    ("render", render, "Draw the embedded world as a dataset"),
)
for name, command, summary in COMMANDS:
    app.command(name, short_help=summary)(_stoppable(command))


ADVICE: Mapping[int | None, str] = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "allow larger files there (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "give this user permission",
    errno.EPERM: "give this user permission",
    errno.EIO: "see whether that disk is whole",
}
AGAIN = "then give the same command again: what was finished is kept"


def _version(wanted: bool) -> None:
    if wanted:
        print(f"taskgrain {package_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Handle the options that stand before a command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error that a user can cause is one message and exit code 2.

    Raises:
        SystemExit: with the exit code, unless it is 0.
    """
    # What commands make by the thousand (rows, counts, answers) lives until they end: looking for
    # what can be freed among it is a tenth of the time of scoring captions.
    gc.set_threshold(100_000)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be no text at all
    try:
        app(arguments)
    except TaskgrainError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        advice = how_to_install(error.name)
        if advice is None:
            raise
        _fail(advice)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        advice = f"; {ADVICE[error.errno]}, {AGAIN}" if error.errno in ADVICE else ""
        _fail(f"{where}{error.strerror or error}{advice}")
    except SystemExit as ended:
        if ended.code:
            raise


def _fail(text: str) -> None:
    print(f"taskgrain: {text}", file=sys.stderr)
    raise SystemExit(EXIT_MENDABLE)
