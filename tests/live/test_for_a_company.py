"""The page "Label Studio for a company", stood up: nginx with TLS and a sign-on before it, PostgreSQL below it."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.environment import DEFAULT_VERSION, ensure_environment
from labelloop.backends.label_studio.server import free_port
from labelloop.errors import LabelLoopError
from labelloop.ledger import connect
from labelloop.testing.secrets import MemorySecrets

from support.company import authority
from support.http_double import Request, Response, serving
from support.live_world import LiveWorld

POSTGRES = os.environ.get("LABELLOOP_TEST_POSTGRES", "")
pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not POSTGRES, reason="LABELLOOP_TEST_POSTGRES is not set"),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not on this machine"),
]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "label-studio-for-a-company.md"
OWNER, PASSWORD, GATE = "owner@example.com", "a-password-of-the-owner", "open-sesame"
PATIENCE = 900.0
NGINX = """
daemon off; worker_processes 1; {user} pid {place}/nginx.pid; error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
    uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
    {server}
}}
"""
CLOSED = [
    "/", "/user/login/", "/user/signup/", "/api/version", "/api/projects/", "/health", "/data/upload/1/a.png",
    "/static/js/main.js", "/projects/1/data", "/admin/", "/..%2fapi/version", "/sso/../api/version", "//api/version",
]  # fmt: skip


def block(language: str) -> str:
    """The block of the page in this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@dataclass(frozen=True)
class Company:
    """A Label Studio as the page has it.

    Attributes:
        url: Where people and programs find it.
        trusting: Whom they trust.
        token: A personal access token that its owner has copied.
        files: The authority, a certificate for programs, and its key.
    """

    url: str
    trusting: ssl.SSLContext
    token: str
    files: tuple[Path, Path, Path]

    def annotator(self, home: Path, **options: Any) -> LabelStudioAnnotator:
        """What labelloop makes of the options."""
        secrets = MemorySecrets({"labels": {"token": self.token, "gate": GATE}})
        return LabelStudioAnnotator(
            home=home,
            secrets=secrets,
            url=self.url,
            authentication_secret="labels",
            ca_bundle=str(self.files[0]),
            **options,
        )

    def got(self, path: str, **headers: str) -> httpx.Response:
        """What somebody gets, redirects not followed."""
        return httpx.get(self.url + path, headers=headers, verify=self.trusting, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    place = tmp_path_factory.mktemp("company")
    with ExitStack() as running:
        own, front = free_port(8391), free_port(8491)
        sso = serving(sign_on)
        running.callback(sso.stop)
        url = f"https://127.0.0.1:{front}"
        database = running.enter_context(a_database())
        start_label_studio(running, place, url, own, database)
        trusted, (certificate, key) = authority(place / "server", "127.0.0.1")
        programs, (theirs, their_key) = authority(place / "programs", "labelloop")
        server = block("nginx")
        for said, here in {
            "443 ssl": f"127.0.0.1:{front} ssl",
            "/etc/nginx/tls/labels.pem": certificate,
            "/etc/nginx/tls/labels.key": key,
            "/etc/nginx/tls/company-ca.pem": programs,
            "http://127.0.0.1:4180": sso.url,
            "http://127.0.0.1:8080": f"http://127.0.0.1:{own}",
        }.items():
            assert said in server, said
            server = server.replace(said, str(here))
        user = "user root;" if os.geteuid() == 0 else ""
        (place / "nginx.conf").write_text(NGINX.format(place=place, server=server, user=user))
        started(running, ["nginx", "-p", str(place), "-c", str(place / "nginx.conf")], place / "nginx.log", {})
        trusting = ssl.create_default_context(cafile=trusted)
        wait_for(f"{url}/health", place / "nginx.log", {"Cookie": "sso=alice"}, trusting)
        yield Company(url, trusting, token_of_the_owner(url, trusting), (trusted, theirs, their_key))


def sign_on(request: Request) -> Response:
    """What stands for the company's single sign-on: who is signed in, and the programs that it knows by a header."""
    if request.path == "/oauth2/auth":
        known = "sso=alice" in request.headers.get("Cookie", "") or request.headers.get("X-Gate") == GATE
        return Response(202 if known else 401)
    return Response(200, {"page": "sign in here"})


def a_database() -> closing[_Database]:
    """A database for one Label Studio."""
    return closing(_Database(f"labels_{uuid.uuid4().hex[:12]}"))


class _Database:
    def __init__(self, name: str) -> None:
        self.name, self.address = name, make_url(POSTGRES)
        self._do(f"CREATE DATABASE {name}")

    def close(self) -> None:
        self._do(f"DROP DATABASE {self.name} WITH (FORCE)")

    def tables(self) -> int:
        engine = connect(self.address.set(database=self.name).render_as_string(hide_password=False))
        with engine.connect() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").scalar()
        engine.dispose()
        return int(count or 0)

    def _do(self, statement: str) -> None:
        engine = connect(POSTGRES)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


def start_label_studio(running: ExitStack, place: Path, url: str, port: int, database: _Database) -> None:
    """Label Studio with the variables of the page, where these name this machine and this database."""
    said = dict(line.split("=", 1) for line in block("text").splitlines())
    here = {
        "POSTGRE_HOST": database.address.host or "127.0.0.1",
        "POSTGRE_PORT": str(database.address.port or 5432),
        "POSTGRE_NAME": database.name,
        "POSTGRE_USER": database.address.username or "",
        "POSTGRE_PASSWORD": str(database.address.password or ""),
        "LABEL_STUDIO_BASE_DATA_DIR": str(place / "labels"),
    }
    assert set(here) <= set(said)
    variables = {name: value.replace("https://labels.example.com", url) for name, value in {**said, **here}.items()}
    variables = {name: value.replace("labels.example.com", "127.0.0.1") for name, value in variables.items()}
    program = ensure_environment(DEFAULT_VERSION).parent / "label-studio"
    command = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    command += ["--username", OWNER, "--password", PASSWORD]
    assert " ".join(command[1:4]) in PAGE.read_text("utf-8")
    started(running, command, place / "label-studio.log", variables)
    wait_for(f"http://127.0.0.1:{port}/health", place / "label-studio.log")
    assert database.tables() > 50


def started(running: ExitStack, command: list[str], log: Path, variables: dict[str, str]) -> None:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **variables}
        )
    running.callback(process.wait, 60)
    running.callback(process.terminate)


def wait_for(
    url: str, log: Path, headers: dict[str, str] | None = None, trusting: ssl.SSLContext | bool = True
) -> None:
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        try:
            if httpx.get(url, headers=headers, verify=trusting, trust_env=False, timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{url} does not answer: {log.read_text(errors='replace')[-3000:]}")


def token_of_the_owner(url: str, trusting: ssl.SSLContext) -> str:
    """What the owner copies: through the sign-on, then signed in to Label Studio by its own form."""
    with httpx.Client(base_url=url, verify=trusting, trust_env=False, timeout=120, cookies={"sso": "alice"}) as browser:
        form = browser.get("/user/login/")
        written = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
        assert written, form.text[:1000]
        fields = {"email": OWNER, "password": PASSWORD, "csrfmiddlewaretoken": written[1]}
        signed_in = browser.post("/user/login/", data=fields, headers={"Referer": f"{url}/user/login/"})
        assert signed_in.status_code == 302, signed_in.text[:1000]
        sent = {"X-CSRFToken": browser.cookies.get("csrftoken") or "", "Referer": f"{url}/"}
        made = browser.post("/api/token/", headers=sent)
        assert made.status_code == 201, made.text[:1000]
        return str(made.json()["token"])


def test_a_loop_plays_two_rounds_through_it(company: Company, tmp_path: Path) -> None:
    trusted, certificate, key = company.files
    away = company.annotator(tmp_path / "home", client_certificate=str(certificate), client_key=str(key))
    world = LiveWorld(tmp_path / "w", away, "for a company", token=company.token)
    way = f'ca_bundle = "{trusted}"\nclient_certificate = "{certificate}"\nclient_key = "{key}"\n'
    toml = world.config.read_text()
    world.config.write_text(toml.replace('authentication_secret = "team"\n', f'authentication_secret = "team"\n{way}'))

    world.draw(60)
    for _ in range(2):
        world.do("tick")
        assert world.answer_all() > 0
    world.do("tick")

    with closing(world.ledger()) as ledger:
        last = ledger.rounds.last()
        assert last is not None
        assert last.number == 3
        assert last.version
    picture = str(world.tasks()[0]["data"]["image"])
    assert company.got(picture, Cookie="sso=alice").status_code in (302, 401, 403)  # Label Studio does not know her
    assert company.got(picture).headers["location"].startswith(f"{company.url}/oauth2/sign_in")


@pytest.mark.parametrize("path", CLOSED)
def test_without_the_sign_on_nothing_is_served(company: Company, path: str) -> None:
    for headers in ({}, {"Cookie": "sso=mallory"}, {"X-Forwarded-User": "alice"}, {"X-Gate": "guess"}):
        answer = company.got(path, Authorization=f"Bearer {company.token}", **headers)

        sent_on = answer.headers.get("location", "").startswith(f"{company.url}/oauth2/sign_in?rd=")
        assert (answer.status_code, sent_on) in ((302, True), (400, False)), (path, headers)  # 400 is nginx's own
        assert b"Label Studio" not in answer.content


def test_a_header_that_the_sign_on_knows_stands_for_a_certificate(company: Company, tmp_path: Path) -> None:
    assert company.annotator(tmp_path / "a", headers="X-Gate: {gate}").client().version()

    with pytest.raises(LabelLoopError, match="oauth2/sign_in"):
        company.annotator(tmp_path / "b", headers="X-Gate: guess").client().version()


def test_every_answer_has_secure_headers(company: Company) -> None:
    answer = company.got("/user/login/", Cookie="sso=alice")

    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["x-content-type-options"].startswith("nosniff")
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
