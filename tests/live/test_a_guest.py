"""Whoever joined our Label Studio by invitation gets neither the machine nor its network, and the loop goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.guard import HEADERS
from labelloop.backends.label_studio.served import Root
from labelloop.cli import run
from labelloop.kinds import LabelSchema
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Item, Question

from support.guest import Canary, canary, guest

pytestmark = pytest.mark.live

NAME = "pictures of ours"
SCHEMA = LabelSchema("image", ("cat", "dog"))
HIDDEN = "this is nobody else's"

FOREIGN = """
active_stack = "team"
[stacks.team]
annotator = "team"
secrets_manager = "env"
[annotators.team]
flavor = "label_studio"
url = "{url}"
authentication_secret = "team"
[secrets_managers.env]
flavor = "env"
"""


@dataclass
class House:
    """Our server, a guest in it, what she may see, and what she may not."""

    annotator: LabelStudioAnnotator
    browser: httpx.Client
    root: Path
    inside: Canary
    redirecting: Canary
    project: int
    theirs: int

    def post(self, address: str, **body: Any) -> httpx.Response:
        """One request of hers."""
        return self.browser.post(address, json=body)

    def file(self, relative: str) -> httpx.Response:
        """She asks for a local file."""
        return self.browser.get(f"/data/local-files/?d={relative}")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root = tmp_path_factory.mktemp("house")
    photos = root / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8), "red").save(photos / "shown.png")
    for name in ("secret.txt", "not-asked.png"):
        (photos / name).write_text(HIDDEN)
    (root / "writable").mkdir()
    annotator = LabelStudioAnnotator(home=root / ".labelloop", secrets=MemorySecrets(), port=8970)
    annotator.up()
    try:
        dataset = annotator.open(NAME, SCHEMA)
        dataset.ask([Question(Item("a", "image", uri=str(photos / "shown.png")))])
        with ExitStack() as stack:
            browser = stack.enter_context(guest(annotator.client()))
            inside = stack.enter_context(canary())
            redirecting = stack.enter_context(canary(inside.url + "/redirected"))
            config = (
                '<View><Text name="t" value="$text"/><Choices name="c" toName="t"><Choice value="x"/></Choices></View>'
            )
            made = browser.post("/api/projects", json={"title": "hers", "label_config": config}).raise_for_status()
            yield House(annotator, browser, root, inside, redirecting, dataset.project, made.json()["id"])
    finally:
        annotator.down()


def reads(house: House) -> list[str]:
    """Ways to write the address of a file she was not given."""
    photos = str(house.root / "photos")[1:]
    home = str(house.root / ".labelloop")[1:]
    up = "../" * 12
    return [
        "etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        f"{photos}/secret.txt",
        f"{photos}/not-asked.png",
        f"{photos}/../photos/secret.txt",
        f"{photos}/shown.png/../secret.txt",
        f"{photos}/%2e%2e/photos/secret.txt",
        f"{photos}/..%2fphotos%2fsecret.txt",
        f"{photos}%5csecret.txt",
        f"{photos}",
        f"{photos}/",
        f"{up}etc/passwd",
        f"{up}{photos}/secret.txt",
        f"{photos}/{up}etc/passwd",
        "..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        f"{home}/label-studio/data/label_studio.sqlite3",
        f"{home}/label-studio/data/.env",
        f"{home}/label-studio/server.log",
        f"{home}/label-studio/calls.json",
        "../data/label_studio.sqlite3",
        "../data/.env",
        "../../secrets.key",
        "proc/self/environ",
        "dev/shm",
        "file:///etc/passwd",
        "etc/passwd%00.png",
    ]


def test_she_sees_the_picture_that_people_are_asked_about(house: House) -> None:
    task = house.browser.get(f"/api/tasks?project={house.project}&fields=all").json()["tasks"][0]

    answer = house.browser.get(task["data"]["image"])

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


def test_no_address_of_a_file_leads_elsewhere(house: House) -> None:
    for relative in reads(house):
        answer = house.file(relative)

        assert answer.status_code >= 400, relative
        assert HIDDEN not in answer.text, relative
        assert "root:" not in answer.text, relative


def test_no_storage_opens_another_folder(house: House) -> None:
    served = house.root / ".labelloop/label-studio/served"
    for path in (
        "/etc",
        "/",
        str(house.root / "photos"),
        str(house.root / ".labelloop"),
        str(served),
        f"{served}/../data",
    ):
        for kind in ("", "export/"):
            made = house.post(
                f"/api/storages/{kind}localfiles" + ("" if kind else "/"), project=house.theirs, path=path
            )

            assert made.status_code == 400, (kind, path, made.text)
    first = house.annotator.client().call("GET", "/api/storages/localfiles", query={"project": house.project})[0]
    for change in ({"path": "/etc"}, {"regex_filter": ".*", "use_blob_urls": False, "path": "/etc"}):
        assert house.browser.patch(f"/api/storages/localfiles/{first['id']}", json=change).status_code == 400
    for relative in reads(house):
        assert HIDDEN not in house.file(relative).text


def test_nothing_is_written_into_a_folder(house: House) -> None:
    below = next((house.root / ".labelloop/label-studio/served").iterdir())
    before = sorted(house.root.rglob("*.json")) + sorted(below.rglob("*"))
    for path in (str(house.root / "writable"), str(below), f"{below}/../../data"):
        made = house.post("/api/storages/export/localfiles", project=house.theirs, path=path, can_delete_objects=True)
        assert made.status_code == 400, made.text
        tried = house.post("/api/storages/export/localfiles/validate", project=house.theirs, path=path)
        assert tried.status_code == 400

    assert sorted(house.root.rglob("*.json")) + sorted(below.rglob("*")) == before
    assert list((house.root / "writable").iterdir()) == []


def inside(house: House) -> list[str]:
    """Addresses of this machine and its network."""
    port = house.inside.port
    return [
        house.inside.url,
        f"http://localhost:{port}/a.json",
        f"http://127.1:{port}/a.json",
        f"http://2130706433:{port}/a.json",
        f"http://0.0.0.0:{port}/a.json",
        f"http://[::1]:{port}/a.json",
        f"http://[::ffff:127.0.0.1]:{port}/a.json",
        f"http://127.0.0.1.:{port}/a.json",
        f"http://user:pass@127.0.0.1:{port}/a.json",
        f"{house.redirecting.url}/a.json",
        "http://169.254.169.254/latest/meta-data.json",
        "http://10.0.0.1/a.json",
        f"{house.annotator.client().url}/api/users/?x=.json",
        "file:///etc/passwd",
        f"gopher://127.0.0.1:{port}/",
    ]


def test_no_address_of_the_inside_is_called(house: House) -> None:
    for url in inside(house):
        assert house.post(f"/api/projects/{house.theirs}/import", url=url).status_code >= 400, url
        form = house.browser.post(f"/api/projects/{house.theirs}/import", data={"url": url})
        assert form.status_code >= 400, url
        assert house.post("/api/webhooks/", project=house.theirs, url=url).status_code >= 400, url
        assert house.post("/api/ml/", project=house.theirs, url=url, title="m").status_code >= 400, url

    assert house.inside.calls == house.redirecting.calls == []


def storages(house: House) -> list[tuple[str, dict[str, Any]]]:
    """A storage of every kind that leads inside."""
    port, url = house.inside.port, house.inside.url
    key = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": private_key(),
        "client_email": "a@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }
    external = {
        "type": "external_account",
        "audience": "x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{url}/sts",
        "credential_source": {"file": "/etc/passwd"},
    }
    return [
        ("s3", {"bucket": "b-b", "s3_endpoint": url, "aws_access_key_id": "a", "aws_secret_access_key": "b"}),
        ("s3", {"bucket": "b-b", "s3_endpoint": f"http://localhost:{port}", "aws_access_key_id": "a"}),
        ("redis", {"host": "127.0.0.1", "port": str(port), "path": "x"}),
        ("redis", {"host": "", "port": str(port), "path": "x"}),
        ("azure", {"container": "c", "account_name": "a", "account_key": f"Zm9v;BlobEndpoint={url}"}),
        ("gcs", {"bucket": "b", "google_application_credentials": json.dumps(key)}),
        ("gcs", {"bucket": "b", "google_application_credentials": json.dumps(external)}),
    ]


def private_key() -> str:
    """A key that signs, for an account that is none."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_no_kind_of_storage_calls_the_inside(house: House) -> None:
    for kind, options in storages(house):
        body = {"project": house.theirs, **options}
        try:
            tried = house.browser.post(f"/api/storages/{kind}/validate", json=body, timeout=10.0)
        except httpx.ReadTimeout:
            continue  # some libraries try again for minutes
        assert tried.status_code >= 400, (kind, options)

    assert house.inside.calls == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8970", "127.0.0.1.evil.example", "169.254.169.254"])
def test_no_foreign_host_is_answered(house: House, host: str) -> None:
    answer = httpx.get(f"{house.annotator.client().url}/user/login/", headers={"Host": host}, trust_env=False)

    assert answer.status_code == 400
    assert "csrf" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_signs_up_without_an_invitation(house: House, host: str) -> None:
    address = httpx.URL(house.annotator.client().url)
    with httpx.Client(base_url=address.copy_with(host=host), trust_env=False) as stranger:
        stranger.get("/user/login/").raise_for_status()
        form = {
            "email": "eve@example.com",
            "password": "eve-and-mallory-1",
            "csrfmiddlewaretoken": stranger.cookies["csrftoken"],
        }
        for invitation in ("", "?token=", "?token=guessed"):
            assert stranger.post(f"/user/signup/{invitation}", data=form).status_code == 403, invitation

    assert "eve@example.com" not in {user["email"] for user in house.annotator.client().call("GET", "/api/users/")}


def test_no_other_machine_reaches_it(house: House) -> None:
    port = httpx.URL(house.annotator.client().url).port
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}

    assert {address.partition(":")[0] for address in listening} == {"0100007F"}


def test_no_page_of_another_origin_may_read_answers(house: House) -> None:
    answer = house.browser.get("/api/projects", headers={"Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in answer.headers


def test_she_gets_no_rights_and_no_token_of_others(house: House) -> None:
    owner = house.annotator.client()
    token = house.annotator.connection.server.credentials()["token"]
    users = house.browser.get("/api/users/").json()
    ours = next(user["id"] for user in users if user["email"].startswith("annotator"))
    mine = next(user["id"] for user in users if user["email"].startswith("mallory"))
    house.browser.patch(f"/api/users/{mine}/", json={"is_superuser": True, "is_staff": True})
    house.browser.patch(f"/api/users/{ours}/", json={"password": "hers", "email": "hers@example.com"})
    pages = [
        "/api/users/",
        f"/api/users/{ours}/",
        "/api/current-user/token",
        "/api/current-user/whoami",
        "/api/token/",
        "/api/jwt/settings",
        "/admin/",
        f"/api/projects/{house.project}/export?exportType=JSON&download_all_tasks=true",
        "/api/webhooks/",
        "/api/organizations/1",
        "/metrics",
        "/django-rq/",
        "/docs/api",
    ]

    assert all(token not in house.browser.get(page).text for page in pages)
    assert owner.whoami() is not None
    assert "Log in" in house.browser.get("/admin/").text or house.browser.get("/admin/").status_code >= 400


def test_an_export_with_resources_holds_no_file_of_the_machine(house: House) -> None:
    boxes = '<RectangleLabels name="c" toName="t"><Label value="x"/></RectangleLabels>'
    config = f'<View><Image name="t" value="$image"/>{boxes}</View>'
    project = house.post("/api/projects", title="boxes", label_config=config).json()["id"]
    box = {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["x"]}
    region = {"from_name": "c", "to_name": "t", "type": "rectanglelabels", "value": box, "original_width": 8}
    wanted = [f"/data/local-files/?d={one}" for one in reads(house)[:14]] + inside(house)[:6] + ["/etc/passwd"]
    rows = [{"data": {"image": one}, "annotations": [{"result": [{**region, "original_height": 8}]}]} for one in wanted]
    house.browser.post(f"/api/projects/{project}/import", json=rows).raise_for_status()

    for kind in ("YOLO_WITH_IMAGES", "COCO_WITH_IMAGES", "YOLO", "COCO", "VOC", "JSON"):
        query = {"exportType": kind, "download_resources": "true", "download_all_tasks": "true"}
        answer = house.browser.get(f"/api/projects/{project}/export", params=query, timeout=120.0)
        for body in (answer.content, *unpacked(answer.content)):
            assert HIDDEN.encode() not in body, kind
            assert b"root:" not in body, kind
            assert b"inside of the network" not in body, kind

    assert house.inside.calls == []


def unpacked(body: bytes) -> Iterator[bytes]:
    """The files of an archive."""
    import io
    import zipfile

    if zipfile.is_zipfile(io.BytesIO(body)):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def test_check_warns_only_where_guests_get_more_than_the_pictures(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.annotator.exposed() == ("", "")

    monkeypatch.setattr(house.annotator.connection.server, "serves", lambda: Root(Path("/")))
    words, hint = house.annotator.exposed()
    assert "every file below media_root = '/'" in words
    assert "take media_root out" in hint

    monkeypatch.setattr(house.annotator.connection.server, "serves", lambda: None)
    assert "an older labelloop started" in house.annotator.exposed()[0]


def test_check_and_doctor_warn_of_others_on_a_server_that_is_not_ours(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = house.annotator.client()
    monkeypatch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", client.token)
    run(["-C", str(tmp_path), "init", "--name", "elsewhere", "--labels", "a,b", "--modality", "text"])
    toml = (
        (tmp_path / "labelloop.toml").read_text().replace("[dataset]", FOREIGN.format(url=client.url) + "[dataset]", 1)
    )
    (tmp_path / "labelloop.toml").write_text(toml)
    (tmp_path / "a.csv").write_text("text\none\ntwo\n")
    assert run(["-C", str(tmp_path), "add", str(tmp_path / "a.csv")]) == 0
    for command in ("check", "doctor"):
        capsys.readouterr()
        run(["-C", str(tmp_path), command])
        assert "can see and delete every project there" in capsys.readouterr().out, command


@pytest.mark.parametrize(
    "path", ["/user/login/", "/api/version", "/data/local-files/?d=x", "/static/css/main.css", "/nowhere"]
)
def test_every_answer_has_secure_headers(house: House, path: str) -> None:
    answer = house.browser.get(path)

    said = {name: answer.headers.get(name) for name in HEADERS}
    assert said == {**HEADERS, "X-Frame-Options": answer.headers["X-Frame-Options"]}
    assert answer.headers["X-Frame-Options"] in ("SAMEORIGIN", "DENY")
