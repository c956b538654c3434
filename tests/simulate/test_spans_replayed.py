"""A CoNLL file is replayed: spans are learned, chosen and scored, and the effort is counted in words, too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from labelloop.cli import cli
from labelloop.errors import ConfigError
from labelloop.kinds.spans import TextSpans
from labelloop.simulate import labelled
from labelloop.simulate.engine import simulate
from labelloop.simulate.replay import Labelled, ReplayPlan, score_name, world
from labelloop.simulate.verdict import by_words, judge

from support.quick_tagger import QuickTagger

NAMES = {"Ann": "PER", "Bob": "PER", "Carol": "PER", "Rome": "LOC", "Oslo": "LOC", "Lima": "LOC"}
WORDS = ("met", "saw", "in", "left", "wrote", "about", "today", "again")


def corpus(path: Path, n: int = 90) -> Path:
    rng = np.random.default_rng(3)
    lines = []
    for i in range(n):
        words = [str(one) for one in rng.choice([*NAMES, *WORDS], int(rng.integers(3, 12)))]
        lines += [f"{word} {'B-' + NAMES[word] if word in NAMES else 'O'}" for word in [*words, f"n{i}"]]
        lines.append("")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def there(tmp_path: Path) -> Labelled:
    found, kind = labelled.read_conll(str(corpus(tmp_path / "news.conll")))
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(len(found.items), 8)).astype(np.float32)
    return labelled.of_kind(rows / np.linalg.norm(rows, axis=1, keepdims=True), found, kind)


PLAN = ReplayPlan(("random", "auto"), seeds=2, batch=10, budget=40)


def test_a_conll_file_becomes_texts_with_spans(there: Labelled) -> None:
    assert there.kind == TextSpans(("LOC", "PER"))
    assert len(there) == 90
    text, spans = there.items[0].text, there.answers[0]
    assert [NAMES[text[start:end]] for start, end, _ in spans] == [label for _, _, label in spans]


def test_spans_are_replayed_and_counted_in_items_and_in_words(there: Labelled) -> None:
    curves = simulate(there, PLAN, QuickTagger(), workers=1)

    assert score_name(there, PLAN) == "span-F1"
    assert {curve.labels for curve in curves} == {(10, 20, 30, 40)}
    for curve in curves:
        assert 0.5 < curve.scores[-1] <= 1.0
        assert len(curve.read) == 4
        assert curve.read[0] > 4 * 10
        assert list(curve.read) == sorted(curve.read)
    read = judge(by_words(curves), len(there))
    assert read.budget > 160


def test_the_same_curves_with_several_processes(there: Labelled) -> None:
    alone, beside = (simulate(there, PLAN, QuickTagger(), workers=workers) for workers in (1, 2))
    assert alone == beside


def test_noise_is_a_span_that_is_overlooked(there: Labelled) -> None:
    made = world(there, replace(PLAN, noise=0.5), 0)
    changed = [(given, true) for given, true in zip(made.answers, there.answers, strict=True) if given != true]
    assert len(changed) > 15
    assert all(set(given) < set(true) and len(given) == len(true) - 1 for given, true in changed)


def test_answers_that_do_not_fit_the_items_are_refused(there: Labelled) -> None:
    with pytest.raises(ConfigError, match="89 answers to 90 items"):
        replace(there, answers=there.answers[:-1])


def test_a_file_without_a_span_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.conll"
    path.write_text("Ann O\nleft O\n\nBob O\n")
    with pytest.raises(ConfigError, match="has a span"):
        labelled.read_conll(str(path))


def test_the_command_replays_a_conll_file_with_the_learner_of_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycrfsuite")
    monkeypatch.chdir(tmp_path)
    path = corpus(tmp_path / "news.conll")
    options = ["--seeds", "1", "--batch", "15", "--budget", "45", "--workers", "1", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, ["--json", "simulate", str(path), *options], catch_exceptions=False)

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["full"] > 0.8
    assert told["in_words_read"]["budget"] > told["budget"]
    assert (
        (tmp_path / "out" / "curves.csv").read_text().startswith("selector,seed,labels,score,full_score,seconds,words")
    )
