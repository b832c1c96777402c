"""Collect the wheels that rocmoe needs on a machine with no network.

pip resolves for the Python it runs on: markers as `python_version < "3.11"` are evaluated there
(pypa/pip#6117), whatever --python-version says, and it would bring torch along.  So what is needed
is walked here, by the metadata of the wheels and for the machine they are for, and pip only
fetches, without dependencies, until nothing is missing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

#: glibc that the oldest wheels in use were built for.
OLDEST_GLIBC = 5
#: The same under older names (PEP 600).
LEGACY = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


@dataclass(frozen=True)
class Target:
    """The machine that the wheels are for: its Python, as (3, 12), its glibc, as 28 of 2.28."""

    python: tuple[int, int]
    glibc: int
    machine: str

    @property
    def version(self) -> str:
        return ".".join(map(str, self.python))

    @property
    def platforms(self) -> list[str]:
        """Platform tags, the newest first."""
        names = []
        for minor in range(self.glibc, OLDEST_GLIBC - 1, -1):
            names.append(f"manylinux_2_{minor}_{self.machine}")
            names += [f"{LEGACY[minor]}_{self.machine}"] if minor in LEGACY else []
        return [*names, f"linux_{self.machine}"]

    @property
    def tags(self) -> frozenset[Tag]:
        """The tags of wheels that it can install."""
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        return frozenset(
            [
                *cpython_tags(self.python, [interpreter], self.platforms),
                *compatible_tags(self.python, interpreter, self.platforms),
            ]
        )

    def wants(self, requirement: Requirement, extras: set[str]) -> bool:
        """Whether a requirement holds there, for a distribution asked for with these extras."""
        if requirement.marker is None:
            return True
        environment = {
            **default_environment(),
            "python_version": self.version,
            "python_full_version": f"{self.version}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{self.version}.0",
            "platform_python_implementation": "CPython",
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
        }
        return any(
            requirement.marker.evaluate({**environment, "extra": extra}) for extra in extras or {""}
        )


def find_wheel(folder: Path, name: str, wanted: SpecifierSet, tags: frozenset[Tag]) -> Path | None:
    """The newest wheel of a distribution that fits, None where there is none."""
    fitting: dict[Version, Path] = {}
    for path in folder.glob("*.whl"):
        found, version, _, offered = parse_wheel_filename(path.name)
        if found == name and tags & offered and wanted.contains(version, prereleases=True):
            fitting[version] = path
    return fitting[max(fitting)] if fitting else None


def read_requirements(wheel: Path) -> list[Requirement]:
    """What a wheel says that it needs."""
    with zipfile.ZipFile(wheel) as archive:
        # Only its own: setuptools carries others along, further down.
        (name,) = (n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        metadata = BytesParser().parsebytes(archive.read(name))
    return [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]


def walk(
    folder: Path, first: Requirement, target: Target, leave: set[str]
) -> dict[str, SpecifierSet]:
    """Every distribution needed, as far as the wheels that are there tell, with its versions."""
    needed: dict[str, SpecifierSet] = {}
    seen: dict[str, set[str]] = {}
    queue = [first]
    while queue:
        requirement = queue.pop()
        name, extras = canonicalize_name(requirement.name), {"", *requirement.extras}
        if name in leave:
            continue
        before = needed.get(name)
        needed[name] = requirement.specifier & (before or SpecifierSet())
        if before == needed[name] and extras <= seen[name]:
            continue
        seen[name] = extras | seen.get(name, set())
        if wheel := find_wheel(folder, name, needed[name], target.tags):
            queue += [each for each in read_requirements(wheel) if target.wants(each, seen[name])]
    return needed


def download(folder: Path, target: Target, requirements: list[str]) -> str:
    """Fetch wheels of requirements; what pip says where it has not all of them, else nothing."""
    platforms = [word for name in target.platforms for word in ("--platform", name)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--dest", str(folder)),
            *("--implementation", "cp", "--python-version", target.version),
            *platforms,
            *requirements,
        ],
        capture_output=True,
        text=True,
    )
    if not done.returncode:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return (lines or done.stderr.splitlines() or ["pip failed"])[0].removeprefix("ERROR: ")


def collect(folder: Path, first: Requirement, target: Target, leave: set[str]) -> list[Path]:
    """Fetch until nothing is missing; the wheels needed, or `SystemExit` with what has none."""
    before: list[str] = []
    while True:
        needed = walk(folder, first, target, leave)
        found = {n: find_wheel(folder, n, needed[n], target.tags) for n in needed}
        missing = [f"{name}{needed[name]}" for name, wheel in found.items() if wheel is None]
        if not missing:
            return [wheel for wheel in found.values() if wheel is not None]
        said = download(folder, target, missing) if missing != before else f"still no {missing}"
        if said:
            sys.exit(
                f"wheelhouse: not all is there for Python {target.version}, "
                f"glibc 2.{target.glibc}, {target.machine}: {said}"
            )
        before = missing


def parse_pair(text: str) -> tuple[int, int]:
    """(3, 12) of `3.12`."""
    major, minor = map(int, text.split("."))
    return major, minor


def main() -> None:
    parser = argparse.ArgumentParser(description="Collect wheels for a machine with no network.")
    parser.add_argument("wheel", type=Path, help="rocmoe's own")
    parser.add_argument("--python", type=parse_pair, default=sys.version_info[:2])
    parser.add_argument("--glibc", type=parse_pair, default=(2, 28))
    parser.add_argument("--machine", default="x86_64")
    parser.add_argument("--extras", default="", metavar="A,B")
    parser.add_argument("--leave", default="torch,triton", metavar="A,B")
    parser.add_argument("--dest", type=Path, default=Path("wheelhouse"))
    given = parser.parse_args()
    target = Target(given.python, given.glibc[1], given.machine)
    given.dest.mkdir(parents=True, exist_ok=True)
    name, version, _, _ = parse_wheel_filename(given.wheel.name)
    for path in given.dest.glob(f"{name}-*.whl"):
        path.unlink()
    shutil.copy(given.wheel, given.dest)
    leave = {canonicalize_name(word) for word in given.leave.split(",") if word}
    extras = f"[{given.extras}]" if given.extras else ""
    wheels = collect(given.dest, Requirement(f"{name}{extras}=={version}"), target, leave)
    size = sum(wheel.stat().st_size for wheel in wheels) / 2**20
    print(
        f"wheelhouse: {len(wheels)} wheels, {size:.0f} MiB, in {given.dest} for Python "
        f"{target.version}; left out: {', '.join(sorted(leave)) or 'nothing'}"
    )


if __name__ == "__main__":
    main()
