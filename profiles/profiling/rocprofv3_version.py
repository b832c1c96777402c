"""Finds rocprofv3 and learns its version: its options and formats depend on it.

Which option came with which release is from the change log of ROCm/rocprofiler-sdk and from the
argument parser of its `rocprofv3.py`: `--pmc` with ROCm 6.3, `--collection-period` with 6.4,
`--version` and the format rocpd, which is the default since, with 7.0.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.environment import find_rocm, read_text, rocm_folder
from rocmoe.profiles.tools import Machine, Output

INSTALL = "apt-get install rocprofiler-sdk, of the same ROCm as torch's, or use a ROCm container"

FORMATS = ("csv", "json", "pftrace", "otf2")
#: rocprofiler-sdk's version, where the tool does not tell its own, by the first ROCm it came with.
SDK_VERSIONS: Mapping[tuple[int, ...], str] = {
    (6, 2): "0.4.0",
    (6, 3): "0.5.0",
    (6, 4): "0.6.0",
    (7, 0): "1.0.0",
}
#: The newest ROCm that a word in `rocprofv3 --help` proves, newest first.
_HELP_WORDS = (("rocpd", "7.0"), ("--collection-period", "6.4"), ("--pmc", "6.3"))


@dataclass(frozen=True)
class Rocprofv3:
    """An installed rocprofv3.

    version: of rocprofiler-sdk.  rocm_version: the ROCm it belongs to; where no file names it, the
    oldest that has the options it has.  formats: what `--output-format` takes.
    """

    path: Path
    version: str
    rocm_version: str
    formats: tuple[str, ...]

    @property
    def takes_pmc(self) -> bool:
        """Whether counters can be named on the command line; if not, in an input file."""
        return parse_numbers(self.rocm_version) >= (6, 3)

    def __str__(self) -> str:
        return f"rocprofv3 {self.version} of ROCm {self.rocm_version}"


def find_rocprofv3(machine: Machine | None = None) -> Rocprofv3:
    """The rocprofv3 on PATH, else in $ROCM_PATH/bin, else in /opt/rocm/bin.

    Raises `RocmoeError`, with the fix, where there is none or it does not work.
    """
    here = machine or Machine()
    path = _find_path(here)
    try:
        output = here.run(str(path), "--version")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RocmoeError(f"{path} does not run ({error}); {INSTALL}") from None
    # argparse: there was no such option before ROCm 7.0
    if output.code not in (0, 2):
        raise RocmoeError(f"{path} does not run: {output.explain()}; {INSTALL}")
    rocm = _find_rocm_of(path, here)
    found = _read_version(output)
    version = found.get("version")
    told = found.get("rocm_version", "")
    numbers = parse_numbers(told) or parse_numbers(rocm) or parse_numbers(_guess_rocm(path, here))
    if version and numbers < (7, 0):
        numbers = (7, 0)  # a file of another ROCm: it has `--version`
    return Rocprofv3(
        path,
        version or _name_sdk(numbers),
        ".".join(map(str, numbers)),
        (*FORMATS, "rocpd") if numbers >= (7, 0) else FORMATS,
    )


def find_absence(machine: Machine | None = None) -> str | None:
    """Why rocprofv3 cannot be used here, in one line with the fix; None when it can."""
    try:
        find_rocprofv3(machine)
    except RocmoeError as error:
        return str(error)
    return None


def parse_numbers(version: str | None) -> tuple[int, ...]:
    """`7.2.4-81` as (7, 2, 4); empty for what begins with no number, or with 0."""
    found = re.match(r"\d+(?:\.\d+)*", version or "")
    numbers = tuple(map(int, found[0].split("."))) if found else ()
    return numbers if any(numbers[:1]) else ()


def _find_path(machine: Machine) -> Path:
    unset = {name: value for name, value in machine.environ.items() if name != "ROCM_PATH"}
    for place in (machine, replace(machine, environ=unset)):
        for found in place.find_tools("rocprofv3"):
            return Path(found)
    named = rocm_folder(machine.root, machine.environ)
    places = " or ".join(dict.fromkeys((f"{named}/bin", f"{rocm_folder(machine.root, {})}/bin")))
    raise RocmoeError(f"rocprofv3 is not on PATH, nor in {places}; {INSTALL}")


def _read_version(output: Output) -> dict[str, str]:
    """The lines `KEY: VALUE` of `rocprofv3 --version`."""
    if output.code:
        return {}
    return dict(re.findall(r"^\s*(\w+): *(\S+)\s*$", output.stdout, re.M))


def _find_rocm_of(path: Path, machine: Machine) -> str | None:
    """The version of the ROCm that a program lies in, else of the one that is installed."""
    beside = read_text(path.resolve().parent.parent / ".info/version")
    return beside or find_rocm(machine.root, machine.environ)


def _guess_rocm(path: Path, machine: Machine) -> str:
    """The oldest ROCm whose rocprofv3 has the options that this one's help lists."""
    try:
        text = machine.run(str(path), "--help").stdout
    except (OSError, subprocess.TimeoutExpired):
        text = ""
    return next((version for word, version in _HELP_WORDS if word in text), "6.2")


def _name_sdk(rocm: tuple[int, ...]) -> str:
    known = [version for first, version in SDK_VERSIONS.items() if first <= rocm]
    return known[-1] if known else "unknown"
