"""How requests of ours leave this machine: whom we trust, by what we are known, which headers, through which proxy."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from labelloop.errors import ConfigError

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Each may name a file of certificates that are trusted in place of the system's; the first one that is set counts."""

_SYSTEMS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Road:
    """What a service is reached by, beside its address.

    Attributes:
        ca_bundle: A file (PEM) or folder of certificates that are trusted; empty is the system's own.
        client_certificate: A file (PEM) that we are known by, with the key in it or in `client_key`.
        client_key: The file of its key.
        key_password: What opens the key.
        headers: Sent with every request; their values are never shown.
        proxy: The address of a proxy; empty is the environment's.
    """

    ca_bundle: str = ""
    client_certificate: str = ""
    client_key: str = ""
    key_password: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)

    def proxy_to(self, url: str) -> str:
        """The proxy on the way to this address; empty where there is none, as there never is on this machine."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host in LOOPBACK or host.startswith("127."):
            return ""
        if self.proxy:
            return self.proxy
        chosen = getproxies()
        found = chosen.get(parts.scheme) or chosen.get("all") or ""
        if not found or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
            return ""
        return found if "://" in found else f"http://{found}"

    def context(self) -> ssl.SSLContext:
        """Whom an https connection trusts.

        Raises:
            ConfigError: A file of certificates, or the key, cannot be read.
        """
        bundle = bundle_of(self.ca_bundle)
        try:
            made = _trusting(bundle) if bundle else _trusting_the_system()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificates of {bundle} cannot be read: {_reason(error)}",
                f"ca_bundle (or {', '.join(CA_VARIABLES)}) names a file of certificates in PEM",
            ) from None
        if self.client_certificate:
            self._show_ours(made)
        return made

    def _show_ours(self, made: ssl.SSLContext) -> None:
        try:
            key = str(Path(self.client_key).expanduser()) if self.client_key else None
            made.load_cert_chain(str(Path(self.client_certificate).expanduser()), key, lambda: self.key_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the client_certificate {self.client_certificate} cannot be used: {_reason(error)}",
                "client_certificate and client_key are files in PEM; the password of the key is the value"
                " client_key_password of the annotator's authentication secret",
            ) from None


def bundle_of(chosen: str = "") -> str:
    """The file or folder of certificates that is trusted in place of the system's; empty where nobody named one."""
    named = chosen or next((os.environ[name] for name in CA_VARIABLES if os.environ.get(name)), "")
    return str(Path(named).expanduser()) if named else ""


def certificates_of(chosen: str = "") -> bytes:
    """The certificates themselves, for a client that takes them in PEM; empty where nobody named a file.

    Raises:
        ConfigError: They cannot be read.
    """
    bundle = bundle_of(chosen)
    if not bundle:
        return b""
    Road(ca_bundle=bundle).context()  # says what is wrong with them
    files = sorted(Path(bundle).iterdir()) if Path(bundle).is_dir() else [Path(bundle)]
    return b"\n".join(one.read_bytes() for one in files if one.is_file())


def verified_by(chosen: str = "") -> str | bool:
    """What clients of the clouds take as `verify`: a file or folder of certificates, else True, which is their own.

    Who named none has the system's where that is a file, as on Linux.

    Raises:
        ConfigError: The file that was named cannot be read.
    """
    if bundle := bundle_of(chosen):
        Road(ca_bundle=bundle).context()
        return bundle
    return ssl.get_default_verify_paths().cafile or next((one for one in _SYSTEMS if Path(one).is_file()), True)


def bare(url: str) -> str:
    """An address without a user, a password or a query, as it may be shown."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def advice(url: str, proxy: str, error: BaseException) -> str:
    """What to do when an address cannot be reached, by what stood in the way; empty where nothing special did."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "its certificate is not trusted here: name the file of your certificate authority as ca_bundle, or by"
            f" {', '.join(CA_VARIABLES)}"
        )
    if proxy:
        return (
            f"the request goes through the proxy {bare(proxy)}: check it, or add {urlsplit(url).hostname} to NO_PROXY"
        )
    if "certificate required" in str(error).lower():
        return "it wants a client certificate: client_certificate and client_key of the annotator"
    return ""


def _trusting(bundle: str) -> ssl.SSLContext:
    """Whom a person named is trusted as every Python before 3.13 did: many companies identify no keys."""
    is_folder = Path(bundle).is_dir()
    made = ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


def _trusting_the_system() -> ssl.SSLContext:
    import truststore  # takes a while to load, and http needs none

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
