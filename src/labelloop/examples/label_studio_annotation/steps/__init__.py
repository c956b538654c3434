"""Steps of this project's own; they stand beside the built-in ones of `labelloop.steps`."""
