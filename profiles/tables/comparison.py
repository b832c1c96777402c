"""What `rocmoe compare` prints: ratios, who is fastest over the tokens, and which kernels ran."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.profiles.artifact import Artifact, Result
from rocmoe.profiles.bench_report import HEADINGS, describe_shape, format_us
from rocmoe.profiles.comparing.comparison import (
    Comparison,
    Winner,
    count_tokens,
    find_winners,
    list_comparisons,
)
from rocmoe.profiles.measuring.statistics import find_median
from rocmoe.profiles.profiling.kernels import short_name
from rocmoe.profiles.simulation import UNITS
from rocmoe.profiles.tables.table import Table

RATIOS = (
    "op", "shape", "timer", "cache", "base", "base us", "backend", "us", "ratio", "95 % interval",
    "verdict",
)  # fmt: skip
CONTENDERS = ("op", "shape", "tokens", "fastest")
SYMBOLS = ("op", "backend", "kernels that ran")
#: Kernels of one call that a line has room for.
MOST_SYMBOLS = 4


def list_comparison_tables(artifact: Artifact) -> list[Table]:
    """The ratios, who wins over which tokens, and the kernels where they are known."""
    compared = list_comparisons(artifact)
    tables = [
        Table(
            "How long each takes, as a ratio to the base", RATIOS,
            [_describe(artifact, each) for each in compared], (_count(compared),),
        )
    ]  # fmt: skip
    if winners := find_winners(artifact):
        rows = [_describe_winner(artifact, winner) for winner in winners]
        tables.append(Table("Which is fastest", CONTENDERS, rows))
    if rows := _list_symbols(artifact.results):
        tables.append(Table("Which kernels ran, by the device's profiler", SYMBOLS, rows))
    return tables


def _describe(artifact: Artifact, compared: Comparison) -> list[str]:
    ratio = compared.ratio
    return [
        compared.result.case.op,
        describe_shape(artifact, compared.result.case),
        HEADINGS[compared.timer].removesuffix(" us"),
        compared.cache,
        compared.base.selector,
        _find_time(compared.base, compared),
        compared.result.selector,
        _find_time(compared.result, compared),
        f"{ratio.value:.3f}",
        f"{ratio.low:.3f} to {ratio.high:.3f}",
        compared.verdict,
    ]


def _find_time(result: Result, compared: Comparison) -> str:
    for each in result.measurements or ():
        if (each.timer, each.cache, each.stage) == (compared.timer, compared.cache, ""):
            return format_us(find_median(each.samples_us))
    return "-"


def _count(compared: Sequence[Comparison]) -> str:
    words = [each.verdict for each in compared]
    told = [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]
    return ", ".join(told) or "nothing was compared: fewer than two passed on any case"


def _describe_winner(artifact: Artifact, winner: Winner) -> list[str]:
    first, last = winner.cases[0], winner.cases[-1]
    axis = next(name for name in UNITS if name in first.sizes)
    shape = describe_shape(artifact, first).split()
    others = " ".join(word for word in shape if not word.startswith(f"{axis}="))
    start, end = count_tokens(first), count_tokens(last)
    span = f"{axis}={start}" if start == end else f"{axis}={start} to {end}"
    return [first.op, others, span, " = ".join(winner.selectors)]


def _list_symbols(results: Sequence[Result]) -> list[list[str]]:
    found = {
        (result.case.op, result.selector, _name_kernels(result.kernels))
        for result in results
        if result.kernels
    }
    return [list(each) for each in sorted(found)]


def _name_kernels(symbols: Sequence[str]) -> str:
    """The first few, without their arguments; the artifact has all as the profiler told them."""
    names = list(dict.fromkeys(map(_shorten, symbols)))
    more = len(names) - MOST_SYMBOLS
    return "; ".join(names[:MOST_SYMBOLS]) + (f"; and {more} more" if more > 0 else "")


def _shorten(symbol: str) -> str:
    copied = symbol.startswith(("Memcpy", "Memset", "Copy", "Fill"))  # no symbol of a program
    return symbol.partition(" (")[0] if copied else short_name(symbol)
