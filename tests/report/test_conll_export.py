"""What is written as CoNLL is read again as the same texts with the same spans."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.data.conll import Sentence, read
from labelloop.errors import ConfigError
from labelloop.kinds import bio
from labelloop.kinds.spans import Span, Spans
from labelloop.report import conll
from labelloop.report.conll import MarkedText, Tally


def written(*texts: MarkedText) -> tuple[str, Tally]:
    file = io.BytesIO()
    tally = conll.write(texts, file)
    return file.getvalue().decode(), tally


def reread(body: bytes) -> list[Sentence]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.conll"
        path.write_bytes(body)
        return read(path)


def test_words_and_signs_are_tokens_and_the_spans_their_tags() -> None:
    text = "Peter Blackburn, of the U.N., isn't here."

    body, tally = written(MarkedText(text, [(0, 15, "PER"), (24, 28, "ORG")]))

    assert body == (
        "Peter\tB-PER\nBlackburn\tI-PER\n,\tO\nof\tO\nthe\tO\nU.N\tB-ORG\n.\tI-ORG\n,\tO\nisn't\tO\nhere\tO\n.\tO\n\n"
    )
    assert tally == Tally(1, 2, 0)


def test_a_token_is_cut_where_a_span_begins_or_ends() -> None:
    body, _ = written(MarkedText("in NewYork-based", [(3, 10, "LOC")]))

    assert body == "in\tO\nNewYork\tB-LOC\n-based\tO\n\n"


def test_spans_that_touch_begin_anew() -> None:
    body, _ = written(MarkedText("我在東京", [(0, 1, "PER"), (2, 3, "LOC"), (3, 4, "LOC")]))

    assert body == "我\tB-PER\n在\tO\n東\tB-LOC\n京\tB-LOC\n\n"


def test_of_overlapping_spans_the_longer_is_written_and_the_others_are_counted() -> None:
    body, tally = written(MarkedText("the Bank of Japan said", [(4, 17, "ORG"), (12, 17, "LOC"), (3, 4, "LOC")]))

    assert "Japan\tI-ORG" in body
    assert tally == Tally(1, 1, 2)
    assert "2 left out, which overlap a longer one or hold no token" in tally.in_words()


def test_a_text_without_a_span_is_written_and_so_are_comments() -> None:
    body, tally = written(MarkedText("no", (), None, {"id": "a\n7", "held_out": "true"}), MarkedText("nor", ()))

    assert body == "# id = a 7\n# held_out = true\nno\tO\n\nnor\tO\n\n"
    assert tally.in_words() == "2 text(s) with 0 span(s)"


def test_a_label_has_no_white_space_in_its_tag() -> None:
    body, _ = written(MarkedText("in Rome", [(3, 7, "old town")]))

    assert body == "in\tO\nRome\tB-old_town\n\n"
    conll.checked_names(["old town", "new town"])
    with pytest.raises(ConfigError, match="'old town' and 'old_town' are both 'old_town'"):
        conll.checked_names(["old town", "old_town"])


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a b", ["O"]),
        ("a  b", ["O", "O", "O"]),
        (" a", ["O", "O"]),
        ("a\nb c", ["O", "O"]),
        ("a b", "OO"),
        ("a b", None),
    ],
)
def test_tokens_are_known_only_where_each_has_a_tag(text: str, tags: object) -> None:
    assert conll.known_tokens(text, {"tags": tags}) is None
    assert conll.known_tokens("U.N. is", {"tags": ["O", "O"]}) == [(0, 4), (5, 7)]


SIGNS = [*"abZ1.,'-@#:_", "\u00a0", "\u0301", "\u200d", "\ufe0f", "猫", "東", "🚀", "🏽", "é", "\u2028", "\x85"]
LABELS = st.sampled_from(["PER", "LOC", "GPE-loc"])
TAGS = st.one_of(st.just("O"), st.builds("{}-{}".format, st.sampled_from("BIESLUM"), LABELS))
TOKENS = st.text(st.sampled_from(SIGNS), min_size=1, max_size=5).filter(lambda token: bool(token.strip()))
LINES = st.lists(st.tuples(TOKENS, TAGS), min_size=1, max_size=6)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file as some tool may have written it."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    gap = draw(st.sampled_from(["\t", " ", "\tNN\t", "  _  "]))
    blank = draw(st.sampled_from(["", " ", "\t", "\u00a0"]))
    blocks = draw(st.lists(LINES, min_size=1, max_size=4))
    body = "".join("".join(f"{token}{gap}{tag}{end}" for token, tag in block) + blank + end for block in blocks)
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + body.encode()


@given(files())
@settings(max_examples=300, deadline=None)
def test_what_was_read_is_read_again_the_same_after_it_was_written(body: bytes) -> None:
    first = reread(body)
    file = io.BytesIO()

    tally = conll.write(
        [MarkedText(one.text, one.spans, conll.known_tokens(one.text, {"tags": one.tags})) for one in first], file
    )

    assert reread(file.getvalue()) == first
    assert tally == Tally(len(first), sum(len(one.spans) for one in first), 0)


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, Spans]:
    """A text as people write it, with spans where they like, some of which overlap."""
    signs = st.sampled_from([*SIGNS, " ", " ", "\r\n", "\t", "\ufeff"])
    text = "".join(draw(st.lists(signs, min_size=1, max_size=30)))
    spans: list[Span] = []
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        if start < end:
            spans.append((start, end, draw(LABELS)))
    return text, tuple(spans)


def without_space(text: str, spans: Sequence[Span]) -> tuple[str, Spans]:
    """A text and its spans as they are where nothing is white."""
    kept = [0]
    for one in text:
        kept.append(kept[-1] + (not one.isspace() and one != "\ufeff"))
    said = "".join(text.replace("\ufeff", "").split())
    return said, tuple((kept[start], kept[end], label) for start, end, label in spans if kept[start] < kept[end])


@given(marked())
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back_but_for_its_white_space(case: tuple[str, Spans]) -> None:
    text, spans = case
    body, tally = written(MarkedText(text, spans))
    apart = bio.apart(spans)

    wanted, of_it = without_space(text, apart)
    (found,) = [without_space(one.text, one.spans) for one in reread(body.encode())] if wanted else [("", ())]

    assert found == (wanted, of_it)
    assert (tally.spans, tally.left_out) == (len(of_it), len(set(spans)) - len(of_it))
