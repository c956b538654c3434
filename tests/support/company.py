"""What stands before a server in companies: a strict reverse proxy with TLS of its own authority, and a proxy out."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIMIT = 1_000_000
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "accept-encoding"}
_PAGE = b"<html><head><title>Blocked</title></head><body>Request blocked</body></html>"


@dataclass
class Gate:
    """What the reverse proxy wants, and what it saw.

    Attributes:
        prefix: The path it serves the server under.
        header: A header and its value that every request must have.
        limit: Bytes of a body at most.
        cuts: Whether what is too large is cut off instead of refused.
        host: The host that the server is told was asked for; empty is the one that was.
        cookie: Added to every request, as a sign-on does that knows the person.
        refuses: Whether a firewall refuses a method on a path.
        seen: (method, path, bytes of the body, status).
    """

    prefix: str = ""
    header: tuple[str, str] | None = None
    limit: int = LIMIT
    cuts: bool = False
    host: str = ""
    cookie: str = ""
    refuses: Callable[[str, str], bool] = lambda method, path: False
    seen: list[tuple[str, str, int, int]] = field(default_factory=list)


@contextmanager
def reverse(target: str, gate: Gate, certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
    """The port of a reverse proxy before `target`, as strict as `gate`; refuses a GET with a body, as some CDNs do."""
    forward = httpx.Client(base_url=target, timeout=600.0, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.close_connection = True
            if gate.cuts and len(body) > gate.limit:
                gate.seen.append((self.command, self.path, len(body), 0))
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            refused = self._refused(len(body))
            if refused:
                self._say(refused, _PAGE, {"Content-Type": "text/html"}, len(body))
                return
            headers = {name: value.strip() for name, value in self.headers.items() if name.lower() not in _HOP}
            if gate.cookie:
                given = next((value for name, value in headers.items() if name.lower() == "cookie"), "")
                headers = {name: value for name, value in headers.items() if name.lower() != "cookie"}
                headers["Cookie"] = "; ".join(filter(None, (given, gate.cookie)))
            if gate.host:
                headers = {name: value for name, value in headers.items() if name.lower() != "host"} | {
                    "Host": gate.host
                }
            answer = forward.request(self.command, self.path.removeprefix(gate.prefix), content=body, headers=headers)
            left_out = _HOP - {"content-length"} if self.command == "HEAD" else _HOP
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in left_out}
            self._say(answer.status_code, answer.content, kept, len(body))

        def _refused(self, size: int) -> int:
            if not self.path.startswith(gate.prefix + "/"):
                return 404
            if gate.header and self.headers.get(gate.header[0]) != gate.header[1]:
                return 403
            if (self.command == "GET" and size) or gate.refuses(self.command, self.path):
                return 403
            return 413 if size > gate.limit else 0

        def _say(self, status: int, body: bytes, headers: Mapping[str, str], size: int) -> None:
            gate.seen.append((self.command, self.path, size, status))
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_LIST = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            forward.close()


@contextmanager
def outward(seen: list[str], ports: Mapping[int, int] | None = None) -> Iterator[str]:
    """The address of a proxy that tunnels every host to this machine, and notes which was wanted.

    Args:
        ports: Where what is wanted at a port is; at the same one unless said.
    """
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=tunnel, args=(connection,), daemon=True).start()

    def tunnel(connection: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            if not (part := connection.recv(4096)):
                return
            asked += part
        method, where, _ = asked.split(b"\r\n", 1)[0].decode().split(" ")
        seen.append(f"{method} {where}")
        wanted = int(where.rpartition(":")[2]) if method == "CONNECT" else 0
        try:
            there = socket.create_connection(("127.0.0.1", (ports or {}).get(wanted, wanted)))
        except OSError:
            connection.close()
            return
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_pump, args=(there, connection), daemon=True).start()
        _pump(connection, there)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def known_key(certificate: Path) -> str:
    """The digest of a certificate's key, by which a browser can be told to trust it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spoken = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spoken).digest()).decode()


def _pump(source: socket.socket, to: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            to.sendall(part)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        return


def authority(folder: Path, host: str, *, identifies: bool = True) -> tuple[Path, tuple[Path, Path]]:
    """The certificate of an authority of our own, and (certificate, key) of a host that it signed.

    Args:
        identifies: Whether the certificates say by which key they were signed, as those of older authorities do not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours, its = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Company CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    try:
        spoken: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        spoken = x509.DNSName(host)

    def signed(subject: x509.Name, key: ec.EllipticCurvePrivateKey, is_ca: bool) -> bytes:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        made = made if is_ca else made.add_extension(x509.SubjectAlternativeName([spoken]), critical=False)
        if identifies:
            for extension in (
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ours.public_key()),
            ):
                made = made.add_extension(extension, critical=False)
            made = made.add_extension(_usage(is_ca), critical=True)
        return made.sign(ours, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    files = folder / "ca.pem", folder / "host.pem", folder / "host.key"
    files[0].write_bytes(signed(root, ours, is_ca=True))
    files[1].write_bytes(signed(name, its, is_ca=False))
    files[2].write_bytes(
        its.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files[0], (files[1], files[2])


def _usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
