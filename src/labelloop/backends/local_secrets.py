"""Secrets in one encrypted file of this machine; the key lives elsewhere."""

from __future__ import annotations

import glob
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labelloop.errors import BackendError, BusyError, ConfigError, NotFoundError
from labelloop.machine.privacy import alone, config_folder
from labelloop.protocols import check_secret_name

KEY_VARIABLE = "LABELLOOP_SECRETS_KEY"
PATIENCE = 10
"""Seconds to wait for another process that is writing."""

SERVICE, ACCOUNT = "labelloop", "secrets-key"
NEW_KEY = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


@dataclass(frozen=True, kw_only=True)
class LocalSecretsManager:
    """All secrets as one Fernet token (AES-128-CBC, HMAC-SHA256), names included, readable by the user alone.

    The key is the environment variable `LABELLOOP_SECRETS_KEY`; else what the operating system's keyring keeps,
    where the package `keyring` is installed and works; else a key file, made on first use. With `key_file` set the
    keyring is not asked.

    Args:
        path: The file; a relative one is relative to the workspace. Empty is `.labelloop/secrets` of the workspace.
        key_file: The key file; empty is `secrets.key` in the user's configuration folder of labelloop.
        home: The workspace's own folder `.labelloop`.

    Raises:
        ConfigError: Neither a path nor a workspace.
    """

    path: str = ""
    key_file: str = ""
    home: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.path and self.home is None:
            raise ConfigError("the local secrets manager has no file", "set path = ...")

    @property
    def file(self) -> Path:
        """The encrypted file."""
        if self.home is None:
            return Path(self.path).expanduser()
        if not self.path:
            return self.home / "secrets"
        return self.home.parent / Path(self.path).expanduser()

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret.

        Raises:
            NotFoundError: There is none of this name.
            ConfigError: It is not a name for a secret, or the file cannot be decrypted.
        """
        check_secret_name(name)
        found = self._load()
        if name not in found:
            raise self._unknown(name, found)
        return found[name]

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace one secret as a whole.

        Raises:
            ConfigError: It is not a name for a secret, or the file there cannot be decrypted; it stays as it is.
            BusyError: Another process keeps writing.
        """
        check_secret_name(name)
        with self._writing():
            self._save({**self._load(), name: dict(values)})

    def add(self, name: str, values: Mapping[str, str]) -> bool:
        """Create one secret where there is none of this name; whether it did.

        Raises:
            ConfigError, BusyError: As `set`.
        """
        check_secret_name(name)
        with self._writing():
            there = self._load()
            if name in there:
                return False
            self._save({**there, name: dict(values)})
            return True

    def delete(self, name: str) -> None:
        """Remove one secret.

        Raises:
            NotFoundError: There is none of this name.
        """
        check_secret_name(name)
        with self._writing():
            kept = self._load()
            if name not in kept:
                raise self._unknown(name, kept)
            self._save({other: values for other, values in kept.items() if other != name})

    def names(self) -> Sequence[str]:
        """The names there are, sorted."""
        return sorted(self._load())

    def _unknown(self, name: str, known: Mapping[str, object]) -> NotFoundError:
        there = f"known: {', '.join(sorted(known)) or 'none'}"
        return NotFoundError(
            f"no secret {name!r} in {self.file}", f"{there}; labelloop secret register {name} --KEY=VALUE"
        )

    def _load(self) -> dict[str, dict[str, str]]:
        from cryptography.fernet import InvalidToken

        try:
            token = self.file.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise BackendError(f"cannot read {self.file}: {error.strerror}", "correct its permissions") from None
        keys = self._keys()
        if not keys:
            raise ConfigError(
                f"{self.file} is encrypted, and there is no key for it in {self._key_path()} or a keyring",
                f"set {KEY_VARIABLE} to the key it was made with, or move the file away and set the secrets again",
            )
        try:
            found: dict[str, dict[str, str]] = json.loads(_cipher(keys).decrypt(token))
        except InvalidToken:
            raise ConfigError(
                f"{self.file} cannot be decrypted: another key encrypted it, or it is damaged",
                f"set {KEY_VARIABLE} to the key it was made with, or move the file away and set the secrets again",
            ) from None
        return found

    def _save(self, everything: Mapping[str, Mapping[str, str]]) -> None:
        keys = self._keys() or [self._first_key(self._key_path())]
        _replace(self.file, _cipher(keys).encrypt(json.dumps(everything).encode()))

    def _keys(self) -> list[str]:
        """Every key there is, the one to encrypt with first."""
        given = os.environ.get(KEY_VARIABLE)
        if given:
            return [_checked(given, f"the environment variable {KEY_VARIABLE}")]
        path = self._key_path()
        kept = [] if self.key_file else _keyring_keys()
        filed = [_checked(_read_key(path), str(path))] if path.exists() else []
        return kept + filed

    def _key_path(self) -> Path:
        return Path(self.key_file).expanduser() if self.key_file else default_key_file()

    def _first_key(self, path: Path) -> str:
        from cryptography.fernet import Fernet

        with _locked(path):
            known = ([] if self.key_file else _keyring_keys()) or ([_read_key(path)] if path.exists() else [])
            if known:
                return _checked(known[0], str(path))
            key = Fernet.generate_key().decode()
            if self.key_file or not _keep_in_keyring(key):
                _replace(path, key.encode())
            return key

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _locked(self.file):
            yield


def _cipher(keys: Sequence[str]) -> Any:
    """Encrypts with the first key, decrypts with any of them."""
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(key) for key in keys])


def _checked(key: str, origin: str) -> str:
    from cryptography.fernet import Fernet

    try:
        Fernet(key)
    except ValueError:
        raise ConfigError(f"{origin} does not hold a key for secrets", f"make one: {NEW_KEY}") from None
    return key


def _read_key(path: Path) -> str:
    try:
        mode = path.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            raise ConfigError(
                f"the key file {path} has mode {mode:04o}: others than you may use it", f"chmod 600 {path}"
            )
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the key file {path}: {type(error).__name__}", "correct its permissions, or set key_file"
        ) from None


def default_key_file() -> Path:
    """Where the key lies, unless the options say otherwise."""
    return config_folder() / "secrets.key"


def _keyring_keys() -> list[str]:
    if find_spec("keyring") is None:
        return []
    keyring = import_module("keyring")
    try:
        key = keyring.get_password(SERVICE, ACCOUNT)
    except keyring.errors.KeyringError:
        return []
    return [_checked(key, "the keyring")] if key else []


def _keep_in_keyring(key: str) -> bool:
    """Whether the keyring has the key now; some accept it and keep nothing."""
    if find_spec("keyring") is None:
        return False
    keyring = import_module("keyring")
    try:
        keyring.set_password(SERVICE, ACCOUNT, key)
    except keyring.errors.KeyringError:
        return False
    return _keyring_keys() == [key]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(path.with_name(f"{path.name}.lock"), PATIENCE, mode=0o600):
            yield
    except TimeoutError:
        raise BusyError(f"another process is writing {path}", "try again in a moment") from None
    except OSError as error:
        raise BackendError(
            f"cannot write {path}: {error.strerror}", "free space, or correct its permissions"
        ) from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file at once, or not at all; the lock is held, so that older temporary files are of killed writers."""
    for left in path.parent.glob(f"{glob.escape(path.name)}~*"):
        left.unlink(missing_ok=True)
    temporary = path.with_name(f"{path.name}~{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
