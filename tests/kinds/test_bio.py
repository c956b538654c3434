"""Tags of tokens and spans of a text say the same, in each of the schemes that corpora have."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import ConfigError
from labelloop.kinds import bio
from labelloop.kinds.spans import Span, Spans


def read(tags: str) -> str:
    """The spans of some tags as label and tokens, such as "PER 0-2"."""
    said = tags.split()
    spans = bio.spans_of([(row, row + 1) for row in range(len(said))], said)
    return ", ".join(f"{label} {start}-{end}" for start, end, label in spans)


def texts(text: str) -> list[str]:
    return [text[start:end] for start, end in bio.words(text)]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("BIO", "O B-PER I-PER B-PER O B-LOC"),
        ("IOB1", "O I-PER I-PER B-PER O I-LOC"),
        ("BIOES", "O B-PER E-PER S-PER O S-LOC"),
        ("BILOU", "O B-PER L-PER U-PER O U-LOC"),
        ("BMES", "O B-PER E-PER S-PER O S-LOC"),
        ("IOE1", "O I-PER E-PER I-PER O I-LOC"),
        ("IOE2", "O I-PER E-PER E-PER O E-LOC"),
    ],
)
def test_each_scheme_says_the_same(scheme: str, tags: str) -> None:
    assert read(tags) == "PER 1-3, PER 3-4, LOC 5-6", scheme


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-PER I-LOC I-LOC", "PER 0-1, LOC 1-3"),
        ("O I-PER O I-PER", "PER 1-2, PER 3-4"),
        ("B-PER M-PER M-PER E-PER", "PER 0-4"),
        ("S-PER I-PER", "PER 0-1, PER 1-2"),
        ("B-GPE-loc I-GPE-loc", "GPE-loc 0-2"),
        ("O O", ""),
        ("", ""),
    ],
)
def test_tags_that_no_scheme_allows_are_read_as_what_they_say(tags: str, spans: str) -> None:
    assert read(tags) == spans


@pytest.mark.parametrize("tag", ["X-PER", "PER", "B-", "B", "o", "0", "", "_", "(PER*", "B_PER", "O-PER", "B- PER"])
def test_what_is_no_tag_is_named(tag: str) -> None:
    assert not bio.is_tag(tag)
    with pytest.raises(ConfigError, match="is no tag"):
        bio.spans_of([(0, 1)], [tag])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't go to the U.N., Mr. O'Neil!", ["Don't", "go", "to", "the", "U.N", ".", ",", "Mr", ".", "O'Neil", "!"]),
        ("3.5% of 1,000,000 (or 12:30)", ["3.5", "%", "of", "1,000,000", "(", "or", "12:30", ")"]),
        ("yes,no:maybe", ["yes", ",", "no", ":", "maybe"]),
        ("@ann #tag ann@example.org", ["@ann", "#tag", "ann@example.org"]),
        ("see https://t.co/a?b=1, ok", ["see", "https://t.co/a?b=1", ",", "ok"]),
        ("e\u0301te\u0301 हिन्दी", ["e\u0301te\u0301", "हिन्दी"]),
        ("👩\u200d🚀👍🏽 ❤\ufe0f!", ["👩\u200d🚀👍🏽", "❤\ufe0f", "!"]),
        ("我在 東京。カタ", ["我", "在", "東", "京", "。", "カ", "タ"]),
        ("a\r\nb\u00a0c", ["a", "b", "c"]),
        (" \t\r\n", []),
    ],
)
def test_words_are_those_of_corpora(text: str, tokens: list[str]) -> None:
    assert texts(text) == tokens


ODD = st.text(
    st.sampled_from([*"ab1 .,'-@#:/\r\n\t", "\u00a0", "\u0301", "\u200d", "\ufe0f", "猫", "🚀", "🏽", "é"]), max_size=30
)


@given(ODD)
def test_words_hold_every_character_that_is_no_white_space_once_and_in_order(text: str) -> None:
    places = bio.words(text)

    assert "".join(text[start:end] for start, end in places) == "".join(text.split())
    assert all(one < other for one, other in pairwise(places))


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, Spans]:
    """A text with spans, which may begin and end anywhere, and overlap."""
    text = draw(ODD.filter(bool))
    edges = st.integers(0, len(text))
    spans: list[Span] = []
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted((draw(edges), draw(edges)))
        if start < end:
            spans.append((start, end, draw(st.sampled_from(["PER", "LOC"]))))
    return text, tuple(spans)


def trimmed(text: str, span: Span) -> Span | None:
    """A span without the white space at its ends."""
    start, end, label = span
    inside = text[start:end]
    begins = start + len(inside) - len(inside.lstrip())
    return (begins, begins + len(inside.strip()), label) if inside.strip() else None


@given(marked())
def test_spans_come_back_from_their_tags_where_they_stood(case: tuple[str, Spans]) -> None:
    text, given_spans = case
    spans = bio.apart(given_spans)
    places = bio.cut(bio.words(text), spans)

    found = bio.spans_of(places, bio.tags_of(places, spans))

    assert found == tuple(filter(None, (trimmed(text, span) for span in spans)))


def test_of_overlapping_spans_the_longer_one_stays() -> None:
    spans = [(0, 3, "A"), (2, 9, "B"), (8, 10, "C"), (10, 12, "A"), (10, 12, "B"), (20, 21, "A")]

    assert bio.apart(spans) == ((2, 9, "B"), (10, 12, "A"), (20, 21, "A"))
    assert bio.apart([]) == ()
