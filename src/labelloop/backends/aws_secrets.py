"""Secrets in AWS Secrets Manager."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from labelloop.backends.secret_values import needed, packed, unpacked, without_credentials
from labelloop.errors import BackendError, BusyError, ConfigError, LabelLoopError, NotFoundError
from labelloop.machine.road import advice, verified_by
from labelloop.protocols import check_secret_name, is_secret_name

LIMIT = 65_536
"""Bytes that one secret may have."""

_ATTEMPTS = 10
_BUSY = ("ThrottlingException", "Throttling", "InternalServiceError", "InternalFailure", "ServiceUnavailable")
_EXPIRED = ("ExpiredTokenException", "ExpiredToken", "RequestExpired")
_REFUSED = ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch")
_DENIED = ("AccessDeniedException", "AccessDenied", "NotAuthorized")
_SIGN_IN = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or aws sso login"


@dataclass(frozen=True, kw_only=True)
class AWSSecretsManager:
    """AWS Secrets Manager: each secret is one JSON object, as AWS's own console writes and shows it.

    Signs in as AWS's tools do: environment variables, `AWS_PROFILE` and the files of `aws configure`, `aws sso login`,
    or the role of the machine. No credentials stand in labelloop.toml.

    Args:
        region_name: The region, such as `eu-west-1`.
        prefix: What the names begin with there; other secrets of the account are not touched.
        recovery_window_in_days: 7 to 30 days in which AWS can bring a deleted secret back; 0 deletes it for good.
        endpoint: The address of a service that speaks the same protocol; empty is AWS itself.
        ca_bundle: A file (PEM) of certificates that are trusted; empty is what SSL_CERT_FILE, REQUESTS_CA_BUNDLE or
            CURL_CA_BUNDLE names, else the system's.

    Raises:
        ConfigError: An option cannot work.
    """

    region_name: str
    prefix: str = "labelloop/"
    recovery_window_in_days: int = 7
    endpoint: str = ""
    ca_bundle: str = ""

    def __post_init__(self) -> None:
        without_credentials(self.endpoint, "endpoint")
        if self.recovery_window_in_days != 0 and not 7 <= self.recovery_window_in_days <= 30:
            raise ConfigError(
                f"recovery_window_in_days is {self.recovery_window_in_days}, and AWS takes 7 to 30",
                "set it to 7, or to 0 to delete for good",
            )

    def __getstate__(self) -> Mapping[str, Any]:
        return asdict(self)

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret.

        Raises:
            NotFoundError: There is none of this name, or it is being deleted.
            ConfigError: It is not a name for a secret, or AWS does not let us in.
            BackendError: AWS failed, or cannot be reached.
        """
        answer = self._call("GetSecretValue", name)
        return unpacked(answer.get("SecretString"), self._what(name))

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace one secret as a whole; one that is being deleted is brought back first.

        Raises:
            ConfigError: As for `get`, or the values are too long.
            BackendError: As for `get`.
        """
        text = packed(values, limit=LIMIT, what=f"secret {check_secret_name(name)!r}")
        for _ in range(_ATTEMPTS):
            with suppress(_TakenError, NotFoundError):
                return self._put(name, text)
        raise BusyError(f"others keep creating and deleting {self._what(name)}", "try again in a moment")

    def delete(self, name: str) -> None:
        """Remove one secret; AWS keeps it for the recovery window.

        Raises:
            NotFoundError: There is none of this name.
            ConfigError: As for `get`.
            BackendError: As for `get`.
        """
        days = self.recovery_window_in_days
        if self._call("DescribeSecret", name).get("DeletedDate"):
            raise self._unknown(name)
        self._call(
            "DeleteSecret", name, **({"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True})
        )

    def names(self) -> Sequence[str]:
        """The names there are, sorted. AWS may need seconds to list what was just created or deleted."""
        wanted = [{"Key": "name", "Values": [self.prefix]}] if self.prefix else []
        with self._explained("ListSecrets", ""):
            pages = self._client.get_paginator("list_secrets").paginate(Filters=wanted)
            found = [secret["Name"] for page in pages for secret in page["SecretList"] if "DeletedDate" not in secret]
        ours = [name.removeprefix(self.prefix) for name in found if name.startswith(self.prefix)]
        return sorted(filter(is_secret_name, ours))

    def _put(self, name: str, text: str) -> None:
        try:
            self._call("UpdateSecret", name, SecretString=text)
        except _BeingDeletedError:
            self._call("RestoreSecret", name)
            self._call("UpdateSecret", name, SecretString=text)
        except NotFoundError:
            with self._explained("CreateSecret", name):
                self._client.create_secret(Name=self.prefix + name, SecretString=text)

    def _call(self, action: str, name: str, **arguments: Any) -> Mapping[str, Any]:
        place = self.prefix + check_secret_name(name)
        with self._explained(action, name):
            method = getattr(self._client, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())
            answer: Mapping[str, Any] = method(SecretId=place, **arguments)
            return answer

    @cached_property
    def _client(self) -> Any:
        boto3 = needed("boto3", "s3")
        config = needed("botocore.config", "s3").Config(
            connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3}
        )
        session = boto3.session.Session()
        return session.client(
            "secretsmanager",
            region_name=self.region_name,
            endpoint_url=self.endpoint or None,
            config=config,
            verify=verified_by(self.ca_bundle),
        )

    @contextmanager
    def _explained(self, action: str, name: str) -> Iterator[None]:
        """Turn what boto3 raises into our errors, which never repeat what was sent."""
        exceptions = needed("botocore.exceptions", "s3")
        try:
            yield
        except exceptions.ClientError as error:
            said = error.response.get("Error", {})
            raise self._refusal(action, name, said.get("Code", "?"), said.get("Message", "")) from None
        except exceptions.BotoCoreError as error:
            raise self._failure(error) from None

    def _refusal(self, action: str, name: str, code: str, message: str) -> LabelLoopError:
        """The error for an answer of AWS."""
        if code == "ResourceNotFoundException":
            return self._unknown(name)
        if code == "InvalidRequestException" and "delet" in message:
            gone = self._unknown(name)
            return _BeingDeletedError(gone.message, f"it is being deleted; {gone.hint}")
        if code == "ResourceExistsException":
            return _TakenError(f"{self._what(name)} exists already", "try again")
        where = f"AWS Secrets Manager in {self.region_name}"
        if code in _DENIED:
            about = self.prefix + (name or "*")
            return ConfigError(
                f"{where} does not allow {action} on {about!r}",
                f"give your user or role the permission secretsmanager:{action}"
                " (and kms:Decrypt, kms:GenerateDataKey with a key of your own)",
            )
        if code in _EXPIRED:
            return ConfigError(f"{where}: the session token has expired ({code})", _SIGN_IN)
        if code in _REFUSED:
            return ConfigError(f"{where} refuses the credentials ({code})", _SIGN_IN)
        return BackendError(f"{where} answered {code} to {action}", "try again later", retryable=code in _BUSY)

    def _failure(self, error: Exception) -> LabelLoopError:
        """The error for a call that got no answer."""
        kind = type(error).__name__
        if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
            return ConfigError(f"no credentials for AWS were found ({kind})", _SIGN_IN)
        if "SSO" in kind or "Token" in kind:
            return ConfigError(f"the sign-in to AWS has expired ({kind})", "aws sso login, then try again")
        if kind in ("InvalidRegionError", "EndpointConnectionError", "NoRegionError") and not self.endpoint:
            known = needed("boto3", "s3").session.Session().get_available_regions("secretsmanager")
            if self.region_name not in known:
                near = difflib.get_close_matches(self.region_name, known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                return ConfigError(
                    f"AWS has no region {self.region_name!r} that is known here", f"{hint}set region_name"
                )
        return BackendError(
            f"AWS Secrets Manager at {self.endpoint or self.region_name} cannot be reached ({kind})",
            advice(self.endpoint, "", error) or "check the network, and the proxy if there is one, then try again",
            retryable=True,
        )

    def _what(self, name: str) -> str:
        return f"secret {self.prefix + name!r} of AWS in {self.region_name}"

    def _unknown(self, name: str) -> NotFoundError:
        return NotFoundError(
            f"no secret {name!r} in AWS Secrets Manager in {self.region_name}",
            f"labelloop secret list shows those there are; labelloop secret register {name} --KEY=VALUE",
        )


class _BeingDeletedError(NotFoundError):
    """AWS still keeps it, for the recovery window."""


class _TakenError(BusyError):
    """Somebody else created it meanwhile."""
