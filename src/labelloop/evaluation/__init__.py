"""How good a model is, how sure that is, and what follows from it: pure statistics over arrays."""
