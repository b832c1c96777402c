"""A program that behaves as rocprofv3 does, to try the driver where there is no AMD GPU.

Files and their places, options, exit statuses and messages are those of the version that it is told
to be; kernels, times and counts are made up.  It really runs the program that it is given, and
takes its exit status, as rocprofv3 does, which replaces itself by the program.

    STAND_IN_VERSION    of ROCm: 6.2, 6.4, 7.0 or 7.2.4
    STAND_IN_SITUATION  a word of SITUATIONS; several are separated by blanks
    STAND_IN_UNKNOWN    counters that the GPU does not have
    STAND_IN_KERNELS    what the GPU runs, in order: JSON of [[name, nanoseconds], ...]
    STAND_IN_VALUES     what counters come to in a launch: JSON by name
    STAND_IN_LOG        a file that gets a line of JSON a start: its arguments
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from stand_in_tables import AGENT, is_at_least, make_counts, make_stats, make_trace, make_tree

SDK = {"6.2": "0.4.0", "6.4": "0.6.0", "7.0": "1.0.0", "7.2.4": "1.3.0"}
SITUATIONS = {
    "broken": "the tool's library is missing",
    "broken_preload": "the tool's library is there and does not load: the program runs without it",
    "crash": "the tool dies in the program's process, of SIGSEGV",
    "kfd_denied": "/dev/kfd may not be opened",
    "no_kfd": "the kernel driver is not there",
    "no_perfmon": "counters may not be read",
    "rows_missing": "rows of the last counter are missing without a word",
    "silent": "the GPU does nothing",
    "slow": "the tool hangs behind the program",
    "unsupported": "a GPU without counters",
    "version_broken": "`--version` fails, as with a Python that is too old",
}
#: Counters that a block has at a time, and those that derived ones take.
SLOTS = {"SQ": 8, "TA": 2, "TD": 2, "TCP": 4, "TCC": 4, "GRBM": 2}
DERIVED = {"FETCH_SIZE": ("TCC", 3), "WRITE_SIZE": ("TCC", 2), "VALUBusy": ("SQ", 1)}
LOGGED = "20250904 21:02:16.242980 1234567 "


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    formats = ["csv", "json", "pftrace", "otf2"]
    if is_at_least("7.0"):
        formats.append("rocpd")
        parser.add_argument("-v", "--version", action="store_true")
    parser.add_argument("-i", "--input")
    parser.add_argument("-o", "--output-file")
    parser.add_argument("-d", "--output-directory")
    parser.add_argument("-f", "--output-format", nargs="+", choices=formats)
    value = {"nargs": "?", "const": True} if is_at_least("7.0") else {"action": "store_true"}
    for name in ("--kernel-trace", "--marker-trace", "--memory-copy-trace", "--stats"):
        parser.add_argument(name, **value)
    if is_at_least("6.3"):
        several = {"action": "append"} if is_at_least("7.2.4") else {}
        parser.add_argument("--pmc", nargs="*", **several)
    if is_at_least("6.4"):
        parser.add_argument("--collection-period", nargs="+")
    own, _, program = split(arguments)
    return parser.parse_args(own), program


def split(arguments):
    """What is the tool's, `--`, and what is the program's."""
    if "--" not in arguments:
        return arguments, None, []
    at = arguments.index("--")
    return arguments[:at], "--", arguments[at + 1 :]


def fail(message):
    sys.stderr.write(f"Fatal error: {message}\n")
    sys.exit(1)


def list_passes(options):
    """(folder, counters) of each run of the program."""
    if options.input:
        ending = Path(options.input).suffix
        text = Path(options.input).read_text()
        if ending == ".json":
            jobs = [job["pmc"] for job in json.loads(text)["jobs"]]
            return [(f"pass_{n}", counters) for n, counters in enumerate(jobs, 1)]
        if ending == ".txt":
            lines = [line.split()[1:] for line in text.splitlines() if line.startswith("pmc:")]
            return [(f"pmc_{n}", counters) for n, counters in enumerate(lines, 1)]
        fail(
            f"Input file '{options.input}' does not have a recognized extension "
            "(.txt, .json, .yaml, .yml)"
        )
    groups = getattr(options, "pmc", None) or []
    if groups and isinstance(groups[0], list):
        if len(groups) > 1:
            return [(f"pass_{n}", counters) for n, counters in enumerate(groups, 1)]
        groups = groups[0]
    return [("", groups)]


class Run:
    """One run of the program under the tool."""

    def __init__(self, options, program, folder, counters):
        self.options, self.program, self.counters = options, program, counters
        self.situation = os.environ.get("STAND_IN_SITUATION", "").split()
        self.folder = Path(options.output_directory or ".") / folder
        self.log = sys.stderr.write
        self.found = []

    def execute(self, replaces):
        """The program's exit status; replaces: whether the tool's process becomes the program."""
        if "kfd_denied" in self.situation:
            self.log("Unable to open /dev/kfd read-write: Permission denied\n")
        if "no_kfd" in self.situation:
            place = "/sys/class/kfd/kfd/topology/nodes"
            self.log(f"W{LOGGED}agent.cpp:290] sysfs nodes path '{place}' does not exist\n")
        if "broken_preload" in self.situation:
            library = "/opt/rocm/lib/rocprofiler-sdk/librocprofiler-sdk-tool.so"
            self.log(
                f"ERROR: ld.so: object '{library}' from LD_PRELOAD cannot be preloaded "
                "(cannot open shared object file): ignored.\n"
            )
        sys.stderr.flush()
        with subprocess.Popen(self.program) as process:
            code = process.wait()
        self.pid = os.getpid() if replaces else process.pid
        works = not {"silent", "no_kfd", "kfd_denied", "broken_preload"} & set(self.situation)
        if code >= 0 and works:
            self.record()
        if "slow" in self.situation:
            sys.stderr.flush()
            subprocess.run(["sleep", "60"], check=False)
        return code

    def record(self):
        if "crash" in self.situation:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.counters and not self.take_counters():
            return
        wanted = self.options.output_format or ["rocpd" if is_at_least("7.0") else "csv"]
        traced = self.options.kernel_trace and not self.counters
        if "csv" in wanted:
            self.write_csv("agent_info", AGENT)
            if traced:
                self.write_csv("kernel_trace", make_trace())
                if self.options.stats:
                    self.write_csv("kernel_stats", make_stats())
                    self.write_csv("domain_stats", make_stats("KERNEL_DISPATCH"))
            if self.counters:
                self.write_csv("counter_collection", make_counts(self.found, self.pid))
        if "json" in wanted:
            self.open("results.json").write_text(
                json.dumps(make_tree(self.pid, self.program, traced, self.found))
            )
        if "rocpd" in wanted:
            import sqlite3

            with sqlite3.connect(self.open("results.db")) as database:
                database.execute("create table rocpd_metadata (id, tag, value)")
                database.execute("insert into rocpd_metadata values (1, 'schema_version', '3')")

    def take_counters(self):
        if "no_perfmon" in self.situation:
            self.log("Required permission (CAP_PERFMON) is not set, permission denied\n")
            return False
        if "unsupported" in self.situation:
            self.log("Agent HW architecture is not supported, no counter metrics found.\n")
            return False
        unknown = os.environ.get("STAND_IN_UNKNOWN", "").split()
        missing = [name for name in self.counters if name in unknown]
        found = [name for name in self.counters if name not in unknown]
        if missing:
            self.log(
                f"W{LOGGED}tool.cpp:1015] Unable to find all counters for agent 4 (gpu-0, gfx942) "
                f"in [{', '.join(self.counters)}]. Found: [{', '.join(found)}]. "
                f"Missing: [{', '.join(missing)}]\n"
            )
        used = {}
        for name in found:
            block, count = DERIVED.get(name, (name.split("_")[0], 1))
            used[block] = used.get(block, 0) + count
        if any(count > SLOTS[block] for block, count in used.items()):
            self.log(
                f"F{LOGGED}tool.cpp:1060] Could not construct profile cfg failed with error code "
                "38: Request exceeds the capabilities of the hardware to collect\n"
            )
            sys.stderr.flush()
            os.abort()
        if "rows_missing" in self.situation:
            found = found[:-1]
        self.found = found
        return bool(found)

    def write_csv(self, kind, rows):
        with self.open(f"{kind}.csv").open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
            writer.writerows(rows)

    def open(self, name):
        prefix = self.options.output_file or f"{os.uname().nodename}/%pid%"
        path = self.folder / f"{prefix.replace('%pid%', str(self.pid))}_{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.log(f"E{LOGGED}output_stream.cpp:105] Opened result file: {path}\n")
        return path


def print_version():
    version = os.environ["STAND_IN_VERSION"]
    facts = {"version": SDK[version], "git_revision": "0b1e4f", "system_name": "Linux"}
    for key, value in {**facts, "rocm_version": version}.items():
        print(f"    {key:>16}: {value}")


def main(arguments):
    if log := os.environ.get("STAND_IN_LOG"):
        with open(log, "a") as file:
            file.write(json.dumps(arguments) + "\n")
    situation = os.environ.get("STAND_IN_SITUATION", "").split()
    assert set(situation) <= set(SITUATIONS), situation
    if "version_broken" in situation:
        sys.stderr.write("SyntaxError: invalid syntax\n")
        return 1
    options, program = parse_arguments(arguments)
    if getattr(options, "version", False):
        print_version()
        return 0
    if "broken" in situation:
        library = "/opt/rocm/lib/rocprofiler-sdk/librocprofiler-sdk-tool.so"
        fail(f"Failed to resolve path. '{library}' does not exist")
    passes = list_passes(options)
    if not program:
        fail("No application provided")
    if options.stats and not options.kernel_trace:
        fail("No tracing options were enabled for --stats")
    if len(passes) == 1:
        code = Run(options, program, *passes[0]).execute(replaces=True)
        if code < 0:  # what the program died of the tool died of
            os.kill(os.getpid(), -code)
        return code
    for each in passes:
        code = Run(options, program, *each).execute(replaces=False)
        if code:
            fail(subprocess.CalledProcessError(code, program))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
