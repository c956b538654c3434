"""Where the embeddings of the items are, by backbone and position."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from labelloop.ledger import _sql
from labelloop.ledger.book import Book
from labelloop.ledger.tables import embedded


@dataclass(frozen=True, slots=True)
class Chunk:
    """The embeddings of the items at positions [start, stop)."""

    start: int
    stop: int
    ref: str


class ChunkBook(Book):
    """Embeddings, a stretch of positions at a time."""

    def chunks(self, backbone: str) -> list[Chunk]:
        """Where the embeddings by this backbone are, in order, without gaps from position 0."""
        query = (
            select(embedded.c.start, embedded.c.stop, embedded.c.ref)
            .where(embedded.c.dataset == self._dataset, embedded.c.backbone == backbone)
            .order_by(embedded.c.start)
        )
        with _sql.reading(self._engine) as connection:
            return [Chunk(*row) for row in connection.execute(query)]

    def add_chunk(self, backbone: str, chunk: Chunk) -> None:
        """Remember where the embeddings of these positions are."""
        row = {
            "dataset": self._dataset,
            "backbone": backbone,
            "start": chunk.start,
            "stop": chunk.stop,
            "ref": chunk.ref,
        }
        with self._engine.begin() as connection:
            _sql.upsert(connection, embedded, [row], update=["stop", "ref"])

    def forget_chunks(self, backbone: str) -> None:
        """Forget where the embeddings by this backbone are; they are gone."""
        where = (embedded.c.dataset == self._dataset, embedded.c.backbone == backbone)
        with self._engine.begin() as connection:
            connection.execute(embedded.delete().where(*where))

    def forget_other_chunks(self, backbone: str, start: int) -> None:
        """Forget where other backbones' embeddings are, from this position on: some are of earlier content."""
        where = (embedded.c.dataset == self._dataset, embedded.c.backbone != backbone, embedded.c.stop > start)
        with self._engine.begin() as connection:
            connection.execute(embedded.delete().where(*where))
