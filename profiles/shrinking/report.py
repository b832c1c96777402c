"""What `rocmoe shrink` prints: from what to what, and what is left."""

from __future__ import annotations

from pathlib import Path

from rocmoe.ops.core.case import Case, format_value
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.outcome import Exit
from rocmoe.profiles.report import tell_failures
from rocmoe.profiles.shrinking.contents import count_distinct
from rocmoe.profiles.shrinking.shrink import Shrunk
from rocmoe.profiles.shrinking.values import read_tensors

COLUMNS = ("what", "from", "to")


def list_reductions(shrunk: Shrunk) -> list[list[str]]:
    """A row of `COLUMNS` for each size, parameter and the rest that changed, and for the distinct
    values of each tensor that the smallest case gives."""
    old, new = shrunk.target.case, shrunk.case
    pairs = {name: (size, new.sizes[name]) for name, size in old.sizes.items()}
    pairs |= {
        name: (getattr(old, name), getattr(new, name)) for name in ("dtype", "pattern", "layout")
    }
    rows = [[name, str(before), str(after)] for name, (before, after) in pairs.items()]
    rows += [
        [name, format_value(value), format_value(new.params[name])]
        for name, value in old.params.items()
    ]
    rows.append(["seed", str(old.seed), str(new.seed)])
    changed = [row for row in rows if row[1] != row[2]]
    return changed + _list_values(shrunk.target.spec, old, new)


def _list_values(spec: OpSpec, old: Case, new: Case) -> list[list[str]]:
    """Both counted where they are used: in the case that was given, and in the one that is left."""
    if new.given == old.given:
        return []
    before, after = read_tensors(spec, old), read_tensors(spec, new)
    return [
        [f"{name}: distinct values", _count(before.get(name)), _count(after[name])]
        for name in new.given
    ]


def _count(values: object) -> str:
    import numpy as np

    return str(count_distinct(values)) if isinstance(values, np.ndarray) else "-"


def tell_shrunk(
    shrunk: Shrunk, artifact: Artifact | None, path: Path | None, seconds: float
) -> list[str]:
    """Lines: the smallest case and its failure, whether time was up, and where it was written."""
    ran = f"{shrunk.ran} case(s) tried in {shrunk.seconds:.0f} s"
    if artifact is None or path is None:
        wanted = shrunk.target.failure.describe()
        return [f"not reproduced: was {wanted}, is {shrunk.seen}; {ran}"]
    lines = [] if shrunk.smaller or shrunk.cut else ["nothing is smaller and fails in the same way"]
    lines += [*tell_failures(artifact), ""]
    if shrunk.cut:
        ran += f"; --seconds {seconds:g} were up: more time may make it smaller"
    return [*lines, ran, f"artifact: {path}; next: rocmoe bundle create {path}"]


def judge_shrunk(shrunk: Shrunk) -> Exit:
    """0 where the failure was seen again, 4 where not."""
    return Exit.PASSED if shrunk.found is not None else Exit.INCONCLUSIVE
