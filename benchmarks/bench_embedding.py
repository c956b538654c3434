"""Embedding from stored bytes against bare onnxruntime on decoded arrays, in batches of the same size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import sklearn.datasets
from PIL import Image

from labelloop.learners.backbones import backbone
from labelloop.learners.images import ImageBackbone
from labelloop.learners.network import Network, open_session
from labelloop.learners.texts import TextBackbone
from labelloop.loop.embedding import embed

from figure import Figure, pairs, seconds

Feeds = Sequence[Mapping[str, np.ndarray]]


def figures(quick: bool) -> Iterator[Figure]:
    """Items per second of ours / of bare onnxruntime: enlarged digits, photographs, texts."""
    n, repeats = (48, 3) if quick else (128, 5)
    images, texts = backbone("auto", "image"), backbone("auto", "text")
    assert isinstance(images, ImageBackbone)
    assert isinstance(texts, TextBackbone)
    yield _ratio("digits of 112 px, PNG", images, digits(n), image_feeds(images, digits(n)), repeats)
    yield _ratio(
        "photographs of 640 x 427 px, JPEG", images, photographs(n), image_feeds(images, photographs(n)), repeats
    )
    yield _ratio("paragraphs", texts, paragraphs(2 * n), text_feeds(texts, paragraphs(2 * n)), repeats)


def _ratio(
    what: str, made: ImageBackbone | TextBackbone, contents: Sequence[bytes | str], feeds: Feeds, repeats: int
) -> Figure:
    session = open_session(made.path, made.options.output)
    output = made.options.output or session.get_outputs()[0].name
    readers: list[tuple[str, Callable[[], bytes | str]]] = [
        (str(i), lambda content=content: content) for i, content in enumerate(contents)
    ]
    taken = pairs(
        lambda _: seconds(lambda: embed(made, readers)),
        lambda _: seconds(lambda: [session.run([output], feed) for feed in feeds]),
        repeats,
    )
    speeds = [bare / ours for ours, bare in taken]
    rate = len(contents) / statistics.median(ours for ours, _ in taken)
    detail = f"{rate:.0f} a second, batches of {made.batch_size}"
    return Figure(f"speed of embedding {what} / bare onnxruntime", speeds, at_least=0.9, detail=detail)


def image_feeds(made: ImageBackbone, contents: Sequence[bytes]) -> Feeds:
    """What the network takes for these pictures, batch by batch, ready made."""
    return _recorded(made, [[made.prepare(content) for content in batch] for batch in _cut(contents, made.batch_size)])


def text_feeds(made: TextBackbone, contents: Sequence[str]) -> Feeds:
    """What the network takes for these texts, the shortest first: no other order pads less."""
    prepared = sorted((made.prepare(content) for content in contents), key=len)
    return _recorded(made, _cut(prepared, made.batch_size))


def _recorded(made: Any, batches: Sequence[Sequence[Any]]) -> Feeds:
    """The arrays that a backbone gives to its network."""
    feeds: list[Mapping[str, np.ndarray]] = []
    run = Network.run

    def recording(network: Network, feed: Mapping[str, np.ndarray]) -> np.ndarray:
        feeds.append(feed)
        return run(network, feed)

    with patch.object(Network, "run", recording):
        for batch in batches:
            made.embed(batch)
    return feeds


def _cut(things: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [things[start : start + size] for start in range(0, len(things), size)]


def digits(n: int) -> list[bytes]:
    """Handwritten digits of scikit-learn, enlarged."""
    small = sklearn.datasets.load_digits().images[:n]
    return [_file(Image.fromarray((one * 15).astype(np.uint8)).resize((112, 112)), "PNG") for one in small]


def photographs(n: int) -> list[bytes]:
    """The two photographs of scikit-learn, each turned by another angle."""
    photos = [Image.fromarray(one) for one in sklearn.datasets.load_sample_images().images]
    return [_file(photos[i % 2].rotate(i, Image.Resampling.BILINEAR), "JPEG") for i in range(n)]


def _file(picture: Image.Image, form: str) -> bytes:
    body = BytesIO()
    picture.save(body, form)
    return body.getvalue()


def paragraphs(n: int) -> list[str]:
    """Paragraphs of scikit-learn's descriptions of its data, over again where there are too few."""
    folder = Path(sklearn.datasets.__file__).parent / "descr"
    found = [p for file in sorted(folder.glob("*.rst")) for p in file.read_text("utf-8").split("\n\n") if p.strip()]
    return [found[i % len(found)] for i in range(n)]
