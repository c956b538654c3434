"""What differs between the clouds when the rows are typed: the servers beneath, and the names and values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx

from support import azure_key_vault, emulators, gcp_secret_manager
from support.http_double import serving

BUCKET = "labelloop-seed"
ORIGIN = "--origin http://127.0.0.1:$PORT"
"""Where this Label Studio is: not at the usual port, which others of this machine may have."""


@dataclass(frozen=True)
class Cloud:
    """One way to type the rows.

    Attributes:
        name: As `run.py` takes it.
        integrations: As `integration install` takes them.
        variables: What the shell's environment holds: endpoints, and what the cloud's own tools would find there.
        canaries: Values that must show nowhere.
        setting_up: Lines of rows 12 and 13, which make the bucket.
        secrets_manager: Options of row 7.
        secret: Options of row 8; empty where the store needs none.
        store: Options of row 9.
        tearing_down: Lines of row 14.
        left: Whether the bucket that row 12 makes is there.
    """

    name: str
    integrations: str
    secrets_manager: str
    store: str
    secret: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    canaries: Sequence[str] = ()
    setting_up: Sequence[str] = ()
    tearing_down: Sequence[str] = ()
    left: Callable[[], bool] = lambda: False


@contextmanager
def local(folder: Path) -> Iterator[Cloud]:
    """No cloud at all."""
    yield Cloud("local", "label_studio pytorch", "--flavor=local", '--flavor=local --path="images"')


@contextmanager
def aws(folder: Path) -> Iterator[Cloud]:
    """S3 on SeaweedFS, which enforces keys; IAM, STS and Secrets Manager on moto."""
    with ExitStack() as servers:
        s3 = servers.enter_context(emulators.seaweed(folder / "seaweed"))
        services = servers.enter_context(emulators.moto(folder / "moto"))
        variables = {
            "AWS_ENDPOINT_URL": services.url,
            "AWS_ENDPOINT_URL_S3": s3.url,
            "AWS_ACCESS_KEY_ID": emulators.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": emulators.SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        where = f"aws --bucket {BUCKET} --endpoint $AWS_ENDPOINT_URL_S3 --iam-endpoint $AWS_ENDPOINT_URL"
        yield Cloud(
            "aws",
            "label_studio pytorch s3",
            "--flavor=aws --region_name=us-east-1 --endpoint=$AWS_ENDPOINT_URL",
            f"--flavor=s3 --path=s3://{BUCKET} --endpoint=$AWS_ENDPOINT_URL_S3",
            "--schema=aws --aws_access_key_id=$AWS_ACCESS_KEY_ID --aws_secret_access_key=$AWS_SECRET_ACCESS_KEY",
            variables,
            (emulators.SECRET_KEY,),
            (f"labelloop cloud setup {where} {ORIGIN} --dry-run", f"labelloop cloud setup {where} {ORIGIN} --yes"),
            (f"labelloop cloud teardown {where} --delete-data --force --yes",),
            lambda: BUCKET in [one["Name"] for one in _s3(s3.url).list_buckets()["Buckets"]],
        )


def _s3(url: str) -> Any:
    keys = {"aws_access_key_id": emulators.ACCESS_KEY, "aws_secret_access_key": emulators.SECRET_KEY}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)


@contextmanager
def gcp(folder: Path) -> Iterator[Cloud]:
    """Google's storage on fake-gcs-server; Secret Manager on our double of it."""
    with ExitStack() as servers:
        storage = servers.enter_context(emulators.gcs(folder / "gcs"))
        double = serving(gcp_secret_manager.SecretManagerDouble())
        servers.callback(double.stop)
        own, key = folder / "mine.json", folder / "key.json"
        made = json.loads(emulators.fake_gcp_key(storage.url))
        own.write_text(json.dumps({**made, "token_uri": f"{double.url}/token"}))
        key.write_text(json.dumps(made))
        variables = {
            "GOOGLE_APPLICATION_CREDENTIALS": str(own),
            "GCS": storage.url,
            "SECRETS": double.url,
            "KEY_FILE": str(key),
        }
        where = f"gcp --bucket {BUCKET} --project {gcp_secret_manager.PROJECT} --endpoint $GCS"
        yield Cloud(
            "gcp",
            "label_studio pytorch gcp",
            f"-f gcp_secrets_manager --project_id={gcp_secret_manager.PROJECT} --endpoint=$SECRETS",
            f'-f=gcp --path="gs://{BUCKET}" --endpoint=$GCS',
            "--schema=gcp --token=@$KEY_FILE",
            variables,
            (made["private_key"].splitlines()[3],),
            (f"labelloop cloud setup {where} {ORIGIN} --dry-run", f"labelloop cloud setup {where} {ORIGIN} --yes"),
            (f"labelloop cloud teardown {where} --delete-data --force --yes",),
            lambda: httpx.get(f"{storage.url}/storage/v1/b/{BUCKET}", trust_env=False).status_code != 404,
        )


@contextmanager
def azure(folder: Path) -> Iterator[Cloud]:
    """Azure's blobs on Azurite; Key Vault on our double of it."""
    with ExitStack() as servers:
        blobs = servers.enter_context(emulators.azurite(folder / "azurite"))
        certificate = azure_key_vault.certificate(folder)
        memory = azure_key_vault.KeyVaultDouble()
        vault, identity = serving(memory, certificate), serving(memory)
        servers.callback(vault.stop)
        servers.callback(identity.stop)
        variables = {
            "SSL_CERT_FILE": "",  # where a machine has one, it would count first
            "REQUESTS_CA_BUNDLE": certificate[0],
            "IDENTITY_ENDPOINT": f"{identity.url}/msi/token",
            "IDENTITY_HEADER": azure_key_vault.HEADER,
            "VAULT": vault.url,
            "BLOBS": blobs.url,
            "ACCOUNT": emulators.AZURE_ACCOUNT,
            "ACCOUNT_KEY": emulators.AZURE_KEY,
            "AZURE_STORAGE_KEY": emulators.AZURE_KEY,
        }
        where = f"azure --bucket {BUCKET} --account $ACCOUNT --endpoint $BLOBS"
        yield Cloud(
            "azure",
            "label_studio pytorch azure",
            "-f azure_key_vault --key_vault_name=my-vault --endpoint=$VAULT",
            f'-f=azure --path="az://{BUCKET}" --endpoint=$BLOBS',
            "--schema=azure --account_name=$ACCOUNT --account_key=$ACCOUNT_KEY",
            variables,
            (emulators.AZURE_KEY,),
            (f"labelloop cloud setup {where} {ORIGIN} --dry-run", f"labelloop cloud setup {where} {ORIGIN} --yes"),
            (f"labelloop cloud teardown {where} --delete-data --force --yes",),
        )


CLOUDS: Mapping[str, Callable[[Path], AbstractContextManager[Cloud]]] = {
    "local": local,
    "aws": aws,
    "azure": azure,
    "gcp": gcp,
}
