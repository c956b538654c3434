"""From annotations to a deployed model."""

from __future__ import annotations

from labelloop.steps import (
    Judged,
    Loop,
    convert_annotations,
    deploy,
    embed,
    evaluate,
    get_labeled_data,
    get_or_create_dataset,
    judge,
    older_model,
)

from steps.agreed_labels import agreed_labels
from steps.continue_training import continue_training


def training(loop: Loop, *, rerun: bool) -> Judged | None:
    """Learn from every annotation so far, and deploy the model if it passes the gate.

    Args:
        rerun: Continue from the model that was deployed before these annotations, instead of from nothing.

    Returns:
        The judgement; None while there are no annotations to learn from.
    """
    get_or_create_dataset(loop)
    labeled = get_labeled_data(loop)
    if not labeled:
        return None
    names = loop.run(agreed_labels, loop.schema, labeled.answers).value
    converted = convert_annotations(loop, labeled, embed(loop), names)
    if not len(converted.training):
        return None
    base = older_model(loop, labeled) if rerun else None
    model = loop.run(continue_training, loop.learner, base, converted.training)
    evaluate(loop, model, converted.held_out)
    judged = judge(loop, model, converted)
    deploy(loop, judged, converted)
    return judged
