"""From new images to pre-annotated tasks."""

from __future__ import annotations

from pathlib import Path

from labelloop.steps import (
    Loop,
    deployed_model,
    embed,
    get_or_create_dataset,
    load_new_data,
    place_in_store,
    predict,
    select,
    sync_new_data_to_label_studio,
    upload,
)

IMAGES = "images"
"""The folder of the artifact store that new images are put into."""


def inference(loop: Loop, batch: Path) -> int:
    """Bring the new images of the artifact store to the annotators, with what the deployed model says about them.

    Args:
        batch: A folder here that is uploaded to the store first; in real life, images arrive there by themselves.

    Returns:
        How many images are new to the annotators.
    """
    get_or_create_dataset(loop)
    upload(loop, batch, f"{IMAGES}/{batch.name}")
    load_new_data(loop, place_in_store(loop, IMAGES))
    features = embed(loop)
    model = deployed_model(loop)
    scores = predict(loop, model, features) if model else None
    return sync_new_data_to_label_studio(loop, select(loop, features, scores))
