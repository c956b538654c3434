"""HTML that cannot be injected into: text is escaped unless a function here made it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"img", "meta"})


class Markup(str):
    """HTML that may be embedded as it is."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """An element: `str` children are escaped, `Markup` ones kept; attributes that are None are left out.

    `class_` is written `class`, other underscores become hyphens: `tag("p", "a < b", class_="note")`.
    """
    head = name + "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in VOID:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{join(children)}</{name}>")


def join(children: Iterable[str]) -> Markup:
    """Children one after the other, escaped as in `tag`."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def link(url: str, text: str, class_: str | None = None) -> Markup:
    """A link, or only its text where the address is none a browser should follow (`javascript:` and the like)."""
    if not url.lower().startswith(("http://", "https://")):
        return join([text])
    return tag("a", text, href=url, class_=class_, rel="noopener noreferrer")


def _attribute(key: str, value: str | float) -> str:
    shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"'
