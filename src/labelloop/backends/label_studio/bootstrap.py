"""Runs under Label Studio's own python: migrate its database, or put our user into it."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """`migrate` the database of BASE_DATA_DIR, or create or repair the `user` described as JSON on stdin."""
    _set_up()
    if sys.argv[1] == "migrate":
        import_module("django.core.management").call_command("migrate", "--no-color", verbosity=0)
        return
    _ensure_user(**json.load(sys.stdin))


def find_label_studio() -> None:
    """Have Label Studio's own modules found by the bare names that it imports them by."""
    package = import_module("label_studio")
    sys.path.insert(0, str(Path(str(package.__file__)).parent))


def _set_up() -> None:
    find_label_studio()
    os.environ["DJANGO_SETTINGS_MODULE"] = "label_studio.core.settings.label_studio"
    import_module("django").setup()


def _ensure_user(email: str, password: str, token: str) -> None:
    """One user in one organisation, who may sign in with the password and call the API with the token."""
    users = import_module("users.models").User.objects
    organizations = import_module("organizations.models").Organization
    tokens = import_module("rest_framework.authtoken.models").Token.objects
    user = users.filter(email=email).first() or users.create_user(email=email, password=password)
    user.is_staff = user.is_superuser = False  # members can do all that labelloop does
    user.set_password(password)
    user.save()
    organization = organizations.objects.first() or organizations.create_organization(
        created_by=user, title="labelloop", legacy_api_tokens_enabled=True
    )
    if not organization.has_user(user):
        organization.add_user(user)
    user.active_organization = organization
    user.save(update_fields=["active_organization"])
    organization.jwt.legacy_api_tokens_enabled = True
    organization.jwt.save()
    tokens.filter(user=user).delete()
    tokens.create(user=user, key=token)


if __name__ == "__main__":
    main()
