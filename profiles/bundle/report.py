"""What is told of a bundle, in lines."""

from __future__ import annotations

from rocmoe.profiles.bundle.creation import Created
from rocmoe.profiles.bundle.issue import describe_bug, tell_shown
from rocmoe.profiles.bundle.record import ISSUE, REPRO
from rocmoe.profiles.bundle.verification import Bundle

COLUMNS = ("file", "bytes", "sha256")


def list_files(bundle: Bundle) -> list[list[str]]:
    """A row of `COLUMNS` a file."""
    listed = sorted(bundle.manifest.files.items())
    return [[path, str(each.size), each.sha256] for path, each in listed]


def tell_bundle(bundle: Bundle) -> list[str]:
    """What failed, and what runs when: all of it was verified."""
    record = bundle.record
    lines = [f"{bundle.manifest.name}: {len(bundle.files)} files, all as their manifest says"]
    lines += ["", *describe_bug(record), ""]
    if record.candidate:
        lines.append(f"Code of its own: {record.candidate.file}; rocmoe runs it only by --impl.")
    lines.append(f"Case: {record.case.id}")
    return [_make_printable(line) for text in lines for line in text.split("\n")]


def _make_printable(text: str) -> str:
    """What a stranger wrote, without what would steer a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def tell_created(created: Created) -> list[str]:
    """What was written, and what is to be looked at before it is sent."""
    record = created.record
    lines = [
        tell_shown(record),
        f"{created.folder}: {len(created.files)} files; {REPRO} exits with 1 where the bug shows",
        f"{created.archive}: the same, to attach to {ISSUE}",
    ]
    if record.candidate:
        own = [path for path in created.files if path.startswith("candidate/")]
        lines.append(f"Your code is in it as it is; read it before you send it: {', '.join(own)}")
    if created.imports_rocmoe:
        lines.append("Your code imports rocmoe, so that its repro.py needs rocmoe too.")
    if record.device.startswith("sim:"):
        lines.append(
            f"It was found by the simulator on {record.device}; repro.py runs on a GPU, "
            "where it may not show."
        )
    return lines
