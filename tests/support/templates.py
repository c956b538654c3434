"""Pools made from templates: letters, forms, invoices, frames, bursts of photos; some come twice, changed a bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import product

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from labelloop.data.duplicates import Leaders, image_fingerprint, text_fingerprint

SYLLABLES = ("ba", "den", "ko", "lis", "mar", "no", "pel", "ra", "sto", "tu", "vin", "zer")
WORDS = tuple("".join(parts) for parts in product(SYLLABLES, repeat=3))


@dataclass
class Made:
    """A pool, as it would be added.

    Attributes:
        fingerprints: Item -> its fingerprint, in the order of adding.
        texts: Item -> its text; empty for pictures.
        pictures: Item -> its JPEG; empty for texts.
        twins: Item -> the item that it is a near duplicate of.
        labels: Item -> its label.
    """

    fingerprints: dict[str, bytes] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)

    def groups(self) -> Mapping[str, str]:
        """Item -> the leader of its group."""
        texts = (lambda ids: {one: self.texts[one] for one in ids}) if self.texts else None
        return Leaders(texts).group(self.fingerprints.items())

    def add_text(self, name: str, text: str, label: int) -> None:
        """One more text."""
        self.fingerprints[name], self.texts[name], self.labels[name] = text_fingerprint(text), text, label

    def add_picture(self, name: str, picture: Image.Image, label: int) -> None:
        """One more picture."""
        self.fingerprints[name], self.labels[name] = image_fingerprint(picture), label
        body = BytesIO()
        picture.save(body, "JPEG", quality=92)
        self.pictures[name] = body.getvalue()


def _sentence(rng: np.random.Generator, length: int) -> str:
    return " ".join(rng.choice(WORDS, length))


def letters(rng: np.random.Generator, n: int, templates: int = 1) -> Made:
    """Letters on one or several templates of 120 words, each with a sentence of its own; every tenth was sent twice."""
    frames = [_sentence(rng, 120) for _ in range(templates)]
    made = Made()
    for i in range(n):
        label = int(rng.integers(2))
        own = f"{('please cancel' if label else 'please order')} {_sentence(rng, 12)} reference {rng.integers(10**6)}"
        text = f"{frames[int(rng.integers(templates))]}. {own}."
        made.add_text(f"{i}", text, label)
        if i % 10 == 0:
            words = text.split()
            del words[int(rng.integers(100))]
            made.add_text(f"{i} again", " ".join(words).upper(), label)
            made.twins[f"{i} again"] = f"{i}"
    return made


def forms(rng: np.random.Generator, n: int, templates: int = 3) -> Made:
    """Forms of fields and values: what is asked is the same in all, what was filled in is not."""
    fields = [[_sentence(rng, 4) for _ in range(20)] for _ in range(templates)]
    made = Made()
    for i in range(n):
        label = int(rng.integers(2))
        values = [f"{name}: {rng.choice(WORDS)} {rng.integers(1000)}" for name in fields[int(rng.integers(templates))]]
        text = "\n".join([*values, "result: refused" if label else "result: granted"])
        made.add_text(f"{i}", text, label)
        if i % 10 == 0:
            made.add_text(f"{i} again", text.replace("\n", " \n ").replace(":", " :"), label)
            made.twins[f"{i} again"] = f"{i}"
    return made


def invoices(rng: np.random.Generator, n: int) -> Made:
    """Scans of invoices: letterhead and ruling are the same, the lines are not; every tenth was scanned again."""
    sheet = Image.new("RGB", (240, 320), "white")
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((10, 10, 110, 50), fill=(40, 60, 120))
    for y in range(90, 280, 20):
        draw.line((10, y, 230, y), fill=(180, 180, 180))
    made = Made()
    for i in range(n):
        page, label = sheet.copy(), int(rng.integers(2))
        pen = ImageDraw.Draw(page)
        for y in range(95, 275, 20):
            start, length = int(rng.integers(10, 120)), int(rng.integers(20, 110))
            pen.rectangle((start, y, min(228, start + length), y + 11), fill=(20, 20, 20))
        if label:
            pen.rectangle((150, 15, 225, 60), fill=(200, 30, 30))
        made.add_picture(f"{i}", page, label)
        if i % 10 == 0:
            made.add_picture(f"{i} again", _noisy(page.filter(ImageFilter.GaussianBlur(0.6)), rng), label)
            made.twins[f"{i} again"] = f"{i}"
    return made


def frames(rng: np.random.Generator, n: int) -> Made:
    """Pictures of a fixed camera: something stands in each at a place of its own; every tenth has a next one."""
    scene = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(
        (320, 240), Image.Resampling.BICUBIC
    )
    made = Made()
    for i in range(n):
        label = int(rng.integers(2))
        x, y, size = (int(v) for v in (rng.integers(0, 260), rng.integers(0, 180), rng.integers(40, 60)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        made.add_picture(f"{i}", _noisy(_with(scene, label, (x, y, size), colour), rng), label)
        if i % 10 == 0:
            made.add_picture(f"{i} next", _noisy(_with(scene, label, (x + 1, y, size), colour), rng), label)
            made.twins[f"{i} next"] = f"{i}"
    return made


def bursts(rng: np.random.Generator, n: int) -> Made:
    """Photos, every tenth of them the first of a burst of four."""
    made = Made()
    for i in range(n):
        seen = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize(
            (160, 120), Image.Resampling.BICUBIC
        )
        made.add_picture(f"{i}", _noisy(seen, rng), i % 2)
        for shot in range(3 if i % 10 == 0 else 0):
            made.add_picture(f"{i} shot {shot}", _noisy(seen, rng), i % 2)
            made.twins[f"{i} shot {shot}"] = f"{i}"
    return made


def _with(scene: Image.Image, label: int, at: tuple[int, int, int], colour: tuple[int, ...]) -> Image.Image:
    seen = scene.copy()
    x, y, size = at
    draw = ImageDraw.Draw(seen)
    (draw.ellipse if label else draw.rectangle)((x, y, x + size, y + size), fill=colour)
    return seen


def _noisy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture, np.int16) + rng.normal(0, 3, np.asarray(picture).shape).astype(np.int16)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


KINDS: Mapping[str, Callable[[np.random.Generator, int], Made]] = {
    "letters on one template": letters,
    "letters on twelve templates": lambda rng, n: letters(rng, n, 12),
    "forms": forms,
    "invoices": invoices,
    "frames of a fixed camera": frames,
    "bursts of photos": bursts,
}
