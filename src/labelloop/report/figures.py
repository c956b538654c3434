"""Figures look as we say: a matplotlibrc that lies in the current folder has no say in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_settings() -> Iterator[None]:
    """matplotlib's built-in settings for the block: one of a found folder could have LaTeX run on what it says."""
    try:
        import matplotlib as mpl
    except ImportError:
        yield  # whoever draws says what is missing
        return
    plain = {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")}
    with mpl.rc_context(plain):
        yield
