from collections.abc import Callable

import numpy as np
import pytest

from labelloop.embedding import AHEAD, embed, embed_items
from labelloop.errors import BackendError, BadItemError
from labelloop.testing.learner import UNREADABLE, FakeBackbone
from labelloop.types import Item, Modality


def contents(texts: list[str]) -> list[tuple[str, Callable[[], bytes | str]]]:
    return [(f"id-{i}", lambda text=text: text) for i, text in enumerate(texts)]  # type: ignore[misc]


@pytest.mark.parametrize("modality", ["image", "text"])
@pytest.mark.parametrize("n", [0, 1, 4, 5, 150])
def test_rows_come_in_the_order_of_the_contents(modality: Modality, n: int) -> None:
    backbone = FakeBackbone(modality)
    texts = ["x" * (n - i) + str(i) for i in range(n)]

    made = embed(backbone, contents(texts))

    assert made.ids == tuple(f"id-{i}" for i in range(n))
    np.testing.assert_array_equal(made.matrix, backbone.embed([backbone.prepare(text) for text in texts]))


def test_an_unreadable_content_is_reported_and_skipped() -> None:
    made = embed(FakeBackbone(), contents(["a", UNREADABLE, "c"]))

    assert made.ids == ("id-0", "id-2")
    assert made.unreadable == (("id-1", "the fake backbone cannot read this"),)


def test_a_content_that_cannot_be_read_is_reported_with_its_reason() -> None:
    def gone() -> str:
        raise BadItemError("the file is gone")

    assert embed(FakeBackbone(), [("lost", gone)]).unreadable == (("lost", "the file is gone"),)


def test_a_service_that_fails_stops_the_embedding() -> None:
    def down() -> str:
        raise BackendError("the bucket is down", retryable=True)

    with pytest.raises(BackendError, match="bucket is down"):
        embed(FakeBackbone(), [("a", down)])


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int | None]] = []

    embed(FakeBackbone(), contents(["a", UNREADABLE, *"cdefgh"]), lambda _, done, total: told.append((done, total)))

    assert told[-1] == (8, 8)


def test_only_a_few_batches_are_read_ahead() -> None:
    backbone = FakeBackbone("image")
    read: list[int] = []
    furthest: list[int] = []

    def number(i: int) -> str:
        read.append(i)
        return str(i)

    embed(
        backbone,
        ((str(i), lambda i=i: number(i)) for i in range(500)),  # type: ignore[misc]
        lambda _, done, __: furthest.append(len(read) - done),
    )

    assert max(furthest) <= (AHEAD + 1) * backbone.batch_size


def test_items_that_cannot_be_read_are_rows_of_nan() -> None:
    items = [Item(f"i{i}", "text", text=text) for i, text in enumerate(["a", UNREADABLE, "c"])]

    matrix = embed_items(FakeBackbone(), items, lambda item: item.text)

    assert np.isnan(matrix[1]).all()
    assert np.isfinite(matrix[[0, 2]]).all()
