"""`*_results.db`, the SQLite database that rocprofv3 writes from ROCm 7.0 on.

Its views give the joined tables: ROCm/rocm-systems, projects/rocprofiler-sdk,
source/share/rocprofiler-sdk-rocpd (schema 3; columns were renamed in 4.1).  Where a database has
no views, the tables are joined here; each has the UUID of its run behind its name.  The environment
of the profiled process is stored in it and is never read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.rocpd_columns import (
    AGENTS,
    COUNTERS,
    COUNTERS_4,
    JOINED,
    LAUNCHES,
    NEEDED,
    FindTables,
    Relation,
    join_counters,
    join_launches,
)
from rocmoe.profiles.profiling.trace import Agent, CounterValue, Dispatch, Trace, sum_instances

MAGIC = b"SQLite format 3\x00"
_FORM = "rocpd"
_EXTRA = ("cu_count", "num_xcc", "wave_front_size", "max_engine_clk_fcompute")

_Row = Mapping[str, Any]
Join = Callable[[FindTables], list[str]]


def has_rocpd(path: Path) -> bool:
    """Whether a SQLite file is of rocprofv3: the first rocprof wrote others, `results.db`."""
    try:
        with closing(open_database(path)) as connection:
            names = set(_list_relations(connection))
    except sqlite3.Error:
        return True  # what is broken is told when it is read
    return "kernels" in names or any(name.startswith("rocpd_kernel_dispatch") for name in names)


def read_rocpd(path: Path, name: str, process: str) -> Trace:
    """The launches, counters and agents of a database; name: of the file, for errors.

    LDS is that of the launch.  Raises `RocmoeError` for what is no database, or of no known schema.
    """
    try:
        with closing(open_database(path)) as connection:
            return _Reader(connection, name, process).read()
    except sqlite3.Error as error:
        raise RocmoeError(
            f"{name}: found no readable rocpd database ({error}); wanted one that is whole"
        ) from None


def open_database(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, and that reads no environment."""
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    connection.set_authorizer(_hide_environment)
    return connection


def _hide_environment(action: int, table: str | None, column: str | None, *_: str | None) -> int:
    """Makes the environment read as NULL, whatever view it comes through: it may hold tokens."""
    hidden = action == sqlite3.SQLITE_READ and column == "environment"
    return sqlite3.SQLITE_IGNORE if hidden else sqlite3.SQLITE_OK


def _list_relations(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    return sorted(str(row["name"]) for row in rows)


class _Reader:
    def __init__(self, connection: sqlite3.Connection, file: str, process: str) -> None:
        self.connection, self.file, self.process = connection, file, process
        self.relations = _list_relations(connection)
        self.schema = self._find_schema()

    def read(self) -> Trace:
        launches = list(self._select(LAUNCHES, join_launches))
        collected = COUNTERS_4 if COUNTERS_4.view in self.relations else COUNTERS
        values = list(self._select(collected, join_counters, optional=True))
        pids = {row["pid"] for row in launches}
        counted = {_key(row) for row in values}
        dispatches = [self._read_launch(row, pids, counted) for row in launches]
        return Trace(
            tool="rocprofv3",
            form=f"{_FORM} schema {self.schema}",
            dispatches=tuple(dispatches),
            counters=tuple(sum_instances(self._read_value(row, pids) for row in values)),
            agents=tuple(self._list_agents(pids)),
            sources=(self.file,),
            guids=frozenset(str(row["guid"]) for row in launches if row["guid"]),
        )

    def _find_schema(self) -> str:
        for table in self._find_tables("rocpd_metadata"):
            query = f"SELECT value FROM {_quote(table)} WHERE tag = 'schema_version'"
            for row in self.connection.execute(query):
                return str(row["value"])
        return "of no version"

    def _find_tables(self, name: str) -> list[str]:
        """The view of that name, or the tables of every run behind it."""
        if name in self.relations:
            return [name]
        return [each for each in self.relations if each.startswith(f"{name}_")]

    def _select(self, relation: Relation, join: Join, *, optional: bool = False) -> Iterator[_Row]:
        """The rows of a view, its columns by our names; or those of a join of tables."""
        if relation.view in self.relations:
            return self._select_view(relation)
        for table in self._find_tables("rocpd_kernel_dispatch"):
            if not set(JOINED) <= set(self._list_columns(table)):
                raise self._refuse(f"{table} without {', '.join(JOINED)}, and no {relation.view}")
        queries = join(self._find_tables)
        if not queries and not optional:
            raise self._refuse(f"neither {relation.view} nor the tables behind it")
        return (dict(row) for query in queries for row in self.connection.execute(query))

    def _list_columns(self, relation: str) -> list[str]:
        rows = self.connection.execute(f"PRAGMA table_info({_quote(relation)})")
        return [str(row["name"]) for row in rows]

    def _select_view(self, relation: Relation) -> Iterator[_Row]:
        there = self._list_columns(relation.view)
        chosen = {
            key: next((name for name in names if name in there), None)
            for key, names in relation.columns.items()
        }
        missing = [relation.columns[key][0] for key in NEEDED if not chosen.get(key, key)]
        if missing:
            raise self._refuse(f"{relation.view} without {', '.join(missing)}")
        parts = [f"{_quote(name)} AS {key}" if name else f"NULL AS {key}"
                 for key, name in chosen.items()]  # fmt: skip
        query = f"SELECT {', '.join(parts)} FROM {_quote(relation.view)}"
        return (dict(row) for row in self.connection.execute(query))

    def _refuse(self, found: str) -> RocmoeError:
        return RocmoeError(
            f"{self.file}: found {found} in schema {self.schema}; wanted rocpd schema 3 or 4: "
            "a newer one is not known, so convert it: rocpd convert -i FILE -f csv"
        )

    def _label(self, pid: object, pids: set[object]) -> str:
        return f"{self.process}#{pid}" if len(pids) > 1 else self.process

    def _read_launch(self, row: _Row, pids: set[object], counted: set[Any]) -> Dispatch:
        text, number = self._text, self._number
        agent = number(row, "agent_index")
        return Dispatch(
            process=self._label(row["pid"], pids),
            kernel=text(row, "kernel"),
            symbol=row.get("symbol"),
            agent=None if agent is None else f"Agent {agent}",
            queue=number(row, "queue"),
            stream=number(row, "stream"),
            dispatch_id=number(row, "dispatch_id"),
            correlation_id=number(row, "correlation_id"),
            start_ns=number(row, "start_ns"),
            end_ns=number(row, "end_ns"),
            grid=self._xyz(row, "grid"),
            workgroup=self._xyz(row, "workgroup"),
            lds_bytes=number(row, "lds_bytes"),
            static_lds_bytes=number(row, "static_lds_bytes"),
            scratch_bytes=number(row, "scratch_bytes"),
            vgprs=number(row, "vgprs"),
            accum_vgprs=number(row, "accum_vgprs"),
            sgprs=number(row, "sgprs"),
            counted=_key(row) in counted,
        )

    def _read_value(self, row: _Row, pids: set[object]) -> CounterValue:
        value = row["value"]
        if not isinstance(value, (int, float)):
            raise RocmoeError(f"{self.file}: value of a counter: found {value!r}; wanted a number")
        return CounterValue(
            process=self._label(row["pid"], pids),
            dispatch_id=self._number(row, "dispatch_id"),
            kernel=self._text(row, "kernel"),
            counter=self._text(row, "counter"),
            value=float(value),
        )

    def _list_agents(self, pids: set[object]) -> Iterator[Agent]:
        for table in self._find_tables(AGENTS.view):
            for row in self._select_view(Relation(table, AGENTS.columns)):
                extra = _parse_extra(row["extra"])
                yield Agent(
                    process=self._label(row["pid"], pids),
                    type=self._text(row, "type"),
                    name=self._text(row, "name"),
                    product=row["product"] or "",
                    node=self._number(row, "node"),
                    index=self._number(row, "index_"),
                    of_type=self._number(row, "of_type"),
                    cu_count=extra["cu_count"],
                    xcc_count=extra["num_xcc"],
                    wave_size=extra["wave_front_size"],
                    max_clock_mhz=extra["max_engine_clk_fcompute"],
                )

    def _text(self, row: _Row, key: str) -> str:
        if not isinstance(row[key], str):
            raise RocmoeError(f"{self.file}: {key}: found {row[key]!r}; wanted some text")
        return str(row[key])

    def _number(self, row: _Row, key: str) -> int | None:
        value = row[key]
        if value is not None and not isinstance(value, int):
            raise RocmoeError(f"{self.file}: {key}: found {value!r}; wanted an integer")
        return value

    def _xyz(self, row: _Row, prefix: str) -> tuple[int, ...] | None:
        found = [self._number(row, f"{prefix}_{axis}") for axis in "xyz"]
        known = tuple(value for value in found if value is not None)
        return known if len(known) == 3 else None


def _key(row: _Row) -> tuple[object, object]:
    return row["pid"], row["dispatch_id"]


def _parse_extra(text: object) -> dict[str, int | None]:
    """What the tool stores of an agent beside its columns, as far as it is there."""
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except json.JSONDecodeError:
        found = {}
    values = found if isinstance(found, dict) else {}
    return {key: value if isinstance(value := values.get(key), int) else None for key in _EXTRA}


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
