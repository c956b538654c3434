"""No call that nobody asked for: a loop and its Label Studio, traced with their children, speak to each other alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from labelloop.data.wheels import cache_dir
from labelloop.demo.data import images, texts
from labelloop.types import Modality

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not on the PATH"),
]

CALLS = "connect,sendto,sendmsg,sendmmsg"
COLLECTOR_WAKES = 20
"""Seconds: onnxruntime looks its collector up about ten seconds after its first session."""

LABELLOOP = f"{sys.executable} -c 'from labelloop.cli import main; main()'"
SESSION = """
import sys, time
import numpy as np
from labelloop.learners.backbones import backbone
backbone("auto", "text").embed([np.array([101, 2023, 102])])
time.sleep(float(sys.argv[1]))
"""
_ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")')


def called(trace: Path) -> set[tuple[str, int]]:
    """Every (address, port) that a traced process or a child of it sent something to."""
    found = _ADDRESS.findall(trace.read_text(errors="replace"))
    return {(four or six, int(port)) for port, four, six in found}


def abroad(trace: Path) -> set[tuple[str, int]]:
    """Those that are not this machine, or ask for a name."""
    return {(host, port) for host, port in called(trace) if port == 53 or not _is_loopback(host)}


def traced(command: Sequence[str], trace: Path, env: Mapping[str, str]) -> None:
    """Run a command under strace, with its children."""
    watching = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(trace)]
    done = subprocess.run([*watching, *command], env=env, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")


def _environment(home: Path) -> dict[str, str]:
    """A home of its own, so that nothing there is taken for what was there; what was downloaded stays at hand."""
    return {**os.environ, "LABELLOOP_CACHE_DIR": str(cache_dir(os.environ)), "HOME": str(home)}


def test_the_tracer_sees_a_call(tmp_path: Path) -> None:
    ask = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))"

    traced([sys.executable, "-c", f"try:\n  {ask}\nexcept OSError: pass"], tmp_path / "trace", os.environ)

    assert abroad(tmp_path / "trace") == {("192.0.2.1", 9)}


def test_a_network_reports_to_nobody(tmp_path: Path) -> None:
    env = _environment(tmp_path) | {"ORT_DISABLE_TELEMETRY": "0"}

    traced([sys.executable, "-c", SESSION, str(COLLECTOR_WAKES)], tmp_path / "trace", env)

    assert called(tmp_path / "trace") == set()
    assert not (tmp_path / ".cache" / "Microsoft").exists()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_whole_demo_speaks_to_its_label_studio_alone(modality: Modality, tmp_path: Path) -> None:
    images(tmp_path / "images", 1, 0)  # what is downloaded once per machine is here before
    texts(tmp_path / "texts.jsonl", 1, 0)
    folder = tmp_path / "demo"
    text = "--text" if modality == "text" else ""
    look = " && ".join(
        f"{LABELLOOP} -C {folder} {command} > /dev/null"
        for command in ("status", "check", "doctor", "report", "forecast", "export -o labels.csv", "stack down")
    )
    demo = f"{LABELLOOP} demo {text} --items 300 --rounds 2 --folder {folder}"

    traced(["sh", "-c", f"cd {tmp_path} && {demo} && {look}"], tmp_path / "trace", _environment(tmp_path))

    assert called(tmp_path / "trace"), "the demo has spoken to its Label Studio"
    assert abroad(tmp_path / "trace") == set()
