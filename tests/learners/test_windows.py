"""Long texts are cut into windows of one length, and their embeddings are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from labelloop.learners.windows import MOST_WINDOWS, Windows

START, END = 101, 102
TEN = Windows(tokens=10, before=1, after=1)


def text(words: int) -> np.ndarray:
    return np.array([START, *range(words), END], np.int64)


def counted(batch: Sequence[np.ndarray]) -> np.ndarray:
    """(n, 2): a window's first and last word, as a direction."""
    rows = np.array([[ids[1] + 1, ids[-2] + 1] for ids in batch], np.float32)
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize(("words", "windows"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3), (128, MOST_WINDOWS)])
def test_a_text_is_cut_into_as_many_windows_as_are_counted(words: int, windows: int) -> None:
    cut = TEN.cut(text(words))

    assert len(cut) == TEN.count(text(words)) == windows
    assert {len(one) for one in cut} == {min(words + 2, 10)}
    assert {word for one in cut for word in one[1:-1]} == set(range(words))
    assert all((one[0], one[-1]) == (START, END) for one in cut)


def test_a_text_with_more_windows_is_read_from_its_first_to_its_last_word() -> None:
    cut = TEN.cut(text(8 * 40))

    assert TEN.count(text(8 * 40)) == 40
    assert len(cut) == MOST_WINDOWS
    assert (cut[0][1], cut[-1][-2]) == (0, 8 * 40 - 1)


def test_where_no_word_has_room_a_text_is_cut_off() -> None:
    narrow = Windows(tokens=2, before=1, after=1)

    assert narrow.count(text(30)) == 1
    assert [list(one) for one in narrow.cut(text(30))] == [[START, 0]]


@pytest.mark.parametrize("rows", [1, 2, 32])
def test_a_long_text_is_the_mean_of_its_windows_and_a_short_one_itself(rows: int) -> None:
    sizes = []

    def embed(batch: Sequence[np.ndarray]) -> np.ndarray:
        sizes.append(len(batch))
        return counted(batch)

    made = TEN.averaged([text(3), text(16), text(20)], embed, rows)

    whole = [counted(TEN.cut(text(words))).sum(axis=0) for words in (16, 20)]
    assert np.array_equal(made[0], counted([text(3)])[0])
    np.testing.assert_allclose(made[1:], [one / np.linalg.norm(one) for one in whole], rtol=1e-6)
    assert max(sizes) <= rows
