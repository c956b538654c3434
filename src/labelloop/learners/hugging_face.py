"""Backbones from Hugging Face repositories that hold an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.learners.images import ImageBackbone, ImageOptions
from labelloop.learners.options import SIDECAR, options_of, read_json, read_options
from labelloop.learners.texts import TextBackbone, TextOptions
from labelloop.protocols import Backbone
from labelloop.types import Modality

NETWORKS = ("onnx/model.onnx", "model.onnx", "onnx/vision_model.onnx", "vision_model.onnx")
"""Where exports put the network, in the order of preference; of several sizes the full one."""

PICTURES, POOLING, TOKENIZER = "preprocessor_config.json", "1_Pooling/config.json", "tokenizer.json"
SENTENCES = "sentence_bert_config.json"


def from_hub(repository: str, modality: Modality) -> Backbone:
    """A backbone from `org/name` or `org/name@revision`, downloaded once into Hugging Face's own cache.

    Args:
        repository: Without a revision, the newest there is at each start; with a commit, always the same bytes.
        modality: What is embedded.

    Raises:
        NotFoundError: There is no such repository or revision, or it has no ONNX file.
        BackendError: The hub cannot be reached and the repository is not in the cache.
        ConfigError: The package huggingface_hub is missing, or the files are not usable.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
    except ImportError as error:
        raise ConfigError(
            "hf: backbones need the package huggingface_hub", "pip install 'labelloop[huggingface]'"
        ) from error
    from httpx import HTTPError

    wanted = [*NETWORKS, *(f"{name}_data" for name in NETWORKS), PICTURES, POOLING, TOKENIZER, SENTENCES, SIDECAR]
    name, _, revision = repository.partition("@")
    try:
        folder = Path(snapshot_download(name, revision=revision or None, allow_patterns=wanted))
    except RevisionNotFoundError as error:
        raise NotFoundError(
            f"the Hugging Face repository {name!r} has no revision {revision!r}",
            "give a branch, a tag or a commit of it",
        ) from error
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise NotFoundError(f"there is no Hugging Face repository {name!r}", "check hf:org/name") from error
    except (OSError, HTTPError) as error:
        raise BackendError(
            f"the Hugging Face repository {repository!r} cannot be downloaded: {error}",
            "try again with a network, or download it elsewhere and give the path of its ONNX file",
            retryable=True,
        ) from error
    return from_snapshot(folder, modality)


def from_snapshot(folder: Path, modality: Modality) -> Backbone:
    """A backbone from the files of a repository; a `model.json` in it wins over what Hugging Face's files say.

    Raises:
        NotFoundError: There is no ONNX file.
        ConfigError: A file is missing or not usable.
    """
    found = [folder / name for name in NETWORKS if (folder / name).is_file()]
    if not found:
        raise NotFoundError(
            f"{folder} has none of {', '.join(NETWORKS)}", "choose a repository with an ONNX export of the model"
        )
    ours = folder / SIDECAR
    if modality == "image":
        pictures = read_options(ImageOptions, ours) if ours.is_file() else _image_options(folder / PICTURES)
        return ImageBackbone(found[0], pictures)
    sentences = read_options(TextOptions, ours) if ours.is_file() else _text_options(folder)
    return TextBackbone(found[0], folder / TOKENIZER, sentences)


def _image_options(path: Path) -> ImageOptions:
    written = read_json(path) if path.is_file() else {}
    found: dict[str, Any] = {"size": _edge(written.get("crop_size") or written.get("size"))}
    if written.get("do_rescale", True) is False:
        found["scale"] = 1.0
    if "rescale_factor" in written:
        found["scale"] = written["rescale_factor"]
    if written.get("do_normalize", True) is False:
        found |= {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    elif "image_mean" in written and "image_std" in written:
        found |= {"mean": tuple(written["image_mean"]), "std": tuple(written["image_std"])}
    return options_of(ImageOptions, found, path)


def _edge(size: int | Mapping[str, int] | None) -> int:
    if isinstance(size, Mapping):
        return size.get("height") or size.get("shortest_edge") or 0
    return size or 0


def _text_options(folder: Path) -> TextOptions:
    pooling = read_json(folder / POOLING) if (folder / POOLING).is_file() else {}
    lengths = read_json(folder / SENTENCES) if (folder / SENTENCES).is_file() else {}
    found: dict[str, Any] = {"pooling": "cls" if pooling.get("pooling_mode_cls_token") else "mean"}
    if lengths.get("max_seq_length"):
        found["max_tokens"] = lengths["max_seq_length"]
    return options_of(TextOptions, found, folder / SENTENCES)
