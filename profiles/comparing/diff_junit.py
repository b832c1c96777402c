"""A comparison as JUnit XML, the form CI systems read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import check_writable, write_atomically
from rocmoe.profiles.comparing.diff import Diff, Side
from rocmoe.profiles.comparing.diff_changes import Change
from rocmoe.profiles.comparing.diff_report import describe_change
from rocmoe.profiles.junit import clean


def check_junit(path: Path, *sides: Side) -> None:
    """Raise `RocmoeError` where JUnit XML cannot be written, or would replace an artifact."""
    check_writable(path, "--junit")
    if path.resolve() in [side.file.resolve() for side in sides]:
        raise RocmoeError(f"--junit {path} is one of the artifacts; name another")


def write_diff_junit(diff: Diff, path: Path) -> None:
    """Write one test case a change: what fails the gate is a failure, what is ambiguous is skipped;
    and an error for each reason why the comparison is inconclusive."""
    suite = ElementTree.Element(
        "testsuite",
        name="rocmoe diff",
        tests=str(len(diff.changes) + len(diff.inconclusive)),
        failures=str(sum(map(diff.fails_on, diff.changes))),
        errors=str(len(diff.inconclusive)),
        skipped=str(sum(each.verdict == "AMBIGUOUS" for each in diff.changes)),
    )
    for reason in diff.inconclusive:
        test = ElementTree.SubElement(
            suite, "testcase", classname="rocmoe.diff", name=clean(reason)
        )
        ElementTree.SubElement(test, "error", type="inconclusive", message=clean(reason))
    suite.extend(_make_test(change, diff.fails_on(change)) for change in diff.changes)
    write_atomically(path, ElementTree.tostring(suite, "utf-8", xml_declaration=True))


def _make_test(change: Change, fails: bool) -> ElementTree.Element:
    test = ElementTree.Element(
        "testcase",
        classname=clean(f"rocmoe.{change.case.partition(':')[0]}.{change.backend}"),
        name=clean(f"{change.case} {change.device} {_name_subject(change)}"),
    )
    if fails or change.verdict == "AMBIGUOUS":
        verdict, _, _, _, base, new, ratio, note = describe_change(change)
        message = clean(f"{base} -> {new}, {ratio}{f': {note}' if note else ''}")
        tag = "failure" if fails else "skipped"
        ElementTree.SubElement(test, tag, type=verdict, message=message)
    return test


def _name_subject(change: Change) -> str:
    """What a change is about, by a name that is the same in every comparison."""
    if change.dimension == "slower":
        return change.what
    kernel = change.what.rpartition(" ")[0]
    return f"{change.dimension} {kernel}".rstrip()
