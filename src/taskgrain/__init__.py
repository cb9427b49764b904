"""taskgrain: how fine should labels be, if the features learned from them serve another task?"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("taskgrain")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
