"""The serving benchmark of sglang: the block of results that it prints, and its JSON lines.

Labels are those that `python -m sglang.bench_serving` prints, keys those of the lines that it
writes to --output-file (sgl-project/sglang, python/sglang/bench_serving.py); vLLM's benchmark
prints the same block with fewer lines.  One run has no interval, so differences stand alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.documents import decode_documents
from rocmoe.profiles.tables.table import Table

#: Labels by the keys of JSON lines.  Latencies follow a rule: `_LATENCY`.
LABELS: Mapping[str, str] = {
    "backend": "Backend",
    "request_rate": "Traffic request rate",
    "max_concurrency": "Max request concurrency",
    "completed": "Successful requests",
    "duration": "Benchmark duration (s)",
    "total_input_tokens": "Total input tokens",
    "total_input_text_tokens": "Total input text tokens",
    "total_output_tokens": "Total generated tokens",
    "total_output_tokens_retokenized": "Total generated tokens (retokenized)",
    "request_throughput": "Request throughput (req/s)",
    "input_throughput": "Input token throughput (tok/s)",
    "output_throughput": "Output token throughput (tok/s)",
    "max_output_tokens_per_s": "Peak output token throughput (tok/s)",
    "max_concurrent_requests": "Peak concurrent requests",
    "total_throughput": "Total token throughput (tok/s)",
    "concurrency": "Concurrency",
    "accept_length": "Accept length",
}
_LATENCY = re.compile(r"(mean|median|std|max|p\d+)_(e2e_latency|ttft|tpot|itl)_ms")
_KINDS = {"e2e_latency": "E2E Latency", "ttft": "TTFT", "tpot": "TPOT", "itl": "ITL"}
_START = re.compile(r"=+ *Serving Benchmark Result *=+")
_LINE = re.compile(r"([A-Za-z][^:]*):\s+(\S.*?)\s*")
_RULE = re.compile(r"([=-])\1{5,}|-{4,}[^-].*-{4,}")
#: What two runs have to share to be held against each other.
SETTINGS = ("Traffic request rate", "Max request concurrency")
#: What is told of a change, where all of it is not.
COLUMNS = ("metric", "before", "after", "change", "")


@dataclass(frozen=True)
class ServingRun:
    """One run of the benchmark: values by label, in the order told; numbers where they are."""

    values: Mapping[str, float | str]

    @property
    def setting(self) -> tuple[str, ...]:
        """What it was run with: rate and concurrency, as text."""
        return tuple(_tell(self.values.get(name)) for name in SETTINGS)


def read_serving(path: Path) -> list[ServingRun]:
    """The runs in a file: printed blocks, among whatever else, or JSON lines.

    Raises `RocmoeError` for a file that cannot be read or has no run in it.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RocmoeError(f"{path} cannot be read: {error.strerror}") from None
    runs = parse_blocks(text) or parse_json_lines(text)
    if not runs:
        raise RocmoeError(
            f"{path} has no serving benchmark: wanted the block that begins with '== Serving "
            "Benchmark Result ==', or the JSON lines of sglang.bench_serving --output-file"
        )
    return runs


def parse_blocks(text: str) -> list[ServingRun]:
    """The printed blocks of a text; a block ends at the first line that is none of its."""
    runs: list[ServingRun] = []
    values: dict[str, float | str] | None = None
    for line in (line.strip() for line in text.splitlines()):
        if _START.fullmatch(line):
            values = {}
        elif values is not None and (found := _LINE.fullmatch(line)):
            values[found[1].strip()] = _parse(found[2])
        elif values is not None and _ends(line):
            _close(values, runs)
            values = None
    if values is not None:
        _close(values, runs)
    return runs


def _ends(line: str) -> bool:
    """Whether a line ends a block: its last rule, or what is not of it."""
    return set(line) == {"="} or bool(line and not _RULE.fullmatch(line))


def _close(values: Mapping[str, float | str], runs: list[ServingRun]) -> None:
    if values:
        runs.append(ServingRun(values))


def parse_json_lines(text: str) -> list[ServingRun]:
    """The runs of JSON documents that have a throughput; other keys than the known are details."""
    return [
        ServingRun(dict(_list_values(document)))
        for document in decode_documents(text)
        if isinstance(document, dict) and "request_throughput" in document
    ]


def _list_values(document: Mapping[str, Any]) -> Iterator[tuple[str, float | str]]:
    for key, value in document.items():
        label = _name(key)
        if label is None or value is None or isinstance(value, (list, dict, bool)):
            continue
        yield label, _parse(str(value))


def _name(key: str) -> str | None:
    if found := _LATENCY.fullmatch(key):
        return f"{found[1].capitalize()} {_KINDS[found[2]]} (ms)"
    return LABELS.get(key)


def _parse(text: str) -> float | str:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return text
    return number if math.isfinite(number) else text.strip()


def tabulate_serving(before: Sequence[ServingRun], after: Sequence[ServingRun]) -> list[Table]:
    """A table a setting that both have, and one of what only one has.

    Several runs of a setting are pairs in their order.
    """
    tables, rest = [], [*after]
    alone: list[str] = []
    for base in before:
        new = next((each for each in rest if each.setting == base.setting), None)
        if new is None:
            alone.append(f"only before: {_tell_setting(base)}")
            continue
        rest.remove(new)
        tables.append(_make_table(base, new))
    alone += [f"only after: {_tell_setting(each)}" for each in rest]
    if alone:
        tables.append(Table("Not in both", ("run",), [[line] for line in alone]))
    return tables


def _make_table(before: ServingRun, after: ServingRun) -> Table:
    names = [name for name in {**before.values, **after.values} if name not in SETTINGS]
    rows = [_make_row(name, before.values.get(name), after.values.get(name)) for name in names]
    note = "one run each, so that nothing says how much of a change is noise"
    return Table(_tell_setting(before), COLUMNS, rows, notes=(note,))


def _make_row(name: str, before: float | str | None, after: float | str | None) -> list[str]:
    cells = [name, _tell(before), _tell(after)]
    if not isinstance(before, float) or not isinstance(after, float) or not before:
        return [*cells, "-", ""]
    share = after / before - 1.0
    return [*cells, f"{share:+.1%}", _judge(name, share)]


def _judge(name: str, share: float) -> str:
    """Of what has a better side: throughputs and accepted drafts grow, latencies and times fall."""
    grows = "throughput" in name or name == "Accept length"
    falls = name.endswith("(ms)") or name.startswith("Benchmark duration")
    if not (grows or falls) or not share:
        return ""
    return "better" if (share > 0.0) == grows else "worse"


def _tell_setting(run: ServingRun) -> str:
    rate, concurrency = run.setting
    return f"request rate {rate}, concurrency {concurrency}"


def _tell(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"
