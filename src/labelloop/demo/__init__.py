"""The demo: a whole loop on public data, with simulated people or with you at the browser."""
