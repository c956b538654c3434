"""What asking and hearing cost beside Label Studio's own bulk import and full export, on one managed server."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.kinds.labels import regions_of
from labelloop.testing.annotator import SimulatedAnnotator

from figure import Figure, pairs, ratio, seconds
from managed import SCHEMA, bulk_import, delete, fill, label_studio, questions, task_of

TASKS = 10_000
ASKING = 1.2
HEARING = 1 / 50
COUNTING = 1 / 20
IMPORTING = 0.9
IMPORTED = 5000
SIZES = (250, 1000, 2500, 5000)


def figures(quick: bool) -> Iterator[Figure]:
    """Asking over one bulk import of the same payload; hearing 10 of 10,000 over a full export; people per second."""
    with label_studio() as annotator:
        client = annotator.client()
        dataset = annotator.open("bench annotator", SCHEMA)
        assert isinstance(dataset, LabelStudioDataset)
        fill(client, dataset.project, TASKS)
        for size, repeats in ((1000, 6), (500, 8), (100, 16)):
            for new_model in (False, True):
                yield asking(client, dataset, size, new_model=new_model, repeats=repeats // 2 if quick else repeats)
        yield importing(client, annotator, 2 if quick else 4)
        yield counting(client, annotator, dataset, 3 if quick else 5)
        yield hearing(client, dataset, 1 if quick else 2)
        yield people(client, dataset, 1 if quick else 3)


def asking(client: Client, dataset: LabelStudioDataset, size: int, *, new_model: bool, repeats: int) -> Figure:
    """A fresh batch with predictions into a project of 10,000 tasks: `ask` beside one bulk import call.

    A new model has to be made the one whose predictions people see as well, which one bulk import does not do.
    """

    def version(turn: int) -> str:
        return f"m-{size}-{turn}" if new_model else "m"

    def ask(turn: int) -> float:
        batch = questions(f"ask-{size}-{new_model}-{turn}", size, version(turn))
        made: list[int] = []
        dataset.size()  # as the hearing of the same tick does, to compare it with the ledger
        took = seconds(lambda: made.extend(int(task) for task in dataset.ask(batch, unasked=True).tasks.values()))
        delete(client, dataset.project, made)
        return took

    def bare(turn: int) -> float:
        tasks = [task_of(one) for one in questions(f"bare-{size}-{new_model}-{turn}", size, version(turn))]
        made: list[int] = []
        took = seconds(lambda: made.extend(bulk_import(client, dataset.project, tasks)))
        delete(client, dataset.project, made)
        return took

    model = "a new model" if new_model else "the same model"
    taken = pairs(ask, bare, repeats)
    return ratio(f"asking {size} tasks of {model} / one bulk import of them", taken, at_most=ASKING)


def importing(client: Client, annotator: LabelStudioAnnotator, repeats: int) -> Figure:
    """Tasks with predictions per second: `ask` over the best bulk import of the same payload, of several sizes."""
    dataset = annotator.open("bench import", SCHEMA)
    assert isinstance(dataset, LabelStudioDataset)

    def raw(size: int, turn: int) -> float:
        tasks = [task_of(one) for one in questions(f"raw-{size}-{turn}", IMPORTED, "m")]
        made: list[int] = []

        def send() -> None:
            for start in range(0, IMPORTED, size):
                made.extend(bulk_import(client, dataset.project, tasks[start : start + size]))

        took = seconds(send)
        delete(client, dataset.project, made)
        return took

    def ask(turn: int) -> float:
        batch = questions(f"ask-{turn}", IMPORTED, "m")
        made: list[int] = []
        dataset.size()
        took = seconds(lambda: made.extend(int(task) for task in dataset.ask(batch, unasked=True).tasks.values()))
        delete(client, dataset.project, made)
        return took

    rates = {size: IMPORTED / min(raw(size, turn) for turn in range(2)) for size in SIZES}
    best = max(rates, key=lambda size: rates[size])
    taken = pairs(lambda turn: raw(best, turn), ask, repeats)
    measured = ", ".join(f"{rate:.0f}/s by {size:,}" for size, rate in rates.items())
    ours, theirs = (IMPORTED / median(side) for side in reversed(list(zip(*taken, strict=True))))
    what = f"importing {IMPORTED:,} tasks with predictions, per second / the best raw bulk import ({best:,} a request)"
    detail = f"{ours:.0f}/s / {theirs:.0f}/s; raw {measured}"
    return Figure(what, [theirs / ours for theirs, ours in taken], at_least=IMPORTING, detail=detail)


def hearing(client: Client, dataset: LabelStudioDataset, repeats: int) -> Figure:
    """Ten new answers among 10,000 annotated tasks: `answers` beside one full export."""
    pages = list(dataset.answers(None))
    cursor = pages[-1].cursor
    asked = {heard.item_id: heard.task_id for page in pages for heard in page.heard if heard.annotations}

    def hear(turn: int) -> float:
        nonlocal cursor
        new = list(asked)[turn :: len(asked) // 10][:10]
        for item in new:
            body = {"result": [dict(region) for region in regions_of(SCHEMA, ["dog"])]}
            client.call("POST", f"/api/tasks/{asked[item]}/annotations/", body=body)
        pages.clear()
        took = seconds(lambda: pages.extend(dataset.answers(cursor)))
        if not set(new) <= {one.item_id for page in pages for one in page.heard}:
            raise AssertionError("an answer was not heard")
        cursor = pages[-1].cursor
        return took

    def export(_: int) -> float:
        path = f"/api/projects/{dataset.project}/export"
        return seconds(lambda: client.call("GET", path, query={"exportType": "JSON"}, timeout=600))

    taken = pairs(hear, export, repeats, warm_up=0)
    return ratio("hearing 10 answers among 10,000 annotated / a full export", taken, at_most=HEARING)


def counting(client: Client, annotator: LabelStudioAnnotator, dataset: LabelStudioDataset, repeats: int) -> Figure:
    """What `dataset stats` asks for, by name and with a request per person, beside downloading the tasks to count them.

    The download is the leanest there is: only the fields one needs to count, in pages of 2,000.
    """

    def count(_: int) -> float:
        counts = []
        took = seconds(lambda: counts.append(annotator.stats("bench annotator")))
        if counts[0].labeled < TASKS or not counts[0].per_annotator:
            raise AssertionError(f"the counts are wrong: {counts[0]}")
        return took

    def download(_: int) -> float:
        fields = "id,annotations,result,completed_by,was_cancelled,predictions,model_version"
        rows: list[int] = []
        took = seconds(
            lambda: rows.extend(len(page) for page in tasks.scan(client, dataset.project, [], fields, everything=True))
        )
        if sum(rows) < TASKS:
            raise AssertionError(f"only {sum(rows)} tasks were downloaded")
        return took

    taken = pairs(count, download, repeats, warm_up=0)
    return ratio("`dataset stats` of 10,000 tasks / downloading them", taken, at_most=COUNTING)


def people(client: Client, dataset: LabelStudioDataset, repeats: int) -> Figure:
    """Simulated people answering through the REST API, by threads: seconds per answer over those of one thread."""
    open_items = 30
    dataset.ask(questions("people", open_items * 2 * (repeats + 1), "m"))

    def answer(threads: int) -> float:
        simulated = SimulatedAnnotator(client, dataset.project, SCHEMA, {}, threads=threads)
        return seconds(lambda: simulated.answer_open(limit=open_items))

    taken = pairs(lambda _: answer(4), lambda _: answer(1), repeats)
    return ratio(f"{open_items} simulated answers by 4 threads / by 1", taken)
