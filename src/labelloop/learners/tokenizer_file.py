"""The `tokenizer.json` of a model: texts to token ids, and which of these say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labelloop.errors import ConfigError
from labelloop.learners.options import read_json


def opened_tokenizer(path: Path) -> Any:
    """A `tokenizers.Tokenizer` that neither pads nor cuts.

    Raises:
        ConfigError: The package is missing, or the file is no tokenizer.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ConfigError("texts need the package tokenizers", "pip install 'labelloop[text]'") from error
    if "model" not in read_json(path):
        raise ConfigError(f"{path} is no tokenizer", "take the tokenizer.json of the same model")
    splitter = Tokenizer.from_file(str(path))
    splitter.no_padding()
    splitter.no_truncation()
    return splitter
