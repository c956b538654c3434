"""The report of a loop: one self-contained HTML page, and its learning curve as a picture."""
