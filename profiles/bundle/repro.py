"""Shows a failure that rocmoe found, without rocmoe: `python repro.py [--device cpu|gpu|gpu:N]`.

Exit code: 1 the bug shows, 0 it does not, 2 it cannot be run here; what and where is printed.
requirements.txt lists what it needs.  The kernel runs in a process of its own, so that a crash or
a hang is seen and told.  It is called three times at the same addresses: on the first inputs, on
the second, and on the first again; memory around and between rows holds NaN.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PARTS = "rocmoe_parts"
#: Until the kernel can be called: importing torch and a library, from a cold disk.
START_SECONDS = 600.0
SHOWS, SHOWS_NOT, CANNOT_RUN = 1, 0, 2
MOST_FINDINGS = 12
#: What the child writes once it is about to call the kernel.
READY = "ready\n"


def main() -> int:
    """Run the kernel in a child and say what became of it."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    record = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    found_on = record["device"]
    simulated = found_on.startswith("sim:")
    parser.add_argument("--device", default="gpu" if simulated else found_on)
    parser.add_argument("--timeout", type=float, default=record["timeout_s"], help="seconds")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer(record, options.device, Path(options.child))
        return 0
    print(f"{record['case']['id']} by {record['backend']}, found on {found_on}", flush=True)
    if simulated:
        print("(found by the simulator, which sees more than a GPU shows)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        code, lines = watch(Path(folder) / "answer", options.device, options.timeout)
    print("\n".join(lines))
    print({SHOWS: "the bug shows", SHOWS_NOT: "the bug does not show"}.get(code, "cannot run here"))
    return code


def watch(path: Path, device: str, timeout: float) -> tuple[int, list[str]]:
    """Start the child, and wait until it has written its answer, died, or used up its time."""
    command = [sys.executable, "-B", __file__, "--device", device, "--child", str(path)]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        started, seconds = time.monotonic(), START_SECONDS
        while child.poll() is None:
            told = _read(path)
            if seconds != timeout and told.startswith(READY):
                started, seconds = time.monotonic(), timeout
            # Nothing that the kernel left running is waited for.
            if told not in ("", READY) or time.monotonic() - started > seconds:
                break
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        ended = child.wait()
    called, _, answered = _read(path).partition(READY)
    try:
        code, lines = json.loads(answered or called)
        return int(code), [str(line) for line in lines]
    except (ValueError, TypeError):
        pass
    if _read(path).startswith(READY):
        timed_out = ended == -signal.SIGKILL and time.monotonic() - started > seconds
        said = f"no answer within {timeout:g} s" if timed_out else f"the process {_tell(ended)}"
        return SHOWS, [said]
    return CANNOT_RUN, [f"the process {_tell(ended)} before the kernel was called"]


def answer(record: dict[str, Any], device_name: str, path: Path) -> None:
    """In the child: find the kernel, judge it, and write [code, lines]."""
    try:
        examine, judged = prepare(record, device_name)
    except BaseException as error:
        _write(path, CANNOT_RUN, [f"{type(error).__name__}: {error}"])
        return
    path.write_text(READY, encoding="utf-8")
    try:
        examination = examine()
    except judged.InputsError as error:
        _write(path, CANNOT_RUN, [str(error)])
    except BaseException as error:
        _write(path, SHOWS, [f"the call raised {judged.describe_error(error)}"])
    else:
        verdict = examination.verdict
        _write(path, SHOWS_NOT if verdict.ok else SHOWS, list_lines(verdict))


def prepare(record: dict[str, Any], device_name: str) -> tuple[Callable[[], Any], Any]:
    """A function that judges the kernel, and the module of errors; raises where it cannot run."""
    errors = _load("ops.core.errors")
    device = _load("ops.core.device").parse_device(device_name)
    if absence := device.find_absence():
        raise RuntimeError(absence)
    spec = importlib.import_module(record["op_module"]).SPEC
    case = spec.check_case(_load("ops.core.case").parse_case(record["case"]["id"]))
    backend = _load(f"ops.backends.{record['backend']}")
    if absence := backend.find_absence():
        raise RuntimeError(absence)
    variant = "" if record["variant"] == "default" else record["variant"]
    if record["candidate"]:
        variant = f"{HERE / record['candidate']['file']}:{record['candidate']['function']}"
    kernel = backend.find(spec, variant)
    if kernel is None:
        raise RuntimeError(f"{record['backend']} has no {spec.name}")
    if not record["guard"]:
        kernel = kernel.without_guard()
    if refusal := kernel.find_absence() or kernel.find_refusal(case, device):
        raise RuntimeError(refusal)
    spec = kernel.restate(spec, case)
    draws = _load("profiles.bundle.recording").read_draws(spec, case, HERE)
    examine = _load("profiles.examination").examine

    def judge() -> Any:
        return examine(spec, case, kernel, device, strict=record["strict"], draws=draws)

    return judge, errors


def list_lines(verdict: Any) -> list[str]:
    """What was checked, and the elements at fault."""
    words = {True: "ok", False: "FAILED", None: "not checked"}
    lines = []
    for check in verdict.checks:
        lines.append(
            f"{words[check.ok]:<12}{check.name}: observed {check.observed:.6g}, limit "
            f"{check.limit:g}"
        )
    for each in verdict.findings[:MOST_FINDINGS]:
        index = ", ".join(map(str, each.index))
        wanted = f", wanted {each.wanted}" if each.wanted else ""
        lines.append(
            f"  {each.check}, call {each.call}: {each.output}[{index}] is {each.found}{wanted}"
        )
    if len(verdict.findings) > MOST_FINDINGS:
        lines.append(f"  and {len(verdict.findings) - MOST_FINDINGS} more")
    return lines


def _load(module: str) -> Any:
    return importlib.import_module(f"{PARTS}.{module}")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _write(path: Path, code: int, lines: list[str]) -> None:
    """Behind what is there, in one step."""
    whole = path.with_name("whole")
    whole.write_text(_read(path) + json.dumps([code, lines]), encoding="utf-8")
    os.replace(whole, path)


def _tell(code: int) -> str:
    if code >= 0:
        return f"exited with code {code} before it answered"
    try:
        return f"died of {signal.Signals(-code).name}"
    except ValueError:
        return f"died of signal {-code}"


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(HERE))
    sys.exit(main())
