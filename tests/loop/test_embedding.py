from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from labelloop.errors import BackendError, BadItemError, ConfigError
from labelloop.loop.embedding import AHEAD, embed, embed_items
from labelloop.testing.learner import UNREADABLE, FakeBackbone
from labelloop.types import Item, Missing, Modality


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
    assert made.missing == {"id-1": Missing("the fake backbone cannot read this")}


def test_a_content_that_cannot_be_read_is_reported_with_its_reason() -> None:
    def gone() -> str:
        raise BadItemError("the file is gone")

    assert embed(FakeBackbone(), [("lost", gone)]).missing == {"lost": Missing("the file is gone")}


def test_a_service_that_fails_costs_what_it_has_and_nothing_else() -> None:
    def down() -> str:
        raise BackendError("the bucket is down", retryable=True)

    made = embed(FakeBackbone(), [("a", down), ("b", lambda: "fine")])

    assert made.ids == ("b",)
    assert made.missing == {"a": Missing("the bucket is down", away=True)}


@dataclass(frozen=True)
class Picky(FakeBackbone):
    """A backbone that one item of a batch spoils for all.

    Args:
        how: What it does then.
    """

    how: str = "raises"

    def embed(self, batch: Sequence[bytes]) -> np.ndarray:
        made = super().embed(batch)
        if b"poison" not in batch:
            return made
        if self.how == "raises":
            raise RuntimeError("tensor of shape (1, 3) expected")
        if self.how == "nan":
            return np.full_like(made, np.nan)
        return made[:-1] if self.how == "short" else made[:, :3]


@pytest.mark.parametrize("how", ["raises", "nan", "short", "narrow"])
@pytest.mark.parametrize("at", [0, 3, 5])
def test_one_item_that_a_backbone_cannot_take_is_found_by_halving_and_named(how: str, at: int) -> None:
    texts = [f"text {number}" for number in range(11)]
    texts[at] = "poison"

    made = embed(Picky(how=how), contents(texts))

    assert list(made.missing) == [f"id-{at}"]
    assert made.missing[f"id-{at}"].reason.startswith("the backbone ")
    fine = [text.encode() for text in texts if text != "poison"]
    np.testing.assert_allclose(made.matrix, FakeBackbone().embed(fine), atol=1e-6)


def test_a_decoder_that_raises_anything_costs_one_item() -> None:
    class Odd(FakeBackbone):
        def prepare(self, content: bytes | str) -> bytes:
            if content == "odd":
                raise ZeroDivisionError("division by zero")
            return super().prepare(content)

    made = embed(Odd(), contents(["a", "odd", "c"]))

    assert made.missing == {"id-1": Missing("cannot be decoded: division by zero")}


def test_a_network_that_is_itself_at_fault_is_an_error() -> None:
    class Wrong(FakeBackbone):
        def embed(self, batch: Sequence[bytes]) -> np.ndarray:
            raise ConfigError("the network takes no pictures")

    with pytest.raises(ConfigError, match="takes no pictures"):
        embed(Wrong(), contents(["a"]))


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
