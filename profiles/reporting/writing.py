"""Writing a report: into the files asked for, or as Markdown where none is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import check_writable, write_atomically
from rocmoe.profiles.reporting.page import check_page, render_page
from rocmoe.profiles.reporting.pictures import check_pictures, write_pictures
from rocmoe.profiles.reporting.post import render_post
from rocmoe.profiles.reporting.report import make_report
from rocmoe.profiles.reporting.sources import Files, read_sources


@dataclass(frozen=True)
class Targets:
    """Where a report goes; max_chars: of the Markdown."""

    html: Path | None = None
    markdown: Path | None = None
    png: Path | None = None
    max_chars: int | None = None


@dataclass(frozen=True)
class Written:
    """What became of a report: the files, and the text where no file was asked for."""

    paths: tuple[Path, ...]
    text: str = ""


def write_report(files: Files, targets: Targets) -> Written:
    """Read what is to be reported, and write it where it is wanted.

    All is rendered before anything is written.  Raises `RocmoeError` for what cannot be read,
    rendered or written, and `OSError` where the disk fails.
    """
    _check(targets)
    sources = read_sources(files)
    report = make_report(sources)
    printed = (targets.html, targets.markdown, targets.png) == (None, None, None)
    contents: dict[Path, str] = {}
    text = ""
    if targets.html is not None:
        contents[targets.html] = render_page(report)
    if targets.markdown is not None or printed:
        text = render_post(report, sources, targets.max_chars)
    if targets.markdown is not None:
        contents[targets.markdown] = text
    pictures = write_pictures(sources.runs, targets.png) if targets.png is not None else []
    for path, content in contents.items():
        write_atomically(path, content.encode())
    return Written((*contents, *pictures), text if printed else "")


def _check(targets: Targets) -> None:
    if targets.html is not None and targets.html == targets.markdown:
        raise RocmoeError(f"--html and --markdown both name {targets.html}; give two files")
    if targets.html is not None:
        check_page()
        check_writable(targets.html, "--html")
    elif targets.markdown is None and targets.png is not None and targets.max_chars is not None:
        raise RocmoeError("--max-chars is of the Markdown, which --png alone does not make")
    if targets.markdown is not None:
        check_writable(targets.markdown, "--markdown")
    if targets.png is not None:
        check_pictures(targets.png)
