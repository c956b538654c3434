"""Continuous annotation: a model and its annotators in one loop, around Label Studio."""

__version__ = "0.1.0"
