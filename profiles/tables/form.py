"""What a form of table is: its name, where it was posted, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.tables.table import Table


@dataclass(frozen=True)
class Form:
    """A form of table that people post.

    document: of `published/`, the page that it is from.  ops: that it shows, of which an artifact
    has to have one.  command: a benchmark whose artifact has what it needs.  render: the tables of
    an artifact, with published figures beside them or not; raises `RocmoeError` for one that has
    none.
    """

    name: str
    document: str
    ops: tuple[str, ...]
    command: str
    render: Callable[[Artifact, bool], list[Table]]
