"""The report as one HTML page without scripts, addresses or files outside itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from labelloop.report import plots
from labelloop.report.markup import Markup, join, link, tag
from labelloop.report.samples import gallery
from labelloop.report.views import STAGES, Confusion, LabelScore, ReportView, RoundView
from labelloop.report.words import NOTHING, duration, interval, moment, percent

STYLE = Path(__file__).with_name("page.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
ROWS_SHOWN = 12
MATRIX_LIMIT = 16
PAIRS_SHOWN = 10


def render(view: ReportView) -> str:
    """The whole page. Everything in `view` is untrusted: labels, texts, reasons and names are escaped."""
    style = STYLE.read_text(encoding="utf-8")
    page = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
            tag("title", f"{view.dataset} · labelloop"),
            tag("style", Markup(style)),
        ),
        tag("body", _header(view), tag("main", *_sections(view)), _footer(view)),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"


def _sections(view: ReportView) -> list[Markup]:
    return [
        _standing(view),
        _curve(view),
        tag("div", _labels(view.per_label), _reliability(view), class_="pair"),
        _notes("Behind the score", "What the score rests on, and what other ways of counting would say.", view.notes),
        _notes("Labels taken from the model", "Unseen, on a promise that people's answers audit for good.", view.taken),
        _confusion(view.confusion),
        gallery("Last batch", "What the loop asked last, most useful first, and why.", view.batch),
        gallery("Least sure", "Open items where the model is least sure of its guess.", view.uncertain),
        gallery(
            "Labels worth a second look", "People and model disagree, and the model is sure of itself.", view.suspects
        ),
        _anchoring(view),
        _stages(view.rounds),
        _rounds(view.rounds),
    ]


def section(title: str, note: str, *body: str, class_: str | None = None) -> Markup:
    """A titled part of the page; nothing at all when its body is empty."""
    if not any(body):
        return Markup()
    return tag("section", tag("h2", title), tag("p", note, class_="note"), *body, class_=class_)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str, words: frozenset[int] = frozenset()) -> Markup:
    """A table that scrolls sideways by itself; columns are numbers except those in `words`."""
    kinds = ["word" if i in words else "number" for i in range(len(head))]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", h, scope="col", class_=k) for h, k in zip(head, kinds, strict=True)))),
            tag(
                "tbody",
                *(tag("tr", *(tag("td", c, class_=k) for c, k in zip(row, kinds, strict=True))) for row in rows),
            ),
        ),
        class_="scroll",
        role="region",
        tabindex=0,
        aria_label=name,
    )


def _header(view: ReportView) -> Markup:
    kind = "one label each" if view.task == "single-choice" else "several labels each"
    facts = [f"{view.modality} classification", f"{len(view.labels)} labels, {kind}"]
    if view.asked:
        facts = [f"{view.asked} of {view.modality}s", *([f"{len(view.labels)} labels"] if view.labels else [])]
    facts += [f"round {view.rounds[-1].number}"] if view.rounds else []
    facts += [moment(view.generated_at)] if view.generated_at else []
    opener = link(view.annotator_url, "Open in Label Studio", class_="button") if view.annotator_url else Markup()
    return tag(
        "header",
        tag(
            "div",
            tag("p", "labelloop", class_="brand"),
            tag("h1", view.dataset),
            tag("p", " · ".join(facts), class_="facts"),
        ),
        opener,
    )


def _standing(view: ReportView) -> Markup:
    """The score in large, what it rests on, and the counts."""
    totals = view.totals
    counts = [
        ("items", totals.items),
        ("asked", totals.tasks),
        ("annotations", totals.annotations),
        ("holdout", totals.holdout),
        ("skipped", totals.skipped),
        ("unreadable", totals.unreadable),
    ]
    tiles = [tag("div", tag("dt", name), tag("dd", f"{count:,}")) for name, count in counts]
    return tag("section", _headline(view), tag("dl", *tiles, class_="tiles"), class_="standing")


def _headline(view: ReportView) -> Markup:
    now = view.in_use
    if now is None:
        return tag(
            "div",
            tag("p", "No score yet", class_="score none"),
            tag("p", "A score appears once people have answered questions of the holdout and a model has learned."),
        )
    range_ = tag("span", f"95 % interval {interval(now)} %", class_="interval") if interval(now) else Markup()
    return tag(
        "div",
        tag("p", percent(now.score), tag("small", now.score_name), class_="score"),
        tag("p", range_),
        tag("p", _ground(view, now), class_="ground"),
    )


def _ground(view: ReportView, now: RoundView) -> str:
    """On what the score rests, and whether its rise is more than chance."""
    basis = f"The model of round {now.number}, on {now.n_holdout:,} held-out items it never learned from."
    first = view.scored[0]
    if first.number == now.number or first.score is None or now.score is None:
        return basis
    change = (now.score - first.score) * 100
    moved = f" {'Up' if change >= 0 else 'Down'} {abs(change):.1f} points since round {first.number}"
    if None in (first.low, first.high, now.low, now.high):
        return f"{basis}{moved}."
    return f"{basis}{moved}, {'more' if _apart(first, now) else 'not more'} than the intervals explain."


def _apart(a: RoundView, b: RoundView) -> bool:
    return (a.high or 0.0) < (b.low or 0.0) or (b.high or 0.0) < (a.low or 0.0)


def _curve(view: ReportView) -> Markup:
    scored = view.scored
    if not scored:
        return Markup()
    keys = [_key("dot promoted", "model promoted")]
    keys += [_key("dot kept", "model not promoted")] if any(one.fate == "kept" for one in scored) else []
    keys += [_key("patch", "95 % interval")]
    keys += (
        [_key("dash", "naive: on items the loop chose itself, so biased")]
        if any(one.naive_score is not None for one in scored)
        else []
    )
    return section(
        "Learning curve",
        f"{_beginning(scored[0].score_name)} on the holdout after each round.",
        tag("div", plots.learning_curve(view.rounds, plots.WIDE), class_="plot wide"),
        tag("div", plots.learning_curve(view.rounds, plots.NARROW), class_="plot narrow"),
        tag("p", *keys, class_="legend"),
        tag("p", f"Advice: {view.rounds[-1].advice}.", class_="note") if view.rounds[-1].advice else Markup(),
    )


def _key(class_: str, name: str) -> Markup:
    return tag("span", tag("i", class_=class_), name)


def _labels(scores: Sequence[LabelScore]) -> Markup:
    if not scores:
        return Markup()
    ordered = sorted(scores, key=lambda one: (one.f1 is None, one.f1 or 0.0, one.label))
    rows = [
        (
            one.label,
            _f1(one),
            percent(one.precision, 0),
            percent(one.recall, 0),
            f"{one.support:,}",
        )
        for one in ordered
    ]
    head = ("label", "F1", "precision", "recall", "holdout")
    shown, rest = rows[:ROWS_SHOWN], rows[ROWS_SHOWN:]
    more = _more(f"{len(rest)} more label(s)", table(head, rest, "More labels", frozenset({0}))) if rest else Markup()
    return section(
        "By label",
        "The weakest first, on the holdout.",
        table(head, shown, "Scores by label", frozenset({0})),
        more,
        class_="labels",
    )


def _f1(one: LabelScore) -> Markup:
    """The F1 of a label, with its 95 % interval."""
    bounds = Markup()
    if one.f1_low is not None and one.f1_high is not None:
        bounds = tag("small", f"{100 * one.f1_low:.0f}–{100 * one.f1_high:.0f}")
    return join([plots.share_bar(one.f1), tag("span", percent(one.f1, 0)), bounds])


def _notes(title: str, note: str, known: Sequence[tuple[str, str]]) -> Markup:
    if not known:
        return Markup()
    return section(title, note, table(("about", "what is known"), known, title, frozenset({0, 1})))


def _more(summary: str, body: Markup) -> Markup:
    return tag("details", tag("summary", summary), body)


def _reliability(view: ReportView) -> Markup:
    if not any(one.count for one in view.reliability):
        return Markup()
    error = percent(plots.calibration_error(view.reliability))
    return section(
        "Reliability",
        f"On the diagonal a probability means what it says. Expected calibration error {error}.",
        tag("div", plots.reliability(view.reliability), class_="plot square"),
    )


def _confusion(confusion: Confusion | None) -> Markup:
    if confusion is None or not any(map(sum, confusion.counts)):
        return Markup()
    matrix = _matrix(confusion) if len(confusion.labels) <= MATRIX_LIMIT else Markup()
    pairs = _pairs(confusion)
    note = "Rows are what people said, columns what the model says." if matrix else "The most common mix-ups."
    return section("Confusion", note, tag("div", matrix, pairs, class_="confusion"))


def _matrix(confusion: Confusion) -> Markup:
    head = tag(
        "tr", tag("td", class_="corner"), *(tag("th", tag("span", name), scope="col") for name in confusion.labels)
    )
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(_cell(count, sum(row), i == j, name, confusion.labels[j]) for j, count in enumerate(row)),
        )
        for i, (name, row) in enumerate(zip(confusion.labels, confusion.counts, strict=True))
    ]
    grid = tag("table", tag("thead", head), tag("tbody", *body), class_="matrix")
    return tag("div", grid, class_="scroll", role="region", tabindex=0, aria_label="Confusion matrix")


def _cell(count: int, of: int, right: bool, said: str, guessed: str) -> Markup:
    share = count / of if of else 0.0
    kind = ("right" if right else "wrong") + (" strong" if share > 0.55 else "")
    return tag(
        "td",
        f"{count:,}" if count else tag("span", "0", class_="zero"),
        class_=kind,
        style=f"--share:{share:.3f}",
        title=f"{said} seen as {guessed}: {count:,} of {of:,} ({percent(share, 0)})",
    )


def _pairs(confusion: Confusion) -> Markup:
    mixed = [
        (count, said, confusion.labels[j])
        for i, (said, row) in enumerate(zip(confusion.labels, confusion.counts, strict=True))
        for j, count in enumerate(row)
        if i != j and count
    ]
    if not mixed:
        return tag("p", "No mistake on the holdout.", class_="note")
    mixed.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    rows = [(said, guessed, f"{count:,}") for count, said, guessed in mixed[:PAIRS_SHOWN]]
    return table(("people said", "model says", "times"), rows, "Most common mix-ups", frozenset({0, 1}))


def _anchoring(view: ReportView) -> Markup:
    """Whether people follow the guesses that are filled in."""
    if not view.arms:
        return Markup()
    rows = [
        [
            one.name,
            str(one.answers),
            str(one.agreed),
            str(one.partly),
            str(one.differed),
            NOTHING if one.agreement is None else f"{percent(one.agreement)} ({percent(one.low)}–{percent(one.high)})",
            NOTHING if one.seconds is None else duration(one.seconds),
        ]
        for one in view.arms
    ]
    head = ["questions", "answers", "as the model says", "in part", "not", "agreement", "seconds, median"]
    return section(
        "What the guess does to people",
        f"Chance drew the blind questions. {view.anchoring}",
        table(head, rows, "Answers with the model's guess and without it", frozenset({0})),
    )


def _stages(rounds: Sequence[RoundView]) -> Markup:
    timed = [one for one in rounds if one.seconds]
    if not timed:
        return Markup()
    longest = max(one.total_seconds for one in timed)
    used = {stage for one in timed for stage in one.seconds}
    keys = [_key(f"patch stage-{stage}", stage) for stage in STAGES if stage in used]
    keys += [_key("patch stage-other", "other")] if used - set(STAGES) else []
    bars = [_stage_row(one, longest) for one in reversed(timed)]
    earlier = bars[ROWS_SHOWN:]
    return section(
        "Time by stage",
        f"Computing takes {duration(sum(one.total_seconds for one in timed))} in {len(timed)} rounds;"
        " waiting for people is not counted.",
        tag("p", *keys, class_="legend"),
        tag("div", *bars[:ROWS_SHOWN], class_="stages"),
        _more(f"{len(earlier)} earlier round(s)", tag("div", *earlier, class_="stages")) if earlier else Markup(),
    )


def _stage_row(one: RoundView, longest: float) -> Markup:
    return tag(
        "div",
        tag("span", f"Round {one.number}"),
        plots.stage_bar(one, longest),
        tag("span", duration(one.total_seconds), class_="number"),
    )


def _rounds(rounds: Sequence[RoundView]) -> Markup:
    if not rounds:
        return Markup()
    head = ("round", "started", "asked", "labels", "score", "interval", "naive", "model", "why")
    rows = [_round_row(one) for one in reversed(rounds)]
    shown, earlier = rows[:ROWS_SHOWN], rows[ROWS_SHOWN:]
    words = frozenset({1, 7, 8})
    more = (
        _more(f"{len(earlier)} earlier round(s)", table(head, earlier, "Earlier rounds", words))
        if earlier
        else Markup()
    )
    return section(
        "Rounds",
        "What each round asked, learned and decided; the newest first.",
        table(head, shown, "Rounds", words),
        more,
    )


def _round_row(one: RoundView) -> tuple[str, ...]:
    parts = [f"{one.asked_holdout:,} for the holdout"] if one.asked_holdout else []
    parts += [f"{one.asked_random:,} at random"] if one.asked_random else []
    why = [tag("p", text) for text in (one.reason, one.gate_reason) if text]
    return (
        str(one.number),
        tag("span", moment(one.started_at), class_="moment"),
        join([f"{one.asked:,}", *(tag("small", part) for part in parts)]),
        f"{one.answered:,}",
        percent(one.score),
        interval(one) or NOTHING,
        percent(one.naive_score),
        _model(one),
        join(why),
    )


def _model(one: RoundView) -> Markup:
    if not one.model_version:
        return join([NOTHING])
    badge = tag("span", one.fate, class_="badge" if one.promoted else "badge off")
    return join([tag("code", one.model_version), badge])


def _footer(view: ReportView) -> Markup:
    versions = [tag("span", f"{name} ", tag("b", version)) for name, version in view.versions.items()]
    return tag("footer", tag("p", *versions) if versions else Markup(), tag("p", "Made by labelloop."))


def _beginning(words: str) -> str:
    """Words at the beginning of a sentence; what has capitals inside, such as span-F1, stays as it is."""
    return words[:1].upper() + words[1:]
