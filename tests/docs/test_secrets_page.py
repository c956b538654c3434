"""How a secret is given: the ways that nobody else sees stand before the one that everybody does."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "secrets.md"


def test_the_prompt_is_recommended_before_the_command_line_which_the_list_of_processes_shows() -> None:
    page = PAGE.read_text("utf-8")
    ways = [line for line in page.splitlines() if line.startswith("| `--api_key")]

    assert "the best first" in page
    assert "a prompt that shows nothing" in ways[0]
    assert "the command itself" in ways[-1]
    assert "the list of processes shows it" in page
