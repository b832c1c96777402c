"""llvm-objdump: where one is, and the listing that it makes of a code object."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.target import Target

#: ROCm's is named plainly, a distribution's may carry the version of LLVM.
NAMES = ("llvm-objdump", *(f"llvm-objdump-{version}" for version in range(40, 14, -1)))
TIMEOUT_S = 60.0

_LISTED = re.compile(r"^\t\S.*// [0-9A-F]{12}: ", re.M)
#: Bytes that this objdump knows no instruction for; an older LLVM misses some of newer targets'.
_UNREADABLE = re.compile(r"^\t(?:\.long|<unknown>|//)", re.M)


def find_objdumps(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> list[str]:
    """Paths of every llvm-objdump, the likeliest to know the newest target first.

    $ROCM_PATH/llvm/bin, /opt/rocm/llvm/bin, then PATH. `root` is where those folders are looked
    up. Nothing is run.
    """
    return list(dict.fromkeys(_search(os.environ if environ is None else environ, root)))


def _search(environ: Mapping[str, str], root: Path) -> Iterator[str]:
    rocm = [folder for folder in (environ.get("ROCM_PATH"), "/opt/rocm") if folder]
    places = [str(root / folder.lstrip("/") / "llvm/bin") for folder in rocm]
    for place in (*places, environ.get("PATH", "")):
        for name in NAMES:
            if place and (found := shutil.which(name, path=place)):
                yield found


def list_instructions(data: bytes, target: Target, file: str, objdumps: list[str]) -> str:
    """What `llvm-objdump -d -z` prints of a code object.

    Of several, the first that decodes everything, else the one that decodes most. Raises
    RocmoeError where none is installed, or, with what each said, where none knows the target.
    """
    if not objdumps:
        raise RocmoeError(
            f"{file}: reading code objects needs llvm-objdump, which is neither in ROCm's folders "
            "nor on PATH: apt-get install llvm, or set ROCM_PATH"
        )
    said = []
    listings = []
    with tempfile.NamedTemporaryFile(suffix=".co") as copy:
        copy.write(data)
        copy.flush()
        for objdump in objdumps:
            listing, complaint = _run(objdump, copy.name)
            if not listing:
                said.append(f"{objdump}: {complaint.removeprefix(f'{objdump}: ')}")
                continue
            listings.append(listing)
            if not _UNREADABLE.search(listing):
                break
    if listings:
        return min(listings, key=lambda listing: len(_UNREADABLE.findall(listing)))
    raise RocmoeError(
        f"{file}: no llvm-objdump here reads {target.architecture}, ROCm's does: {'; '.join(said)}"
    )


def _run(objdump: str, path: str) -> tuple[str, str]:
    """A listing, or why there is none."""
    command = [objdump, "-d", "-z", path]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    if done.returncode == 0 and _LISTED.search(done.stdout):
        return done.stdout, ""
    lines = [line.replace(path, "it") for line in done.stderr.splitlines() if line.strip()]
    loud = [line for line in lines if "error" in line.lower()]
    return "", (loud or lines or [f"exit status {done.returncode}"])[0].strip()
