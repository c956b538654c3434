"""What a watched loop answers over HTTP: hints that wake it, its metrics, and that it lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from labelloop.commands.hints import HEADER
from labelloop.commands.watch import Bell, Vitals

if TYPE_CHECKING:
    from prometheus_client import Metric
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


def service(vitals: Vitals, bell: Bell, path: str, credential: str) -> Starlette:
    """The app of one watched loop.

    Args:
        vitals: What is measured.
        bell: What a hint rings. Nothing a hint says is read: what people said is asked of the annotator.
        path: Where hints come in.
        credential: What their header must hold; empty takes no hints.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    registry = CollectorRegistry()
    registry.register(Measured(vitals))

    async def hint(request: Request) -> Response:
        said = request.headers.get(HEADER, "")
        if not credential or not compare_digest(said.encode(), credential.encode()):
            vitals.hints["refused"] += 1
            return Response(status_code=401)
        vitals.hints["taken"] += 1
        bell.ring()
        return Response(status_code=204)

    async def measure(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "UP", "heard_at": vitals.heard_at})

    return Starlette(
        routes=[
            Route(path, hint, methods=["POST"]),
            Route("/metrics", measure, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
        ]
    )


class Measured:
    """Vitals in the terms of Prometheus; collected anew at each scrape."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names need no reservation."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield from self._counters()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily as Counter

        vitals = self._vitals
        yield Counter("labelloop_rounds", "Rounds asked or completed since the start.", value=vitals.rounds)
        heard = {change: vitals.heard.get(change, 0) for change in ("created", "edited", "removed")}
        yield _by(Counter, "labelloop_answers_heard", "Changes of annotations heard since the start.", "change", heard)
        failures = {kind: vitals.failures.get(kind, 0) for kind in ("BackendError", "BusyError")} | dict(
            vitals.failures
        )
        yield _by(Counter, "labelloop_failures", "Ticks that failed since the start.", "error", failures)
        hints = {outcome: vitals.hints.get(outcome, 0) for outcome in ("taken", "refused")}
        yield _by(Counter, "labelloop_hints", "Hints of the annotator since the start.", "outcome", hints)
        yield _by(Counter, "labelloop_stage_seconds", "Seconds by stage of a round.", "stage", dict(vitals.seconds))

    def _gauges(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily as Gauge

        now, heard_at = self._vitals.situation, self._vitals.heard_at
        if heard_at is not None:
            yield Gauge(
                "labelloop_last_hearing_timestamp_seconds", "When the annotator was heard the last time.", heard_at
            )
        if now is None:
            return
        yield Gauge("labelloop_items", "Items there are.", now.items)
        yield Gauge("labelloop_open_questions", "Questions that nobody has answered or skipped.", now.open)
        yield Gauge("labelloop_unlearned_changes", "Changes of annotations that no round has learned from.", now.news)
        if now.last is None:
            return
        yield Gauge("labelloop_last_round", "Number of the newest round.", now.last.number)
        score = now.last.metrics
        for name, key in (("score", "score"), ("score_low", "low"), ("score_high", "high")):
            if score.get(key) is not None:
                words = "The honest score on the holdout" + {"low": ", lower end", "high": ", upper end"}.get(key, "")
                family = Gauge(f"labelloop_{name}", f"{words} of its 95 % interval.", labels=["name"])
                family.add_metric([str(score.get("score_name", "accuracy"))], score[key])
                yield family


def _by(family: Any, name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    """One metric with a label."""
    made: Metric = family(name, words, labels=[label])
    for key, value in values.items():
        made.add_metric([key], value)  # type: ignore[attr-defined]
    return made
