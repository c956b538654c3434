"""Untrusted text without control characters: what people and services wrote must not steer the terminal."""

from __future__ import annotations

from labelloop.errors.masking import masked


def clean(words: str, keep: str = "") -> str:
    """Text without control characters: what people and services wrote must not steer the terminal.

    Tabs and line breaks become spaces, except those in `keep`. Credentials in addresses are masked.
    """
    shown = "".join(c if c in keep or _is_shown(c) else " " for c in words if c in "\t\n\r" or _is_shown(c))
    return masked(shown)


def _is_shown(character: str) -> bool:
    return character.isprintable() or character == "\u00a0"
