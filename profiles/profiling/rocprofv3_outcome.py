"""What a run of rocprofv3 came to: its messages and exit statuses, each as one line with the fix.

The messages are those of ROCm/rocprofiler-sdk: its `rocprofv3.py` ("Fatal error: ..."), its tool
library and its counter service.  The tool replaces itself by the program it profiles, so that an
exit status is the program's unless a message says otherwise, and 0 does not mean that it recorded
anything.
"""

from __future__ import annotations

import csv
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rocmoe.profiles.profiling.rocprofv3_version import INSTALL, Rocprofv3
from rocmoe.profiles.tools import ANSI, LOAD_DRIVER, Machine

JOIN_GROUPS = "join the groups that own /dev/kfd: sudo usermod -aG render,video $USER"
#: Variables that choose among GPUs, and may leave none.
MASKS = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
#: A line for every file that is written, at the level "error" though nothing is wrong, and the
#: complaint of a ring buffer that is torn down while its output is piped.
HARMLESS = re.compile(r"^E\d{8} .*Opened result file: |munmap failed: Invalid [Aa]rgument")
TAIL_LINES = 20
#: How the one line of rocmoe's own program begins that says why it failed, and what to do.
CHILD_PREFIX = "rocmoe: "
#: How the line begins for a program that failed without a word that is known.
BY_ITSELF = "the profiled program"


@dataclass(frozen=True)
class Ended:
    """How one run of the tool ended.

    counters: that were asked for; empty for a run that times kernels.  returncode: negative is a
    signal; None for a run that was killed after `seconds`.  stderr: of the tool and of the program.
    files: by kind, as of `rocprofv3.list_files`.
    """

    command: Sequence[str]
    counters: Sequence[str]
    returncode: int | None
    seconds: float
    stderr: str
    files: Mapping[str, Sequence[Path]]

    @property
    def is_recorded(self) -> bool:
        """Whether the file is there that the run was made for."""
        return ("counter_collection" if self.counters else "kernel_trace") in self.files


@dataclass(frozen=True)
class Symptom:
    """A message, what it means and what to do; `{...}`: its named groups, `tool`, `counters`.

    fix: empty where the message has one of its own.  fallback: only counts where nothing else
    explains the run.
    """

    pattern: re.Pattern[str]
    meaning: str
    fix: str
    fallback: bool = False

    def explain(self, match: re.Match[str], **words: str) -> str:
        """The line for a message that was found."""
        line = f"{self.meaning}; {self.fix}" if self.fix else self.meaning
        return line.format(**words, **match.groupdict())


SYMPTOMS = (
    Symptom(
        re.compile(r"^\S*rocprofv3\S*: error: (?P<what>.+)$", re.M),
        "{tool} does not take this command line ({what})",
        "put the bin folder of another ROCm first on PATH",
    ),
    Symptom(
        re.compile(r"Failed to resolve path\. '(?P<path>[^']+)' does not exist"),
        "{tool} is not installed completely: there is no {path}",
        f"reinstall it: {INSTALL}",
    ),
    Symptom(
        re.compile(r"object '(?P<path>[^']*rocprofiler[^']*)' from LD_PRELOAD cannot be preloaded"),
        "{tool} is not installed completely: {path} cannot be loaded",
        f"reinstall it: {INSTALL}",
    ),
    Symptom(
        re.compile(r"error code 38\b|exceeds the capabilities of the hardware to collect"),
        "the GPU cannot collect {counters} in one pass",
        "split it over more passes, for a block such as SQ or TCC has few counters at a time",
    ),
    Symptom(
        re.compile(r"CAP_PERFMON"),
        "the kernel driver does not let this user read counters",
        "run as root, or start the container with --cap-add=PERFMON",
    ),
    Symptom(
        re.compile(r"Unable to open /dev/kfd read-write: Permission denied"),
        "/dev/kfd may not be opened by this user",
        JOIN_GROUPS,
    ),
    Symptom(
        re.compile(r"sysfs nodes path '[^']*' does not exist|/dev/kfd[^\n]*No such file"),
        "the amdgpu driver is not here",
        LOAD_DRIVER,
    ),
    Symptom(
        re.compile(r"Agent HW architecture is not supported"),
        "{tool} has no counters for this GPU",
        "update ROCm, or profile without counters",
    ),
    Symptom(
        re.compile(r"No HIP GPUs are available|hipErrorNoDevice|no ROCm-capable device"),
        "HIP sees no GPU",
        "see `rocmoe doctor`",
    ),
    Symptom(
        re.compile(
            r"^Fatal error: Command '.*' (?P<how>returned non-zero exit status -?\d+"
            r"|died with <Signals\.\w+: \d+>)",
            re.M,
        ),
        "the program {how} in one of several passes, and the passes behind it were not run",
        "run it without the profiler, then with one pass at a time",
        fallback=True,
    ),
    Symptom(
        re.compile(rf"^{CHILD_PREFIX}(?P<what>.+)$", re.M),
        "{what}",
        "",
        fallback=True,
    ),
    Symptom(
        re.compile(r"^Fatal error: (?P<what>.+)$", re.M),
        "{tool} refuses: {what}",
        "run `rocmoe doctor`, and its command, which the folder's command.txt has, by hand",
        fallback=True,
    ),
)
#: A warning only: rows of a counter that an agent does not have are missing.
UNKNOWN_COUNTERS = re.compile(
    r"Unable to find all counters for agent \d+ \([^)]*?(?P<arch>gfx\w+)\).*?"
    r"Missing: \[(?P<missing>[^\]]*)\]"
)


def explain(tool: Rocprofv3, ended: Ended, machine: Machine) -> list[str]:
    """What went wrong in a run, a line each with the fix; nothing for a good run."""
    words = {"tool": str(tool), "counters": " ".join(ended.counters) or "what was asked for"}
    # Behind a run that went well a message is of something else, as of a second, smaller GPU.
    went_well = ended.returncode == 0 and ended.is_recorded
    told = [
        symptom.explain(match, **words)
        for symptom in SYMPTOMS
        if not (went_well or symptom.fallback) and (match := symptom.pattern.search(ended.stderr))
    ]
    if ended.returncode is None:
        told.append(
            f"{tool} did not end within {ended.seconds:g} s and was killed; give it more time, or "
            "fewer calls or counters, many of which can hang it"
        )
    elif ended.returncode and not told:
        told.append(_explain_exit(ended, words))
    if ended.counters and ended.is_recorded:
        told += _explain_missing(ended)
    elif not told and not ended.is_recorded:
        told += _explain_missing(ended) or [_explain_silence(ended, machine)]
    return told


def find_last_lines(stderr: str, count: int = TAIL_LINES) -> str:
    """The end of what was printed, without colours, blank lines and what is harmless."""
    lines = (line.rstrip() for line in ANSI.sub("", stderr).splitlines())
    return "\n".join([line for line in lines if line and not HARMLESS.search(line)][-count:])


def _explain_exit(ended: Ended, words: Mapping[str, str]) -> str:
    """An exit status that no known message goes with: the program's own, by all that is known."""
    assert ended.returncode is not None
    for symptom in SYMPTOMS:
        if symptom.fallback and (match := symptom.pattern.search(ended.stderr)):
            return symptom.explain(match, **words)
    name = _find_signal(ended.returncode)
    how = f"died of {name}" if name else f"failed by itself with exit status {ended.returncode}"
    said = find_last_lines(ended.stderr, 1).strip()
    said = f": {said[:200]}" if said else ""
    return f"{BY_ITSELF} {how}{said}; run it without the profiler first"


def _find_signal(code: int) -> str | None:
    """The signal of a negative code, or, as shells tell it, of one above 128."""
    number = -code if code < 0 else code - 128
    known = {each.value: each.name for each in signal.Signals}
    return known.get(number, f"signal {number}" if code < 0 else None)


def _explain_missing(ended: Ended) -> list[str]:
    """Counters that were asked for and have no rows."""
    absent = set(ended.counters) - set(_read_counter_names(ended))
    told = []
    for match in UNKNOWN_COUNTERS.finditer(ended.stderr):
        named = [name for name in re.split(r"[,\s]+", match["missing"]) if name in absent]
        absent -= set(named)
        if named:
            told.append(
                f"{match['arch']} has no counter {', '.join(named)}; `rocprofv3 -L` lists those "
                "it has"
            )
    if absent and ended.is_recorded:
        names = ", ".join(name for name in ended.counters if name in absent)
        told.append(f"{names} came back without a row; ask for it in a pass of its own")
    return told


def _read_counter_names(ended: Ended) -> Iterator[str]:
    for path in ended.files.get("counter_collection", ()):
        # A file that breaks off has no names to give behind that place.
        with suppress(csv.Error), path.open(encoding="utf-8", errors="replace", newline="") as file:
            yield from {row.get("Counter_Name") or "" for row in csv.DictReader(file)}


def _explain_silence(ended: Ended, machine: Machine) -> str:
    """Why a run that ended well may have recorded nothing."""
    kfd = machine.root / "dev/kfd"
    said = "rocprofv3 ended well and wrote no records, as it does when the GPU does nothing"
    if not kfd.exists():
        return f"{said}: there is no /dev/kfd; {LOAD_DRIVER}"
    if not os.access(kfd, os.R_OK | os.W_OK):
        return f"{said}: /dev/kfd may not be opened by this user; {JOIN_GROUPS}"
    masks = [f"{name}={machine.environ[name]!r}" for name in MASKS if name in machine.environ]
    if masks:
        return f"{said}: no GPU may be left by {', '.join(masks)}; unset {masks[0].split('=')[0]}"
    program = Path(ended.command[0]).name
    return f"{said}: {program} launched no kernel; see `rocmoe doctor`, or whether it runs on gpu"
