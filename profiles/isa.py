"""The code of kernels, audited: what `rocmoe isa` finds, as records and as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.compilation import WAVE_SIZES
from rocmoe.ops.core.errors import RocmoeError, describe_error, unknown
from rocmoe.ops.core.spec import OpSpec, load_op
from rocmoe.ops.gcn.audit import annotate
from rocmoe.ops.gcn.static_counts import WIDTHS
from rocmoe.profiles.artifact import write_atomically
from rocmoe.profiles.budget import Budget, check_isa
from rocmoe.profiles.isa_record import IsaRecord
from rocmoe.profiles.isa_sources import (
    Audited,
    Settings,
    audit_file,
    audit_launches,
    choose_case,
    find_implementation,
    is_file,
    record_launches,
)
from rocmoe.profiles.outcome import Exit

COLUMNS = (
    *("kernel", "arch", "VGPR", "AGPR", "SGPR", "spills", "scratch", "LDS", "code"),
    *("waves", "limit", "instr.", "DPP", "LDS ops", "MFMA"),
    *("loads", "stores", "atomics", "barriers"),
)
LEGEND = "scratch, LDS, code: bytes; waves: a SIMD; DPP to barriers: instructions in the code"


class IsaReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An audit: of a case of an op, or of a file.

    failures: architectures that the case could not be compiled for, and why. exceeded: what is
    beyond the budget. notes: what the numbers leave out.
    """

    op: str | None
    case: str | None
    file: str | None
    kernels: list[IsaRecord]
    failures: list[str] = []
    exceeded: list[str] = []
    notes: list[str] = []


def run_audit(settings: Settings) -> tuple[IsaReport, list[Audited]]:
    """Audit an op's Triton kernels, or the kernels in a file.

    Raises RocmoeError for what cannot be asked for; an architecture for which the kernels of an op
    do not compile is a failure in the report.
    """
    for arch in settings.archs:
        if arch not in WAVE_SIZES:
            raise unknown("architecture", arch, WAVE_SIZES)
    if not is_file(settings.target):
        return _audit_op(load_op(settings.target), settings)
    audited = audit_file(settings)
    return _report(audited, file=settings.target), audited


def _audit_op(spec: OpSpec, settings: Settings) -> tuple[IsaReport, list[Audited]]:
    case = choose_case(spec, settings)
    implementation = find_implementation(spec, case)
    audited: list[Audited] = []
    failures = []
    for arch in settings.archs or tuple(WAVE_SIZES):
        try:
            audited += audit_launches(record_launches(spec, case, implementation, arch))
        except RocmoeError:
            raise
        except Exception as error:  # whatever Triton and LLVM raise for code that they refuse
            failures.append(f"{case.id} does not compile for {arch}: {describe_error(error)}")
    order = list(dict.fromkeys(each.code.name for each in audited))
    audited.sort(key=lambda each: order.index(each.code.name))
    return _report(audited, spec, case, failures=failures), audited


def judge_audit(report: IsaReport) -> Exit:
    """1 where something does not compile, 3 beyond the budget, 4 where no kernel was launched."""
    if report.failures:
        return Exit.FAILED
    if report.exceeded:
        return Exit.REGRESSED
    return Exit.PASSED if report.kernels else Exit.INCONCLUSIVE


def apply_budget(report: IsaReport, budget: Budget) -> IsaReport:
    """The report with what is beyond a budget. Raises RocmoeError for a key that fits nothing."""
    kernels = [(_key(report, record), _list_values(record)) for record in report.kernels]
    return msgspec.structs.replace(report, exceeded=check_isa(budget, kernels))


def _key(report: IsaReport, record: IsaRecord) -> dict[str, str]:
    return {
        "op": report.op or "",
        "case": report.case or "",
        "kernel": record.kernel,
        "arch": record.arch,
        "triton": record.triton or "",
    }


def _list_values(record: IsaRecord) -> Mapping[str, float | None]:
    return {**msgspec.structs.asdict(record), "spills": record.spills, **record.counts}


def _report(
    audited: Sequence[Audited],
    spec: OpSpec | None = None,
    case: Case | None = None,
    *,
    file: str | None = None,
    failures: Sequence[str] = (),
) -> IsaReport:
    calling = dict.fromkeys(each.code.name for each in audited if each.facts.calls_functions)
    return IsaReport(
        op=spec.name if spec else None,
        case=case.id if case else None,
        file=file,
        kernels=[_record(each) for each in audited],
        failures=list(failures),
        notes=[f"{name} calls functions, whose instructions are not counted" for name in calling],
    )


def _record(audited: Audited) -> IsaRecord:
    facts = audited.facts
    shared = {name: getattr(facts, name) for name in IsaRecord.__struct_fields__[3:13]}
    return IsaRecord(
        kernel=facts.name,
        arch=facts.arch,
        triton=audited.compiled.triton_version if audited.compiled else None,
        **shared,
        occupancy=facts.occupancy.waves,
        workgroups=facts.occupancy.workgroups,
        limited_by=list(facts.occupancy.limited_by),
        counts=dict(facts.counts),
        launches=audited.times,
        grid=list(audited.grid) if audited.grid else None,
    )


def list_rows(report: IsaReport) -> list[list[str]]:
    """A row of `COLUMNS` a kernel and architecture."""
    return [_make_row(record) for record in report.kernels]


def _make_row(record: IsaRecord) -> list[str]:
    counts = record.counts
    lds = sum(counts[f"instructions_lds_{kind}"] for kind in ("load", "store", "atomic"))
    numbers = (
        *(record.vgpr, record.agpr, record.sgpr, record.spills, record.scratch_bytes),
        *(record.lds_bytes, record.code_bytes, record.occupancy),
    )
    return [
        record.kernel,
        record.arch,
        *("-" if number is None else str(number) for number in numbers),
        ", ".join(record.limited_by),
        *(str(number) for number in (counts["instructions"], counts["dpp"], lds)),
        str(counts["instructions_mfma"]),
        _list_widths(counts, "loads"),
        _list_widths(counts, "stores"),
        str(counts["instructions_vmem_atomic"]),
        str(counts["instructions_barrier"]),
    ]


def tell_report(report: IsaReport) -> list[str]:
    """What was audited, how to read the table, and what it leaves out: lines below it."""
    versions = sorted({record.triton for record in report.kernels if record.triton})
    compiled = f"compiled by Triton {', '.join(versions)}; " if versions else ""
    about = report.case or report.file
    empty = [] if report.kernels or report.failures else ["no kernel was launched"]
    return [f"{compiled}{about}", LEGEND, *report.notes, *empty]


def _list_widths(counts: Mapping[str, int], kind: str) -> str:
    found = [(counts[f"{kind}_{width}"], width) for width in WIDTHS]
    return " ".join(f"{number}x{width}" for number, width in found if number) or "0"


def write_listings(audited: Sequence[Audited], folder: Path, prefix: str) -> list[Path]:
    """Write each kernel's annotated instructions to a file; `OSError` where the disk fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RocmoeError(f"--out {folder} is a file; wanted a folder") from None
    paths: list[Path] = []
    for each in audited:
        name = f"{prefix}-{each.code.name}.{each.code.arch}"
        same = sum(path.name.startswith(f"{name}.") for path in paths)
        paths.append(folder / (f"{name}.{same + 1}.s" if same else f"{name}.s"))
        write_atomically(paths[-1], annotate(each.code, each.facts).encode())
    return paths
