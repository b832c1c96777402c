"""Runs jobs in worker processes that may crash, hang, exit or exhaust memory.

A worker serves one backend, or several that take turns, until a job ends in anything but a pass;
then it is replaced.  Workers are forked from a start server that has imported torch once and never
runs a candidate.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from queue import SimpleQueue

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.job import READY, Answer, Job, Loading, Message, Probe, ProbeReply, Reply

#: Importing torch takes 2 to 10 s from a cold disk.
START_SECONDS = 120.0
#: A killed worker is gone within this, unless the kernel driver holds it.
JOIN_SECONDS = 10.0
#: Held where an exit code is read.  It comes through a pipe, once, and Python's `Process.start`
#: reads those of all other processes too: of two threads reading at once one gets the code, and the
#: other's "exited with code 255" is what would be kept.
_EXIT_CODES = threading.Lock()
#: Lines of what a process printed last that are kept when it dies.
LAST_LINES = 3
#: Imported once, by the start server.
PRELOADED = ("__main__", "rocmoe.profiles.preload", "rocmoe.profiles.pool")
#: Share of the memory now available that all workers together may allocate.
MEMORY_SHARE = 0.8

OnResult = Callable[[int, Reply], None]
#: A job's index and reply, None for one left out, or what went wrong in rocmoe itself.
Ended = tuple[int, Reply] | BaseException | None


class Pool:
    """`jobs` workers at a time; `timeout` seconds for each job."""

    def __init__(self, jobs: int, timeout: float, *, limit_memory: bool) -> None:
        self._jobs, self._timeout = jobs, timeout
        self._memory = int(available_memory() * MEMORY_SHARE / jobs) if limit_memory else None
        self._threads = max(1, (os.cpu_count() or 1) // jobs)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))
        self._folder = tempfile.TemporaryDirectory(prefix="rocmoe-")
        self._stop = threading.Event()
        self._threads_running: list[threading.Thread] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end_threads()
        self._folder.cleanup()

    def probe(self, probe: Probe) -> ProbeReply:
        """Ask a worker of its own about the machine and the implementations.

        Raises `RocmoeError` where that worker dies or hangs, as when a user's file exits on import.
        """
        slot = self._make_slot(0)
        try:
            answer = slot.ask(probe, START_SECONDS)
        finally:
            slot.discard()
        if isinstance(answer, ProbeReply):
            return answer
        named = ", ".join(sorted({selector for _, selector in probe.implementations}))
        raise RocmoeError(f"loading {named}: {answer.reason}")

    def run(
        self,
        jobs: Sequence[Job],
        on_result: OnResult,
        wanted: Callable[[int], bool] = lambda index: True,
    ) -> None:
        """Run all jobs; `on_result(index, reply)` is called here, in this thread, as they end.

        A job for whose index `wanted` is false when its turn comes is left out.
        """
        waiting = deque(enumerate(jobs))
        done: SimpleQueue[Ended] = SimpleQueue()
        self._stop.clear()
        for number in range(min(self._jobs, len(jobs))):
            thread = threading.Thread(
                target=self._work, args=(number, waiting, done, wanted), daemon=True
            )
            self._threads_running.append(thread)
            thread.start()
        try:
            for _ in jobs:
                ended = done.get()
                if isinstance(ended, BaseException):
                    raise ended
                if ended is not None:
                    on_result(*ended)
        finally:
            self._end_threads()

    def _end_threads(self) -> None:
        self._stop.set()
        for thread in self._threads_running:
            thread.join(JOIN_SECONDS)
        self._threads_running.clear()

    def _work(
        self,
        number: int,
        waiting: deque[tuple[int, Job]],
        done: SimpleQueue[Ended],
        wanted: Callable[[int], bool],
    ) -> None:
        slot = self._make_slot(number)
        try:
            while not self._stop.is_set():
                try:
                    index, job = waiting.popleft()
                except IndexError:
                    return
                done.put((index, slot.run(job)) if wanted(index) else None)
        except BaseException as error:  # reported in the main thread, which would wait for ever
            done.put(error)
        finally:
            slot.discard()

    def _make_slot(self, number: int) -> _Slot:
        log = Path(self._folder.name) / f"worker-{number}.log"
        arguments = (str(log), self._memory, self._threads)
        return _Slot(self._context, log, arguments, self._timeout, self._stop)


class _Slot:
    """One worker at a time, and its replacements."""

    def __init__(
        self,
        context: multiprocessing.context.ForkServerContext,
        log: Path,
        arguments: tuple[str, int | None, int],
        timeout: float,
        stop: threading.Event,
    ) -> None:
        self._context, self._log, self._arguments = context, log, arguments
        self._timeout, self._stop = timeout, stop
        self._process: ForkServerProcess | None = None
        self._connection: Connection | None = None
        self._selectors: tuple[str, ...] = ()
        self._decoder = msgspec.json.Decoder(Answer | Loading)
        self._loading = ""
        self._unusable: dict[tuple[str, ...], Reply] = {}

    def run(self, job: Job) -> Reply:
        if job.selectors in self._unusable:  # every case would import it again, and end so again
            return self._unusable[job.selectors]
        if job.fresh or job.selectors != self._selectors:
            self.discard()
        self._selectors = job.selectors
        answer = self.ask(job, self._timeout)
        assert isinstance(answer, Reply)
        if self._loading:
            self._unusable[job.selectors] = answer
            self._loading = ""
        # Behind a graph whose capture failed a process is suspect.
        taken = [each for reply in (answer, *answer.turns) for each in reply.measurements or ()]
        refused = any(each.status == "refused" for each in taken)
        if refused or answer.status not in ("pass", "refused", "unavailable"):
            self.discard()
        return answer

    def ask(self, message: Message, seconds: float) -> Answer:
        """A worker's answer, or what became of the worker."""
        if self._process is None:
            self._start()
            if self._await(START_SECONDS) != READY:
                return self._give_up(START_SECONDS)
        assert self._connection is not None
        try:
            self._connection.send_bytes(msgspec.json.encode(message))
            answer: Answer | Loading = self._decoder.decode(self._await(seconds))
            while isinstance(answer, Loading):
                self._loading = answer.library
                answer = self._decoder.decode(self._await(seconds))
            return answer
        except (OSError, msgspec.DecodeError):
            return self._give_up(seconds)

    def _await(self, seconds: float) -> bytes:
        """The next message of the worker, b"" when it died, hangs or the run is interrupted."""
        assert self._connection is not None
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            # Short waits, so that an interrupted run stops at once.
            ready = wait([self._connection, self._process.sentinel], min(left, 0.2))
            if self._connection in ready:
                try:
                    return self._connection.recv_bytes()
                except (EOFError, OSError):
                    return b""
            if ready:
                return b""
        return b""

    def _give_up(self, seconds: float) -> Reply:
        """Replace a worker that did not answer, and say what became of it."""
        assert self._process is not None
        # A dying process closes its pipe a moment before it can be waited for.
        code = _wait_for(self._process, 0.5)
        self.discard()
        said = _read_last_lines(self._log)
        if code is None and self._stop.is_set():
            return Reply("crash", "the run was interrupted")
        if code is None:
            reply = Reply("timeout", f"no answer within {seconds:g} s{said}")
        else:
            how = f"died of {_name_signal(-code)}" if code < 0 else f"exited with code {code}"
            reply = Reply("crash", f"the process {how} before it answered{said}")
        if not self._loading:
            return reply
        return Reply("unavailable", f"importing {self._loading}: {reply.reason}")

    def discard(self) -> None:
        """Kill the worker and everything it started."""
        if self._process is not None and self._process.pid is not None:
            for kill in (os.killpg, os.kill):
                try:
                    kill(self._process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    continue
            _wait_for(self._process, JOIN_SECONDS)
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None
        self._selectors = ()

    def _start(self) -> None:
        self._log.unlink(missing_ok=True)
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs, *self._arguments))
        try:
            with _EXIT_CODES:
                self._process.start()
        except EOFError:  # the server that starts workers ended; typer takes it for an interrupt
            self._process = None
            raise RocmoeError(
                "no worker can be started, for torch or what it imports is broken; its traceback "
                "stands above; see `rocmoe doctor`"
            ) from None
        theirs.close()


def _serve(connection: Connection, log: str, memory_bytes: int | None, threads: int) -> None:
    """What a worker does; the modules that it needs for that are not loaded here."""
    from rocmoe.profiles.worker import serve

    serve(connection, log, memory_bytes, threads)


def _wait_for(process: ForkServerProcess, seconds: float) -> int | None:
    """A process's exit code; None where it still runs after that time."""
    wait([process.sentinel], seconds)
    with _EXIT_CODES:
        return process.exitcode


def _read_last_lines(log: Path) -> str:
    """What a process printed last, or where in Python it was when a signal ended it."""
    try:
        lines = [line.strip()[:200] for line in log.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    fatal = next((i for i, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    if fatal is not None:
        places = [line for line in lines[fatal:] if line.startswith("File ")]
        lines = [lines[fatal], *places[:1]]
    kept = " | ".join([line for line in lines if line][-LAST_LINES:])
    return f"; it printed last: {kept}" if kept else ""


def available_memory() -> int:
    """Bytes that can be allocated now without swapping (Linux: MemAvailable)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise RocmoeError("/proc/meminfo has no MemAvailable; rocmoe runs on Linux")


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
