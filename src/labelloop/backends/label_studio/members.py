"""The people of a Label Studio by their numbers, and as whom we are among them."""

from __future__ import annotations

from collections.abc import Mapping

from labelloop.backends.label_studio.client import Client


def everybody(client: Client) -> dict[int, str]:
    """The people who are members: id of the user -> email."""
    listed = client.call("GET", "/api/users")
    known = listed["results"] if isinstance(listed, Mapping) else listed
    return {int(person["id"]): str(person["email"]) for person in known}


class Members:
    """The people who are members, each asked for once.

    Args:
        client: The server.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._people: dict[int, str] = {}
        self._me = ""

    def email(self, number: int) -> str:
        """The email of a user by number; the number itself for someone who is no member."""
        if number not in self._people:
            self._people |= everybody(self._client)
            self._people.setdefault(number, str(number))
        return self._people[number]

    def me(self) -> str:
        """The email of the account that the client signs in with."""
        if not self._me:
            self._me = str(self._client.whoami().get("email", ""))
        return self._me
