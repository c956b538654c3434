"""The dataset in the annotator: opened when it is first needed, known by its key whatever people call it."""

from __future__ import annotations

from labelloop.errors import NoSecretError, NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.ledger import Ledger
from labelloop.protocols import Annotator, Dataset, Recognising

KEY, TITLE = "dataset_key", "dataset_title"
"""What the annotator tells the dataset by, and what people called it when that was said last."""


class OpenDataset:
    """One dataset in its annotator, open or to be opened.

    Args:
        name: What the configuration calls the dataset.
    """

    def __init__(self, annotator: Annotator, ledger: Ledger, name: str, schema: LabelSchema) -> None:
        self._annotator = annotator
        self._ledger = ledger
        self._name = name
        self._schema = schema
        self._dataset: Dataset | None = None

    @property
    def dataset(self) -> Dataset:
        """The dataset in the annotator; created by the first round, never silently created anew.

        Raises:
            NotFoundError: It existed, and is gone.
        """
        if self._dataset is None:
            fresh = all(state == "planned" for _, _, state in self._ledger.answers.counts())
            try:
                self._dataset = self._opened(create=fresh)
            except NoSecretError:
                raise
            except NotFoundError as error:
                kept = self._ledger.answers.changes()
                raise NotFoundError(
                    f"dataset {self._name!r} is gone from the annotator; what people said is in the ledger ({kept}"
                    f" changes): {error.message}",
                    "restore the annotator's data, or begin anew: another dataset.name, then labelloop add",
                ) from error
        return self._dataset

    def forget(self) -> None:
        """Open the dataset anew the next time: the annotator may be elsewhere after an outage."""
        self._dataset = None

    def identify(self) -> list[str]:
        """Keep what tells the dataset from others; that people call it something else now, said once."""
        annotator, answers, name = self._annotator, self._ledger.answers, self._name
        if not isinstance(annotator, Recognising):
            return []
        if (key := annotator.key_of(name)) != answers.recall(KEY):
            answers.remember(KEY, key)
        if (title := annotator.title_of(name)) == (answers.recall(TITLE) or name):
            return []
        answers.remember(TITLE, title)
        return [f"the dataset {name!r} is called {title!r} in the annotator now, and is the same one"]

    def _opened(self, *, create: bool) -> Dataset:
        """The dataset that this ledger has known, whatever it is called now and from whichever machine."""
        annotator = self._annotator
        if isinstance(annotator, Recognising) and (key := self._ledger.answers.recall(KEY)):
            annotator.recognise(self._name, key)
        return annotator.open(self._name, self._schema, create=create)
