"""A run as JUnit XML, the form CI systems read."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from rocmoe.profiles.artifact import Artifact, Result, write_atomically
from rocmoe.profiles.outcome import BAD
from rocmoe.profiles.report import tell_finding

# XML 1.0 section 2.2: characters that no document may hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(artifact: Artifact, path: Path) -> None:
    """Write one test case a result: a wrong answer is a failure, anything else bad an error."""
    results = artifact.results
    suite = ElementTree.Element(
        "testsuite",
        name=f"rocmoe {artifact.request.command}",
        tests=str(len(results)),
        failures=str(sum(result.status == "fail" for result in results)),
        errors=str(sum(result.status in BAD and result.status != "fail" for result in results)),
        skipped=str(sum(result.status in ("refused", "unavailable") for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}",
        timestamp=artifact.created,
    )
    suite.extend(_make_test(result) for result in results)
    write_atomically(path, ElementTree.tostring(suite, "utf-8", xml_declaration=True))


def _make_test(result: Result) -> ElementTree.Element:
    test = ElementTree.Element(
        "testcase",
        classname=clean(f"rocmoe.{result.case.op}.{result.selector}"),
        name=clean(result.case.id),
        time=f"{result.seconds:.3f}",
    )
    if result.status == "pass":
        return test
    tag = {"fail": "failure", "refused": "skipped", "unavailable": "skipped"}.get(
        result.status, "error"
    )
    message = clean(result.reason or result.status)
    outcome = ElementTree.SubElement(test, tag, type=result.status, message=message)
    outcome.text = clean("\n".join(tell_finding(finding) for finding in result.findings))
    return test


def clean(text: str) -> str:
    """Text without the characters that no XML may hold."""
    return _FORBIDDEN.sub("?", text)
