"""The version of the installed package; below everything, for the front door imports the rest."""

from __future__ import annotations


def package_version() -> str:
    """Return the version, looked up on demand: that takes longer than `import taskgrain` itself."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("taskgrain")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0+unknown"
