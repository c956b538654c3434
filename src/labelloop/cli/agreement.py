"""agreement: how much people agree."""

from __future__ import annotations

import click

from labelloop.cli.app import App, pass_app


@click.command()
@pass_app
def agreement(app: App) -> None:
    """Show how much people agree beyond chance, control by control, label by label, and two by two.

    Krippendorff's alpha with its 95 % interval: 1 is perfect, 0 is chance. Numbers are the nearer the better; spans,
    paths and texts are compared by how much they are alike. It needs items with answers of two people or more:
    people_per_item under [dataset]. Reads the ledger only: it knows what the last tick has heard.
    """
    from labelloop.cli.output import show
    from labelloop.cli.render import table
    from labelloop.commands.agreement import agreements, alpha_in_words, as_dict

    loop = app.loop()
    found = agreements(loop.ledger, loop.schema)
    show(as_dict(found), "\n".join(one.in_words() for one in found), as_json=app.as_json)
    if app.as_json:
        return
    for one in found:
        if one.all.items and one.labels:
            rows = [[label, alpha_in_words(alpha)] for label, alpha in one.labels.items()]
            table(rows, [one.control, "whether an item bears it"])
        if one.pairs:
            rows = [[pair.one, pair.other, str(pair.items), f"{pair.similarity:.0%}"] for pair in one.pairs]
            table(rows, ["one", "other", "items of both", "alike"])
