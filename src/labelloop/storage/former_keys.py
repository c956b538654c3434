"""What stood for our own steps and classes in the keys of versions before they had names; appended to, never edited.

A result under such a key is taken as long as the step has the name and the version that it has here, so that nothing
that an older labelloop computed is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping

_LAST = {
    "labelloop.embed": "labelloop.rounds.embed baee85c20bdbd6be76fce82a3f06b477",
    "labelloop.patched": "labelloop.rounds.patched bbdccb305a71139d2091c2f338cebc03",
    "labelloop.train": "labelloop.rounds.train 7113a99ed5f66572c8d6a8def02c5211",
    "labelloop.train_from": "labelloop.rounds.train_from bf18f21ca264a71d0c7a0cebb010e41c",
    "labelloop.random_curve": "labelloop.rounds.random_curve 94211c613932076f6368eae99ad4eec2",
    "labelloop.out_of_sample": "labelloop.rounds.out_of_sample f14ec4637f49ff84340f95d746a1fafa",
    "labelloop.predict": "labelloop.rounds.predict ec78a4012b36107f8cff9010a5cf246d",
    "labelloop.evaluate": "labelloop.rounds.evaluate 56121063a431166d296571f379f8272c",
    "labelloop.Item": "labelloop.types.Item d62ad63895b4114c334854140bd8b833",
    "labelloop.LabelSchema": "labelloop.types.LabelSchema e710d783cdeb897318864bf4df8f3330",
    "labelloop.Annotation": "labelloop.types.Annotation 1f16d7fd05a6cfe89f26ba56c9abf168",
    "labelloop.Prediction": "labelloop.types.Prediction 97427402f12e37c9a46e2c84bdb9a8aa",
    "labelloop.Inputs": "labelloop.types.Inputs f550a85cfa963b9a946649718e9b3133",
    "labelloop.Examples": "labelloop.types.Examples b09ada5e5224e6ec62e9d14856bd9520",
    "labelloop.Pool": "labelloop.types.Pool 0b0de68e2d6b6ce76e675569334e5865",
    "labelloop.Metrics": "labelloop.metrics.Metrics a847b5c5ca0412c2b316b2d94d0ae1d4",
    "labelloop.PerLabel": "labelloop.metrics.PerLabel 515493a7e3151ad02e10e5c394c448e0",
    "labelloop.Bin": "labelloop.metrics.Bin 2c456dce7d5ebe3a2da24c82ab336e39",
    "labelloop.Labeled": "labelloop.steps.Labeled d13a3a89aea62cc823a31ab473087020",
    "labelloop.Converted": "labelloop.steps.Converted 2e8a3eb156ac69bb2c7915d5cd89aa7a",
    "labelloop.Frozen": "labelloop.learners.frozen.Frozen",
    "labelloop.ImageBackbone": "labelloop.learners.images.ImageBackbone",
    "labelloop.TextBackbone": "labelloop.learners.texts.TextBackbone",
}
"""Module, qualified name and digest of the source, just before names came in November 2026."""

_FIRST = {
    **_LAST,
    "labelloop.embed": "labelloop.rounds.embed 9c07b0000d67177da272048d7506a27b",
    "labelloop.predict": "labelloop.rounds.predict 142aeac8e2f295bce1b055a7aec4a059",
    "labelloop.LabelSchema": "labelloop.types.LabelSchema 64eeb4438053cb87daecfe05ab66f873",
    "labelloop.Annotation": "labelloop.types.Annotation 2f56c85d6c10feca8ae63d2ca622cf88",
}
"""As they were four days earlier."""

_UNNAMED = {"labelloop.Features": "labelloop.loop.embeddings.Features 645a828c24a8ee0fc9281e412b6a2481"}
"""What had no name until it moved, for steps of a user's own that take it."""

FORMER: tuple[Mapping[str, str], ...] = (_LAST, _FIRST, _UNNAMED)
