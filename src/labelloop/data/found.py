"""What a file, a text or an address becomes: an item with its id and fingerprint, or why it cannot be one.

An item's id is the blake2b-128 digest of its content: of the bytes of an image file, of the UTF-8 bytes of a text. A
picture on the web is not downloaded when it is added; its id is the digest of its address, without what signs it for a
day.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from labelloop.data.decoding import DECODED, decoded_size, need_pillow, opened_picture
from labelloop.data.duplicates import image_fingerprint, text_fingerprint
from labelloop.data.locations import Place, held
from labelloop.errors.masking import has_credentials, masked
from labelloop.types import Item, NewItem

LONGEST_TEXT = 1_000_000
"""Characters."""

_SIGNED_BY_PREFIX = ("x-amz-", "x-goog-", "q-")
_SIGNED_BY_NAME = (
    *("signature", "expires", "policy", "key-pair-id"),
    *("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "security-token"),
)
_SIGNED_BY_AZURE = (
    *("sig", "se", "sv", "sp", "st", "sr", "ss", "srt", "spr", "si", "sip", "scid", "saoid", "suoid"),
    *("skoid", "sktid", "skt", "ske", "sks", "skv"),
)
"""What S3, Google Cloud, Azure, CloudFront, Alibaba and Tencent sign links with."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that cannot become an item: which file or row, and why.

    Attributes:
        uri: The address of the file; empty for a row.
    """

    where: str
    reason: str
    uri: str = ""


Found = NewItem | Unreadable


def content_id(content: bytes | str) -> str:
    """The id of an item with this content: 32 hex digits, blake2b-128 (RFC 7693) of the bytes or UTF-8."""
    return blake2b(content.encode() if isinstance(content, str) else content, digest_size=16).hexdigest()


def image_item(place: Place, path: str, name: str, meta: Mapping[str, Any]) -> Found:
    with held(place.fs, path) as raw:
        if isinstance(raw, str):
            return Unreadable(name, raw)
        fingerprint = _verified(raw)
        if isinstance(fingerprint, str):
            return Unreadable(name, fingerprint)
        digest = content_id(raw)
    return NewItem(Item(digest, "image", uri=place.uri(path), digest=digest, meta=meta), fingerprint)


def _verified(raw: bytes) -> bytes | str:
    """The fingerprint of an image, which proves that it decodes; or why it does not."""
    need_pillow()
    from PIL import Image, UnidentifiedImageError

    if not raw:
        return "is empty"
    try:
        with opened_picture(raw) as image:
            image.draft("RGB", (64, 64))  # a JPEG is decoded at an eighth of its size where it can be
            with DECODED.taken(decoded_size(image)), closing(image):  # its pixels go before others may take their place
                return image_fingerprint(image)
    except UnidentifiedImageError:
        return "is not an image"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return f"is too large: {error}"
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError) as error:
        return f"is a broken image: {error}"
    except (struct.error, zlib.error, MemoryError) as error:
        return f"is a broken image: {error}"


def text_item(where: str, text: object, meta: Mapping[str, Any]) -> Found:
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    if text is None or (isinstance(text, str) and not text.strip()):
        return Unreadable(where, "the text is empty")
    if not isinstance(text, str):
        return Unreadable(where, f"the text is not text but {type(text).__name__}")
    if len(text) > LONGEST_TEXT:
        return Unreadable(where, f"the text is longer than {LONGEST_TEXT} characters")
    if "\0" in text:
        return Unreadable(where, "the text has NUL characters: a binary file?")
    try:
        digest = content_id(text)
    except UnicodeEncodeError as error:
        return Unreadable(where, f"the text is not UTF-8 (character {error.start + 1})")
    return NewItem(Item(digest, "text", text=text, digest=digest, meta=meta), text_fingerprint(text))


def is_web(uri: str) -> bool:
    return uri.lstrip().startswith(("http://", "https://")) and "::" not in uri


def web_item(where: str, url: str, meta: Mapping[str, Any]) -> Found:
    if has_credentials(url):  # it would be shown to everybody who answers, and exported; signed links end by themselves
        return Unreadable(where, f"{masked(url)} carries a password: give links without one, or signed ones")
    try:
        return NewItem(Item(content_id(unsigned(url)), "image", uri=url, meta=meta), b"")
    except UnicodeEncodeError:
        return Unreadable(where, f"{url!r} is not a URL")


def unsigned(url: str) -> str:
    """An address of the web without what signs it for a day, by which clouds tell one link to a file from another.

    An address that nobody has signed comes back as it is.
    """
    head, mark, query = url.partition("?")
    query, _, fragment = query.partition("#")
    parts = query.split("&") if mark else []
    names = {part.partition("=")[0].lower() for part in parts}
    kept = [part for part in parts if not _signs(part.partition("=")[0].lower(), names)]
    if len(kept) == len(parts):
        return url
    return head + (f"?{'&'.join(kept)}" if kept else "") + (f"#{fragment}" if fragment else "")


def _signs(name: str, names: set[str]) -> bool:
    """Whether a parameter of an address is part of its signature, among all that it has."""
    by_prefix = any(name.startswith(one) and f"{one}signature" in names for one in _SIGNED_BY_PREFIX)
    by_name = name in _SIGNED_BY_NAME and "signature" in names and bool(names & {"expires", "policy", "key-pair-id"})
    return by_prefix or by_name or (name in _SIGNED_BY_AZURE and {"sig", "se"} <= names)
