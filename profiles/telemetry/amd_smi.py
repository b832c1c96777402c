"""The program amd-smi as a source.

Each reading is a process of about a second, which asks the driver much that is not needed, and
takes 100 ms for the violations alone: not while work is timed.  AMD calls the program example code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property

from rocmoe.profiles.documents import list_entries
from rocmoe.profiles.telemetry.amd_smi_output import (
    SOURCE,
    GpuFacts,
    Versions,
    parse_facts,
    parse_metric,
    parse_versions,
)
from rocmoe.profiles.telemetry.documents import run_tool
from rocmoe.profiles.telemetry.reading import ReadError, Reading, check_reading
from rocmoe.profiles.tools import LOAD_DRIVER, Machine, Output

FIX = "apt-get install amd-smi-lib"


class AmdSmi:
    """What amd-smi tells; where it is installed is looked up on `machine`."""

    name = SOURCE
    in_process = False

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()

    @cached_property
    def facts(self) -> Mapping[int, GpuFacts]:
        """Each GPU by its index, asked once; `ReadError` where amd-smi shows none."""
        output = self._run("static", "--json")
        entries = list_entries(output.stdout)
        if not entries:
            raise ReadError(f"amd-smi shows no GPU: {output.explain()}; {LOAD_DRIVER}")
        return {index: parse_facts(entry) for index, entry in entries.items()}

    @cached_property
    def versions(self) -> Versions:
        """Asked once; empty where amd-smi prints none; `ReadError` where it is not."""
        return parse_versions(self._run("version", "--json").stdout)

    def find_absence(self) -> str | None:
        try:
            return None if self.facts else "amd-smi shows no GPU"
        except ReadError as error:
            return str(error)

    def list_gpus(self) -> Mapping[int, str | None]:
        return {index: facts.pci_address for index, facts in self.facts.items()}

    def read(self, gpu_index: int) -> Reading:
        facts = self.facts.get(gpu_index)
        output = self._run("metric", "--gpu", str(gpu_index), "--json")
        entry = list_entries(output.stdout).get(gpu_index)
        if entry is None:
            raise ReadError(f"amd-smi tells nothing about GPU {gpu_index}: {output.explain()}")
        return check_reading(parse_metric(entry, facts.arch if facts else None, time.time()))

    def _run(self, *arguments: str) -> Output:
        return run_tool(self._machine, "amd-smi", FIX, *arguments)
