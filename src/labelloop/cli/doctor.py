"""doctor: what is wrong, and its repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from labelloop.cli.app import App, pass_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.commands.doctor import Fault
    from labelloop.loop.loop import Loop


_PASSES = 3


@click.command()
@click.option("--repair", is_flag=True, help="Repair what is found, each after it was printed.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before each repair.")
@pass_app
def doctor(app: App, repair: bool, yes: bool) -> int:
    """Find what is wrong: everything of check, then ledger, artifact store and annotator side by side.

    Changes nothing without --repair. Exits with 0 when nothing is wrong, or nothing is left; else with 2. What a failed
    check puts out of reach is left out, and named.
    """
    from labelloop.cli.output import confirm, show
    from labelloop.cli.render import show_json
    from labelloop.commands.check import checks
    from labelloop.commands.doctor import examine, mended

    lost = _rescue(app, repair=repair, yes=yes)
    if lost:
        return lost
    told = [one for one in checks(app.workspace, app.stack) if one.hint or not one.ok]
    failed = [one for one in told if not one.ok]
    loop, away = _within_reach(app, [one.what for one in failed])
    faults = list(examine(loop, away)) if loop else []
    if not app.as_json:
        _tell([f"{one.what}: {one.detail}\n  {one.hint}" for one in told], faults)
        if away:
            show({}, f"not looked at: {', '.join(away)}", as_json=False)
    repairs, left = [], faults
    for _ in range(_PASSES if repair else 0):  # a repair may bring to light what it was hiding
        for fault in [one for one in left if one.mend is not None]:
            if not app.as_json:
                show({}, f"{fault.what}: {fault.detail}; repair: {fault.repair}", as_json=False)
            confirm("repair it?", yes=yes)
            repairs.append({"what": fault.what, "repair": fault.repair, "result": mended(fault)})
            if not app.as_json:
                show({}, f"  {repairs[-1]['result']}", as_json=False)
        if not any(one.mend for one in left):
            break
        left = list(examine(app.again().loop(), away))
    if app.as_json:
        show_json(
            {
                "checks": [one.as_dict() for one in told],
                "not_looked_at": away,
                "faults": [one.as_dict() for one in faults],
                "repairs": repairs,
                "left": [one.as_dict() for one in left],
            }
        )
    elif repairs:
        show({}, f"{len(left)} fault(s) left", as_json=False)
    return max([one.exit_code for one in failed] + [2 if left else 0])


def _rescue(app: App, *, repair: bool, yes: bool) -> int:
    """Say that the ledger is damaged, and repair it if that is wanted; the exit code where nothing else can be done."""
    from labelloop.cli.output import confirm, show
    from labelloop.ledger.rescue import damage, rescue

    url, dataset = app.workspace.ledger_url, app.workspace.config.dataset.name
    found = damage(url)
    if not found:
        return 0
    what = "set it aside, save what can be read into a new one, and hear the rest again"
    fault = {"what": "ledger", "detail": found, "repair": what, "repairable": True}
    if not repair:
        show({"checks": [], "faults": [fault]}, f"ledger: {found}\n  repair: {what}", as_json=app.as_json)
        return 3
    if not app.as_json:
        show({}, f"ledger: {found}; repair: {what}", as_json=False)
    confirm("repair it?", yes=yes)
    done = rescue(url, dataset)
    if not app.as_json:
        show({}, done.in_words(), as_json=False)
    return 0


def _within_reach(app: App, failed: Sequence[str]) -> tuple[Loop | None, list[str]]:
    """The loop, if it can be made, and what cannot be looked at."""
    from labelloop.commands.doctor import ANNOTATOR, STORE
    from labelloop.errors import LabelLoopError

    try:
        return app.loop(), [one for one in (STORE, ANNOTATOR) if one in failed]
    except LabelLoopError:
        if not failed:
            raise
        return None, ["ledger", STORE, ANNOTATOR]


def _tell(failed: list[str], faults: list[Fault]) -> None:
    from labelloop.cli.output import show

    lines = [*failed, *(f"{one.what}: {one.detail}\n  repair: {one.repair}" for one in faults)]
    show({}, "\n".join(lines) if lines else "nothing is wrong", as_json=False)
