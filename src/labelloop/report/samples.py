"""Items shown in a report: a thumbnail or a text, the model's guess, what people said, and why it is here."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from labelloop.report.markup import Markup, join, link, tag
from labelloop.report.plots import share_bar
from labelloop.report.views import Sample
from labelloop.report.words import percent

TEXT_SHOWN = 280


def gallery(title: str, note: str, samples: Sequence[Sample]) -> Markup:
    """Cards side by side; nothing without samples."""
    if not samples:
        return Markup()
    cards = tag("ul", *(tag("li", *_card(one)) for one in samples), class_="gallery")
    return tag("section", tag("h2", title), tag("p", note, class_="note"), cards)


def image_type(body: bytes) -> str | None:
    """The MIME type of a picture a browser may show inline, by its first bytes; None for anything else."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return "image/webp"
    return None


def _card(one: Sample) -> list[Markup]:
    return [_sight(one), tag("div", *_facts(one), class_="about")]


def _sight(one: Sample) -> Markup:
    if one.text:
        cut = one.text if len(one.text) <= TEXT_SHOWN else one.text[:TEXT_SHOWN].rstrip() + "…"
        return tag("blockquote", cut, dir="auto")
    kind = image_type(one.thumbnail)
    if kind is None:
        return tag("div", "no preview", class_="sight none")
    source = f"data:{kind};base64,{b64encode(one.thumbnail).decode()}"
    return tag("div", tag("img", src=source, alt=f"item {one.item_id}", loading="lazy"), class_="sight")


def _facts(one: Sample) -> list[Markup]:
    facts = []
    if one.answer:
        facts.append(tag("p", tag("span", "people", class_="who"), tag("b", ", ".join(one.answer))))
    if one.guess:
        sure = tag("span", percent(one.probability, 0), class_="sure") if one.probability is not None else Markup()
        facts.append(tag("p", tag("span", "model", class_="who"), tag("b", ", ".join(one.guess)), sure))
    if one.guess and one.probability is not None:
        facts.append(share_bar(one.probability))
    if one.why:
        facts.append(tag("p", one.why, class_="why"))
    facts.append(tag("p", link(one.url, one.item_id) if one.url else join([one.item_id]), class_="id"))
    return facts
