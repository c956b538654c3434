"""The two pipelines of this project: plain functions of the loop, made of built-in steps and of its own."""
