"""Each of our own kinds keeps the published contract, and what is special about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from labelloop.errors import ConfigError
from labelloop.evaluation.metrics import evaluate
from labelloop.kinds.choices import Choices
from labelloop.kinds.dates import Day
from labelloop.kinds.dialogues import DialogueSpans
from labelloop.kinds.kind import Kind
from labelloop.kinds.numbers import Number
from labelloop.kinds.preferences import Preference
from labelloop.kinds.rankings import Ranking
from labelloop.kinds.ratings import Rating
from labelloop.kinds.spans import TextSpans
from labelloop.kinds.taxonomies import Taxonomy
from labelloop.kinds.texts import FreeText, distance
from labelloop.testing.kind import KindContract
from labelloop.types import Region

JIWER = json.loads((Path(__file__).parent / "jiwer.json").read_text("utf-8"))


def region(type_: str, **value: Any) -> Region:
    return {"type": type_, "value": value}


class TestSingleChoice(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Choices(("cat", "dog", "bird"))

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [("cat",), ("dog",), ("bird",)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [
            [region("choices", choices=["wolf"])],
            [region("choices", choices=["cat", "dog"])],
            [region("choices", choices="cat")],
            [region("choices")],
            [{"type": "choices", "value": 3}],
        ]


class TestMultipleChoice(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Choices(("angry", "spam", "kind & <odd>"), multiple=True)

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [(), ("spam",), ("angry", "kind & <odd>")]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[region("choices", choices=["angry", "wolf"])], [region("choices", choices=None)]]


class TestTextSpans(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return TextSpans(("PER", "ORG"))

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [(), ((0, 3, "PER"),), ((0, 3, "PER"), (7, 9, "ORG")), ((0, 4, "ORG"),)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [
            [region("labels", start=3, end=3, labels=["PER"])],
            [region("labels", start=-1, end=3, labels=["PER"])],
            [region("labels", start="0", end="3", labels=["PER"])],
            [region("labels", start=0.5, end=3, labels=["PER"])],
            [region("labels", start=0, end=3, labels=["LOC"])],
            [region("labels", start=0, end=3, labels=["PER", "ORG"])],
            [region("labels", start=0, end=3, labels=[])],
            [region("labels", start=0, end=3, labels=[["PER"]])],
            [region("labels", start=0, end=3)],
            [region("labels", start=0, end=5, labels=["PER"]), region("labels", start=4, end=6, labels=["ORG"])],
            [region("choices", choices=["PER"])],
            [{"type": "labels", "value": None}],
        ]


class TestRating(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Rating(7)

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [1, 4, 7]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [
            *([region("rating", rating=odd)] for odd in (0, 8, 2.5, "4", True, None, float("nan"))),
            [region("rating", rating=3), region("rating", rating=4)],
        ]


class TestFreeText(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return FreeText(placeholder='what is "said"')

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return ["hello", "hullo there", "\N{SNOWMAN}\nline"]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[region("textarea", text=odd)] for odd in ("hello", [3], None, ["x" * 200_000])]


class TestNumber(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Number(-10, 10, 0.5)

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [-10.0, 0.0, 0.5, 10.0]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [
            *([region("number", number=odd)] for odd in (-10.5, 11, 0.25, "4", True, None, float("nan"), float("inf"))),
            [region("number", number=3), region("number", number=4)],
            [region("rating", rating=3)],
        ]


class TestNumberWithoutBounds(TestNumber):
    @pytest.fixture
    def kind(self) -> Kind:
        return Number()

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [-2.5, 0.0, 1e-9, 1e12]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[region("number", number=odd)] for odd in ("4", None, float("nan"))]


class TestDay(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Day("2020-01-01", "2026-12-31")

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return ["2020-01-01", "2024-02-29", "2024-03-01", "2026-12-31"]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        odd = ("2019-12-31", "2027-01-01", "2023-02-29", "01.02.2024", "", None, 20240101)
        return [[region("datetime", datetime=one)] for one in odd]


class TestTaxonomy(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Taxonomy(("animal/bird/owl", "animal/bird/crow & co", "animal/cat", "plant"))

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [("animal/bird/owl",), ("animal/bird/crow & co",), ("animal/cat",), ("plant",)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        odd: Sequence[Any] = (
            [["animal"]],
            [["animal", "cat"], ["plant"]],
            [[]],
            [["animal", 3]],
            "plant",
            None,
            [["plant", "owl"]],
        )
        return [[region("taxonomy", taxonomy=one)] for one in odd]


class TestTaxonomyOfSeveral(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Taxonomy(("animal", "animal/cat", "plant"), multiple=True)

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [(), ("animal",), ("animal/cat",), ("animal", "animal/cat"), ("animal/cat", "plant")]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[region("taxonomy", taxonomy=[["animal", "dog"]])], [region("choices", choices=["animal"])]]


class TestPreference(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Preference()

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return ["left", "right"]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        odd = ("both", "", None, ["left"])
        return [*([region("pairwise", selected=one)] for one in odd), [region("pairwise", selected="left")] * 2]


class TestDialogueSpans(KindContract):
    SHOWN = ("Paragraphs",)

    @pytest.fixture
    def kind(self) -> Kind:
        return DialogueSpans(("who", "where"))

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [
            (),
            (((0, 0), (0, 3), "who"),),
            (((0, 0), (0, 4), "who"), ((1, 2), (3, 1), "where")),
            (((0, 0), (0, 3), "where"), ((2, 0), (2, 20_000), "who")),
        ]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        sound = {"start": "0", "end": "0", "startOffset": 0, "endOffset": 3, "paragraphlabels": ["who"]}
        odd = {
            "start": (None, "-1", "x", -1, True, 1.5, "²", "9" * 12),
            "end": (None, [], ""),
            "startOffset": (None, -1, 3, 9),
            "endOffset": (None, 0, "x"),
            "paragraphlabels": (None, [], ["who", "where"], ["nobody"], "who"),
        }
        spoilt = [{**sound, field: one} for field, some in odd.items() for one in some]
        overlapping = [region("paragraphlabels", **{**sound, "endOffset": end}) for end in (2, 3)]
        return [[region("paragraphlabels", **value)] for value in spoilt] + [overlapping, [{"type": "labels"}]]


def test_spans_of_a_dialogue_are_alike_by_characters_within_a_turn_and_as_a_whole_over_several() -> None:
    kind = DialogueSpans(("who",), overlapping=True)

    assert kind.similarity((((0, 0), (0, 4), "who"),), (((0, 2), (0, 4), "who"),)) == pytest.approx(0.5)
    assert kind.similarity((((0, 0), (0, 4), "who"),), (((1, 0), (1, 4), "who"),)) == 0.0
    assert kind.similarity((((0, 0), (1, 4), "who"),), (((0, 0), (1, 5), "who"),)) == 0.0
    assert kind.parts_in((((0, 0), (2, 4), "who"),)) == ["0", "2"]


class TestRanking(KindContract):
    SHOWN = ("List",)

    @pytest.fixture
    def kind(self) -> Kind:
        return Ranking(key="name")

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [(("name", ("a", "b", "c")),), (("name", ("c", "a", "b")),), (("name", ("c", "b", "a")),)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        odd = (
            None,
            ["a"],
            {"name": "a"},
            {"name": ["a", "a"]},
            {"one": ["a"], "two": ["b"]},
            {"name": [["a"]]},
            {"name": [True]},
        )
        long = {"name": [str(number) for number in range(1001)]}
        return [*([region("ranker", ranker=one)] for one in (*odd, long)), [region("ranker", ranker={})] * 2]


class TestBuckets(TestRanking):
    @pytest.fixture
    def kind(self) -> Kind:
        return Ranking(("good & <new>", "bad"), key="name")

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        put = ((("a", "b"), ("c",)), (("b", "a"), ("c",)), ((), ("a", "b", "c")))
        return [(("good & <new>", good), ("bad", bad)) for good, bad in put]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        odd = ({"worse": ["a"]}, {"bad": ["a"], "good & <new>": ["a"]}, {"bad": [None]})
        return [[region("ranker", ranker=one)] for one in odd]


def test_what_nobody_has_put_anywhere_is_in_no_bucket() -> None:
    kind = Ranking(("good", "bad"))

    assert kind.read([region("ranker", ranker={"_": ["c"], "good": ["a"]})]) == (("good", ("a",)), ("bad", ()))


@pytest.mark.parametrize("said", [{}, {"_": ["a", "b"]}, {"rank": []}])
def test_where_nobody_has_put_anything_nothing_is_said(said: dict[str, list[str]]) -> None:
    assert Ranking().read([region("ranker", ranker=said)]) is None


def test_the_list_is_known_by_the_name_of_its_control() -> None:
    kind = Ranking(key="order")

    assert kind.read([region("ranker", ranker={"order": [2, 1]})]) == (("order", ("2", "1")),)
    assert kind.write((("order", ("2", "1")),))[0]["value"] == {"ranker": {"order": ["2", "1"]}}


def test_pairs_in_order_are_kendalls_tau() -> None:
    from scipy.stats import kendalltau

    kind, rng, ids = Ranking(), np.random.default_rng(0), [f"id {number}" for number in range(7)]
    for _ in range(200):
        one, other = rng.permutation(7), rng.permutation(7)
        given, wanted = ((("rank", tuple(ids[place] for place in order)),) for order in (one, other))
        same, pairs, *_ = kind.counts(given, wanted)
        assert 2 * same / pairs - 1 == pytest.approx(kendalltau(np.argsort(one), np.argsort(other)).statistic, abs=1e-9)


def test_people_who_disagree_are_heard_by_the_mean_place() -> None:
    kind = Ranking()
    said = [(("rank", order),) for order in (("a", "b", "c"), ("a", "c", "b"), ("b", "a", "c"))]

    assert kind.consensus(said) == (("rank", ("a", "b", "c")),)
    assert kind.consensus([said[0], (("rank", ("c", "b", "a")),)]) == (("rank", ("c", "b", "a")),)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Number(1), "least = 1 and most = None: one is missing"),
        (lambda: Number(2, 1), "are no scale"),
        (lambda: Number(0, 1, -1), "step = -1.0 is less than nothing"),
        (lambda: Number(0, float("nan")), "most = nan is no number"),
        (lambda: Day("2024-13-01"), "earliest is '2024-13-01', not a day"),
        (lambda: Day("2025-01-01", "2024-01-01"), "no day is from 2025-01-01 to 2024-01-01"),
        (lambda: Taxonomy(("animal//cat", "plant")), "has an empty part"),
        (lambda: Taxonomy(("animal",)), "a taxonomy needs at least 2"),
    ],
)
def test_numbers_days_and_trees_that_make_no_question_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_near_numbers_are_more_alike_than_far_ones_and_a_share_of_the_scale() -> None:
    assert Number(0, 10).similarity(2.0, 4.0) == pytest.approx(0.8)
    assert Number().similarity(2.0, 4.0) == pytest.approx(1 - 2 / 6)
    assert Number().similarity(-1.0, 1.0) == 0.0


def test_a_place_near_the_right_one_in_the_tree_counts_for_something() -> None:
    kind = Taxonomy(("animal/bird/owl", "animal/bird/crow", "animal/cat", "plant"))
    near, far = (kind.similarity(("animal/bird/owl",), (other,)) for other in ("animal/bird/crow", "plant"))

    assert (near, far) == (0.5, 0.0)
    assert kind.counts(("animal/bird/crow",), ("animal/bird/owl",)) == (2.0, 1, 1, 0.0, 1.0)
    assert kind.tag("a", "text").count("<Choice ") == 6


def test_a_rating_between_two_is_the_one_nearer_to_the_newest() -> None:
    assert Rating().consensus([1, 5, 2, 4]) == 4
    assert Rating().consensus([4, 1, 5, 2]) == 2


def test_of_spans_each_is_voted_on_alone_and_the_heavier_of_two_that_overlap_stays() -> None:
    kind = TextSpans(("PER", "ORG"))

    assert kind.consensus([((0, 3, "PER"), (5, 9, "ORG")), ((0, 3, "PER"),), ()]) == ((0, 3, "PER"),)
    assert kind.consensus([((0, 3, "PER"),), ((0, 4, "PER"),)]) == ((0, 4, "PER"),)


def test_spans_may_overlap_where_that_is_allowed() -> None:
    nested = ((0, 9, "ORG"), (0, 3, "PER"))

    assert TextSpans(("PER", "ORG"), overlapping=True).write(nested)
    with pytest.raises(ConfigError, match="overlap"):
        TextSpans(("PER", "ORG")).write(nested)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: TextSpans(()), "0 label"),
        (lambda: TextSpans(("PER", "PER")), "listed twice"),
        (lambda: TextSpans((" PER",)), "spaces around"),
        (lambda: Choices(("cat",)), "1 label"),
        (lambda: Rating(1), "no scale"),
        (lambda: FreeText(rows=0), "no field"),
    ],
)
def test_options_that_make_no_question_are_refused(made: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        made()
    assert error.value.hint


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("same", "same", 0), ("ab" * 3000, "ba" * 3000, 2)],
)
def test_edits_are_counted(one: str, other: str, edits: int) -> None:
    found = distance(one, other)

    assert found == edits or (len(one) > 2000 and edits <= found <= len(one))


@pytest.mark.parametrize("multiple", [False, True])
def test_choices_score_as_the_honest_score_does(multiple: bool) -> None:
    labels = ("cat", "dog", "bird")
    rng = np.random.default_rng(2)
    likely = rng.dirichlet(np.ones(3), 200)
    wanted = rng.random((200, 3)) < 0.4 if multiple else np.eye(3, dtype=bool)[rng.integers(0, 3, 200)]
    given = likely >= 0.5 if multiple else np.eye(3, dtype=bool)[likely.argmax(axis=1)]
    kind = Choices(labels, multiple)

    def names(row: np.ndarray) -> tuple[str, ...]:
        return tuple(label for label, there in zip(labels, row, strict=True) if there)

    counts = [kind.counts(names(one), names(other)) for one, other in zip(given, wanted, strict=True)]
    sums = np.sum(counts, axis=0, keepdims=True)
    metrics = evaluate(likely, wanted, labels, multiple=multiple)

    assert float(next(iter(kind.scores.values()))(sums)[0]) == pytest.approx(metrics.score, abs=1e-12)
    assert float(kind.scores["accuracy"](sums)[0]) == pytest.approx(metrics.accuracy, abs=1e-12)
    assert float(kind.scores["micro-F1"](sums)[0]) == pytest.approx(metrics.micro_f1, abs=1e-12)


def summed(kind: Any, given: Sequence[Any], wanted: Sequence[Any]) -> np.ndarray:
    """(1, c) what the kind counts of all items together."""
    counts = [kind.counts(one, other) for one, other in zip(given, wanted, strict=True)]
    sums: np.ndarray = np.asarray(counts, np.float64).sum(axis=0, keepdims=True)
    return sums


@pytest.mark.parametrize("seed", range(5))
def test_the_kappa_of_ratings_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.integers(1, 8, 80)
    given = np.clip(wanted + rng.integers(-2, 3, 80), 1, 7)

    ours = Rating(7).scores["quadratic-kappa"](summed(Rating(7), given.tolist(), wanted.tolist()))

    assert ours[0] == pytest.approx(cohen_kappa_score(given, wanted, weights="quadratic"), abs=1e-9)


def test_where_everybody_gives_the_same_stars_the_kappa_is_whole() -> None:
    assert Rating(5).scores["quadratic-kappa"](summed(Rating(5), [3, 3], [3, 3])) == 1.0


@pytest.mark.parametrize("case", JIWER["cases"])
def test_the_error_rates_of_texts_are_those_of_jiwer(case: Any) -> None:
    sums = summed(FreeText(), case["given"], case["wanted"])

    assert FreeText().scores["1-WER"](sums)[0] == pytest.approx(1.0 - case["wer"], abs=1e-9)
    assert FreeText().scores["1-CER"](sums)[0] == pytest.approx(1.0 - case["cer"], abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_edits_are_those_of_the_definition(seed: int) -> None:
    def by_definition(one: Sequence[str], other: Sequence[str]) -> int:
        row = list(range(len(other) + 1))
        for i, mine in enumerate(one, start=1):
            before, row[0] = row[0], i
            for j, theirs in enumerate(other, start=1):
                before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (mine != theirs))
        return row[-1]

    rng = np.random.default_rng(seed)
    for turn in range(300):
        one, other = (rng.choice(list("abc"), rng.integers(0, 70 if turn % 10 == 0 else 12)).tolist() for _ in "12")
        assert distance(one, other) == by_definition(one, other), (one, other)
