"""For whoever brings a kind of question: what every kind does. Inherit, and give `kind`, `answers` and `refused`."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Between, Kind, Labelling, Placed, TagReader
from labelloop.types import Region


class KindContract:
    """The contract of a kind.

    A subclass has the fixtures `kind`; `answers`, two or more that differ, which people may give; and `refused`,
    lists of regions that no answer is. One that reads label configs (`of_tag`) has
    in `SHOWN` the tag of what it is about.
    """

    SHOWN: ClassVar[tuple[str, ...]] = ("Text",)

    def test_what_is_written_is_read_again(self, kind: Kind, answers: Sequence[Any]) -> None:
        for answer in answers:
            assert kind.read(kind.write(answer)) == answer
            assert all(region["type"] == kind.region_type and region["value"] for region in kind.write(answer))

    def test_an_answer_is_plain_data_that_can_be_counted(self, kind: Kind, answers: Sequence[Any]) -> None:
        assert len(set(answers)) == len(answers) >= 2

    def test_answers_fit_into_their_column(self, kind: Kind, answers: Sequence[Any]) -> None:
        import pyarrow as pa

        column = pa.array([kind.plain(answer) for answer in answers], kind.arrow)

        assert column.to_pylist() == [kind.plain(answer) for answer in answers]

    def test_what_is_no_answer_is_refused_in_words(self, kind: Kind, refused: Sequence[Sequence[Region]]) -> None:
        assert refused
        for regions in refused:
            with pytest.raises(ConfigError) as error:
                kind.read(regions)
            assert error.value.message

    def test_its_tag_is_xml_that_names_the_control_and_what_it_shows(self, kind: Kind) -> None:
        tag = ElementTree.fromstring(kind.tag('a "name"', "thing"))  # noqa: S314 - the kind's own

        assert (tag.get("name"), tag.get("toName")) == ('a "name"', "thing")

    def test_a_label_config_that_asks_it_is_read_again(self, kind: Kind) -> None:
        made: Any = type(kind)
        shown = self.SHOWN * (kind.between if isinstance(kind, Between) else 1)
        if not isinstance(made, TagReader):
            return
        written = kind.tag("name", ",".join(f"thing{place}" for place in range(len(shown))))
        again = made.of_tag(ElementTree.fromstring(written), shown)  # noqa: S314 - the kind's own

        assert again is not None
        assert again.tag("name", ",".join(f"thing{place}" for place in range(len(shown)))) == written
        assert made.of_tag(ElementTree.Element("Unheard", name="name", toName="thing0"), shown) is None

    def test_answers_are_alike_both_ways_and_an_answer_is_itself(self, kind: Kind, answers: Sequence[Any]) -> None:
        for one, other in product(answers, answers):
            assert 0.0 <= kind.similarity(one, other) == kind.similarity(other, one) <= 1.0
            assert (kind.similarity(one, other) == 1.0) == (one == other)

    def test_most_people_are_believed_whoever_spoke_last(self, kind: Kind, answers: Sequence[Any]) -> None:
        for one, other in product(answers, answers):
            assert kind.consensus([one]) == one
            assert kind.consensus([one, one, other]) == one
            assert kind.consensus([other, one, one]) == one

    def test_a_consensus_is_an_answer(self, kind: Kind, answers: Sequence[Any]) -> None:
        for some in product(answers, repeat=3):
            said = kind.consensus(some)
            assert kind.read(kind.write(said)) == said

    def test_right_answers_have_the_best_score(self, kind: Kind, answers: Sequence[Any]) -> None:
        def summed(given: Sequence[Any]) -> np.ndarray:
            counts = [kind.counts(one, other) for one, other in zip(given, answers, strict=True)]
            sums: np.ndarray = np.sum(np.asarray(counts, np.float64), axis=0, keepdims=True)
            return sums

        assert kind.scores
        for name, statistic in kind.scores.items():
            best = statistic(summed(answers))
            assert best.shape == (1,), name
            assert best[0] == pytest.approx(1.0), name
            assert statistic(summed([answers[0]] * len(answers)))[0] < 1.0, name

    def test_scores_take_many_sums_at_once(self, kind: Kind, answers: Sequence[Any]) -> None:
        counts = np.asarray([kind.counts(one, answers[0]) for one in answers] * 5, np.float64)
        picked = np.random.default_rng(0).integers(0, len(counts), (7, len(counts)))

        for statistic in kind.scores.values():
            assert np.isfinite(statistic(counts[picked].sum(axis=1))).all()

    def test_a_kind_with_labels_says_how_often_each_was_right(self, kind: Kind, answers: Sequence[Any]) -> None:
        if not isinstance(kind, Labelling):
            return
        for one, other in product(answers, answers):
            given, wanted = (Counter(kind.labels_in(answer)) for answer in (one, other))
            tallies = kind.by_label(one, other)
            assert set(given) | set(wanted) <= set(tallies) <= set(kind.labels)
            for label, (hits, wrong, missed) in tallies.items():
                assert (hits + wrong, hits + missed) == (given[label], wanted[label])
                assert one != other or not wrong + missed

    def test_it_can_be_compared_and_carried_to_another_process(self, kind: Kind, answers: Sequence[Any]) -> None:
        again = pickle.loads(pickle.dumps(kind))  # noqa: S301 - our own

        assert again == kind
        assert hash(again) == hash(kind)
        assert all(kind.in_words(answer) for answer in answers)

    def test_an_answer_is_about_a_text_that_is_long_enough(self, kind: Kind, answers: Sequence[Any]) -> None:
        if not isinstance(kind, Placed):
            return
        for answer in answers:
            assert kind.misplaced(answer, "x" * 100_000) == ""
        assert any(kind.misplaced(answer, "") for answer in answers), "an answer at a place is not about an empty text"

    def test_labels_are_told_and_renamed(self, kind: Kind, answers: Sequence[Any]) -> None:
        if not isinstance(kind, Labelling):
            assert not hasattr(kind, "translate"), "a kind with `translate` has `labels` and `labels_in`, too"
            return
        first = kind.labels[0]
        for answer in answers:
            assert set(kind.labels_in(answer)) <= set(kind.labels)
            assert kind.translate(answer, lambda label: (label,)) == answer
            renamed = kind.translate(answer, lambda label: ("new",) if label == first else (label,))
            assert list(kind.labels_in(renamed)).count("new") == list(kind.labels_in(answer)).count(first)
            split = kind.translate(answer, lambda label: ("new", "newer") if label == first else (label,))
            assert (split is None) == (first in kind.labels_in(answer))
