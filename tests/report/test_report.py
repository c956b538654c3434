"""The report is one page that shows a loop honestly, from nothing to sixty rounds, whatever its labels say."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from labelloop.errors import BackendError, ConfigError
from labelloop.report.files import learning_curve_png, write
from labelloop.report.page import render
from labelloop.report.plain import round_in_words
from labelloop.report.plots import NARROW, WIDE, calibration_error, label_range, learning_curve, score_range, ticks
from labelloop.report.views import ArmView, Confusion, LabelScore, ReliabilityBin, ReportView, RoundView, Sample, Totals
from labelloop.report.words import duration, interval, percent

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 16
ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
VOID = {"meta", "img", "link", "br", "input"}


class Page(HTMLParser):
    """The elements, attributes and text of a page; complains about elements that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def names(self) -> set[str]:
        return {name for name, _ in self.elements}

    def count(self, name: str, class_: str) -> int:
        return sum(1 for one, attributes in self.elements if one == name and attributes.get("class") == class_)


def a_round(number: int = 1, score: float | None = 0.8) -> RoundView:
    return RoundView(
        number,
        asked=20,
        asked_holdout=4,
        asked_random=2,
        answered=20 * number,
        trained_on=16 * number,
        score=score,
        low=None if score is None else score - 0.05,
        high=None if score is None else min(1.0, score + 0.05),
        n_holdout=4 * number,
        naive_score=None if score is None else score - 0.1,
        seconds={"hear": 0.5, "train": 2.0},
        reason=f"round {number - 1} is answered",
        promoted=True,
        gate_reason="not worse",
        model_version="0a1b2c3d",
        started_at="2026-01-02T03:04:05+00:00",
    )


def a_view(rounds: int = 3) -> ReportView:
    return ReportView(
        dataset="pets",
        modality="image",
        labels=("cat", "dog"),
        totals=Totals(items=1000, tasks=60, annotations=58, unreadable=1, holdout=12, skipped=2),
        annotator_url="http://localhost:8093/projects/1",
        rounds=[a_round(i, 0.5 + 0.4 * i / rounds) for i in range(1, rounds + 1)],
        per_label=[LabelScore("cat", 0.9, 0.8, 0.85, 6), LabelScore("dog", None, 0.0, None, 0)],
        confusion=Confusion(("cat", "dog"), [[5, 1], [2, 4]]),
        reliability=[ReliabilityBin(0.6, 0.5, 4), ReliabilityBin(0.9, 0.95, 8)],
        batch=[Sample("i1", "margin 0.01", ("cat",), 0.51, thumbnail=PNG, url="http://localhost:8093/tasks/1")],
        uncertain=[Sample("i2", "entropy 0.69", ("dog", "cat"), 0.5, text="a small text")],
        arms=[
            ArmView("assisted", 40, 38, 0, 2, 0.95, 0.83, 0.99, 2.0),
            ArmView("blind", 10, 7, 0, 3, 0.7, 0.4, 0.89, None),
        ],
        anchoring="+25.0 points (+2.1 to +55.3): people follow the guess more than they agree with it blind",
        taken=[("labels", "512 count, of 530 taken from model 0a1b2c3d"), ("audit", "1 of 20 wrong, 5 open")],
        suspects=[Sample("i3", "sure of another label", ("dog",), 0.97, answer=("cat",), thumbnail=b"not an image")],
        versions={"labelloop": "0.1.0"},
        generated_at="2026-01-02T03:04:05+00:00",
    )


def test_a_full_report_shows_every_part() -> None:
    page = Page(render(a_view()))

    for words in (
        "pets",
        "Learning curve",
        "By label",
        "Reliability",
        "Confusion",
        "Last batch",
        "Least sure",
        "Labels worth a second look",
        "Labels taken from the model",
        "512 count, of 530",
        "What the guess does to people",
        "+25.0 points",
        "Time by stage",
        "Rounds",
        "margin 0.01",
        "1,000",
        "no preview",
    ):
        assert words in page.text
    assert page.open == []


def test_the_page_loads_nothing_from_outside_itself() -> None:
    html = render(a_view())

    page = Page(html)
    addresses = [v for _, attributes in page.elements for k, v in attributes.items() if k in ("src", "srcset", "data")]
    assert page.names().isdisjoint({"script", "link", "iframe", "object", "base"})
    assert all(address and address.startswith("data:image/") for address in addresses)
    assert set(re.findall(r"https?://[^\s\"<]+", html)) == {
        "http://localhost:8093/projects/1",
        "http://localhost:8093/tasks/1",
    }
    assert "url(" not in html
    assert "@import" not in html


def test_hostile_words_are_shown_and_never_run() -> None:
    view = replace(
        a_view(),
        dataset=ATTACK,
        labels=(ATTACK, "dog"),
        rounds=[replace(a_round(), reason=ATTACK, gate_reason=ATTACK, model_version=ATTACK, score_name=ATTACK)],
        per_label=[LabelScore(ATTACK, 1.0, 1.0, 1.0, 1)],
        confusion=Confusion((ATTACK, "dog"), [[1, 1], [1, 1]]),
        batch=[Sample(ATTACK, ATTACK, (ATTACK,), 0.5, (ATTACK,), text=ATTACK, url="javascript:alert(1)")],
        versions={ATTACK: ATTACK},
        annotator_url="javascript:alert(1)",
    )

    page = Page(render(view))

    assert "script" not in page.names()
    assert page.count("img", "") == 0
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert not any("javascript" in (attributes.get("href") or "") for _, attributes in page.elements)
    assert page.text.count("<script>alert(1)</script>") >= 10


def test_a_picture_is_shown_by_its_bytes_and_not_by_its_claim() -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"

    page = Page(render(replace(a_view(), batch=[Sample("a", thumbnail=svg), Sample("b", thumbnail=PNG)])))

    assert [a["src"] for name, a in page.elements if name == "img"] == [
        "data:image/png;base64,iVBORw0KGgowMDAwMDAwMDAwMDAwMDAw"
    ]


def test_a_loop_without_rounds_says_that_there_is_no_score_yet() -> None:
    page = Page(render(ReportView("pets", "image", ("cat", "dog"))))

    assert "No score yet" in page.text
    assert "svg" not in page.names()
    assert "Learning curve" not in page.text


def test_rounds_without_a_score_are_listed_but_not_plotted() -> None:
    page = Page(render(replace(a_view(), rounds=[a_round(1, None)])))

    assert "No score yet" in page.text
    assert "Learning curve" not in page.text
    assert "round 0 is answered" in page.text


def test_one_round_is_a_point_with_a_whisker() -> None:
    plot = Page(learning_curve([a_round()], WIDE))

    assert plot.count("circle", "promoted") == 1
    assert plot.count("line", "whisker") == 1
    assert plot.count("polyline", "curve") == 0


def test_a_round_that_judged_no_model_is_as_before() -> None:
    audit = replace(a_round(3), promoted=False, gate_reason="")
    page = Page(render(replace(a_view(), rounds=[a_round(1), a_round(2), audit])))

    assert page.count("circle", "kept") == 0
    assert page.count("span", "badge off") == 1
    assert "as before" in page.text
    assert "model 0a1b2c3d as before" in round_in_words(audit)
    assert "model 0a1b2c3d kept" in round_in_words(replace(audit, gate_reason="the new one scores lower"))


def test_models_that_were_not_promoted_are_hollow() -> None:
    rounds = [a_round(1), replace(a_round(2), promoted=False), a_round(3)]

    plot = Page(learning_curve(rounds, NARROW))

    assert plot.count("circle", "promoted") == 2
    assert plot.count("circle", "kept") == 1


def test_sixty_rounds_stay_readable() -> None:
    page = Page(render(a_view(60)))

    assert page.text.count("48 earlier round(s)") == 2
    assert page.count("circle", "promoted") == 2 * 60 + 2


def test_many_labels_show_the_mix_ups_instead_of_a_matrix() -> None:
    names = [f"label {i}" for i in range(77)]
    counts = [[9 if i == j else int(i == 3 and j == 5) * 4 for j in range(77)] for i in range(77)]
    view = replace(
        a_view(),
        labels=names,
        confusion=Confusion(names, counts),
        per_label=[LabelScore(name, 0.5, 0.5, 0.5, 9) for name in names],
    )

    page = Page(render(view))

    assert page.count("table", "matrix") == 0
    assert "The most common mix-ups." in page.text
    assert "65 more label(s)" in page.text


def test_several_labels_each_are_named_together() -> None:
    view = replace(a_view(), task="multiple-choice", confusion=None)

    page = Page(render(view))

    assert "2 labels, several labels each" in page.text
    assert "dog, cat" in page.text
    assert "Confusion" not in page.text


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ((0.5, 0.45, 0.55), (0.9, 0.85, 0.95), "Up 40.0 points since round 1, more than the intervals explain."),
        ((0.8, 0.7, 0.9), (0.82, 0.72, 0.92), "Up 2.0 points since round 1, not more than the intervals explain."),
        ((0.9, 0.85, 0.95), (0.5, 0.4, 0.6), "Down 40.0 points since round 1, more than the intervals explain."),
    ],
)
def test_the_headline_says_whether_a_change_is_more_than_chance(
    first: tuple[float, float, float], last: tuple[float, float, float], words: str
) -> None:
    rounds = [
        replace(a_round(number), score=score, low=low, high=high)
        for number, (score, low, high) in enumerate((first, last), start=1)
    ]

    page = Page(render(replace(a_view(), rounds=rounds)))

    assert words in page.text


def test_the_headline_is_the_score_of_the_model_in_use() -> None:
    rounds = [a_round(1, 0.7), a_round(2, 0.8), replace(a_round(3, 0.6), promoted=False)]

    page = Page(render(replace(a_view(), rounds=rounds)))

    assert "The model of round 2, on 8 held-out items" in page.text


def test_a_report_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "report.html"

    write(a_view(1), path)
    write(a_view(2), path)

    assert path.read_text(encoding="utf-8") == render(a_view(2))
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(BackendError, match=r"cannot write .*file/report\.html") as caught:
        write(a_view(), tmp_path / "file" / "report.html")

    assert "choose another path" in caught.value.hint


def test_the_learning_curve_becomes_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    path = learning_curve_png(a_view(), tmp_path / "curve.png")

    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_missing_matplotlib_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ConfigError, match="matplotlib") as caught:
        learning_curve_png(a_view(), tmp_path / "curve.png")

    assert caught.value.hint == 'pip install "labelloop[report]"'


def test_a_curve_without_a_scored_round_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'pets' has no scored round"):
        learning_curve_png(replace(a_view(), rounds=[]), tmp_path / "curve.png")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 100, [0, 20, 40, 60, 80, 100]), (0.5, 0.95, [0.5, 0.6, 0.7, 0.8, 0.9]), (0, 2, [0, 1, 2])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize("score", [0.0, 0.02, 0.5, 0.99, 1.0])
def test_the_score_axis_holds_every_value_and_stays_within_its_meaning(score: float) -> None:
    low, high = score_range([replace(a_round(1, score), low=score, high=score, naive_score=None)])

    assert 0.0 <= low <= score <= high <= 1.0
    assert high - low == pytest.approx(0.2, abs=0.06)


def test_the_label_axis_starts_at_zero_unless_that_wastes_half_of_it() -> None:
    assert label_range([replace(a_round(), trained_on=n) for n in (40, 200)]) == (0.0, 200.0)
    assert label_range([replace(a_round(), trained_on=n) for n in (900, 1000)]) == (900.0, 1000.0)
    assert label_range([replace(a_round(), trained_on=0)]) == (0.0, 2.0)


def test_calibration_error_weighs_the_bins_by_their_counts() -> None:
    assert calibration_error([ReliabilityBin(0.6, 0.5, 1), ReliabilityBin(0.9, 0.9, 3)]) == pytest.approx(0.025)
    assert calibration_error([]) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3840, "1 h 04 min")],
)
def test_durations_are_as_fine_as_they_matter(seconds: float, words: str) -> None:
    assert duration(seconds).replace("\u00a0", " ") == words


def test_what_is_unknown_is_a_dash() -> None:
    assert percent(None) == "–"
    assert interval(RoundView(1)) == ""
