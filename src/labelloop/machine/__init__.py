"""What labelloop touches of the machine it runs on: others' code, files for one's own eyes, requests, the clock."""
