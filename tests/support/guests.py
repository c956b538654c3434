"""People who sign up by Label Studio's invitation link."""

from __future__ import annotations

import re

import httpx

from labelloop.backends.label_studio.client import Client
from labelloop.testing.annotator import LabelStudioPerson


def invited(client: Client, email: str) -> LabelStudioPerson:
    """Somebody who signed up by invitation."""
    address = client.url + str(client.call("GET", "/api/invite")["invite_url"])
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(address).text)
        assert found
        form = {"email": email, "password": "bob-and-alice-1", "csrfmiddlewaretoken": found[1]}
        browser.post(address, data=form, headers={"Referer": client.url}).raise_for_status()
        token = browser.post(f"{client.url}/api/token/").raise_for_status().json()["token"]
    return LabelStudioPerson(Client(client.url, token))
