"""The local orchestrator keeps the contract, inline and in threads, and Ctrl-C reaches the caller."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.errors import ConfigError
from labelloop.testing.orchestrators import OrchestratorContract


@pytest.mark.parametrize("workers", [1, 2, 8])
class TestLocalOrchestrator(OrchestratorContract):
    @pytest.fixture
    def orchestrator(self, workers: int) -> LocalOrchestrator:
        return LocalOrchestrator(workers=workers)


def interrupted() -> None:
    raise KeyboardInterrupt


def test_one_worker_executes_in_the_callers_thread() -> None:
    thread = LocalOrchestrator().submit(threading.current_thread).result()

    assert thread is threading.current_thread()


def test_workers_execute_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)
    orchestrator = LocalOrchestrator(workers=2)

    futures = [orchestrator.submit(both.wait) for _ in range(2)]

    assert {future.result(60) for future in futures} == {0, 1}


def test_ctrl_c_in_a_step_reaches_the_caller_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        LocalOrchestrator().submit(interrupted)


def test_ctrl_c_in_a_thread_reaches_who_waits_for_the_result() -> None:
    future = LocalOrchestrator(workers=2).submit(interrupted)

    with pytest.raises(KeyboardInterrupt):
        future.result(60)


def test_no_workers_are_refused() -> None:
    with pytest.raises(ConfigError, match="workers = 0"):
        LocalOrchestrator(workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_a_process_whose_step_never_ends(workers: int) -> None:
    program = f"""
import threading
from labelloop.backends.local_orchestrator import LocalOrchestrator
def endless():
    print("started", flush=True)
    threading.Event().wait()
LocalOrchestrator(workers={workers}).submit(endless).result()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(2)
        _, errors = process.communicate(timeout=30)

    assert errors.rstrip().endswith(b"KeyboardInterrupt")
