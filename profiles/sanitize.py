"""A sanitizer run: every case under every order of waves, with all sanitizers watching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rocmoe.ops.backends.assembly import load_variant
from rocmoe.ops.core.backend import split_selector
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device, parse_device
from rocmoe.ops.core.errors import RocmoeError, nearest
from rocmoe.ops.core.kernel_launch import LoadedKernel
from rocmoe.ops.core.simulator import CHECKS, Watch
from rocmoe.ops.core.spec import OpSpec, list_declared, load_op
from rocmoe.ops.gcn.machine.schedule import ORDERS
from rocmoe.profiles.artifact import Artifact, CaseRecord, Request, Result, record_case
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.request import make_request
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.suites import find_cases, list_cases
from rocmoe.profiles.validation import (
    SIMULATED,
    OnProgress,
    Settings,
    make_header,
    make_path,
    make_result,
    probe,
    run_jobs,
)

#: Stands between a variant and the order of waves in what an artifact calls a variant.
ORDER_MARK = "order="
CODE_SUFFIXES = (".s", ".hsaco", ".co", ".asm")
FORMAT_DOCS = "docs/sanitize.md, 'Launch files'"


@dataclass(frozen=True)
class Subject:
    """What is sanitized: an implementation of an op, or the kernel of a launch file (`bare`)."""

    selector: str
    op: str | None = None
    bare: LoadedKernel | None = None
    arch: str | None = None
    cases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """What is asked for.  suite None: a few small cases; device None: that of the code."""

    device: str | None = None
    suite: str | None = None
    cases: tuple[str, ...] = ()
    orders: tuple[str, ...] = ORDERS
    checks: tuple[str, ...] = CHECKS
    seed: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "orders", tuple(dict.fromkeys(self.orders)))
        for order in self.orders:
            Watch(self.checks, order)


@dataclass(frozen=True)
class OrderedRun:
    """One kernel on one case under one order of waves."""

    record: CaseRecord
    selector: str
    device: str
    checks: tuple[str, ...]
    order: str
    bare: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.record.id, mark_order(self.selector, self.order)

    def make_job(self, strict: bool) -> Job:
        case_id = "" if self.bare else self.record.id
        return Job(case_id, self.selector, self.device, strict, list(self.checks), self.order)

    def make_result(self, reply: Reply) -> Result:
        result = make_result(self.record, self.selector, self.device, reply)
        backend, variant = split_selector(mark_order(result.selector, self.order))
        return msgspec.structs.replace(result, backend=backend, variant=variant)


def mark_order(selector: str, order: str) -> str:
    """The selector that a result of an order goes by: `triton:order=first`."""
    return f"{selector}:{ORDER_MARK}{order}"


def split_order(selector: str) -> tuple[str, str]:
    """(selector, order) of what `mark_order` made."""
    before, _, order = selector.rpartition(f":{ORDER_MARK}")
    return before, order


def find_subject(
    target: str, launch: Path | None, backend: str | None, impl: str | None
) -> Subject:
    """What OP or FILE means.  Raises RocmoeError."""
    if target in list_declared():
        if launch is not None:
            raise RocmoeError(f"--launch {launch} is for a file, found op {target}")
        if backend and impl:
            raise RocmoeError(f"--backend {backend} and --impl {impl}; give one of them")
        return Subject(f"user:{impl}" if impl else backend or "triton", target)
    if backend or impl:
        load_op(target)
    path = Path(target)
    if path.suffix == ".toml":
        if launch is not None:
            raise RocmoeError(f"{target} is a launch file itself, found --launch {launch} too")
        return _load_subject(target)
    if path.suffix not in CODE_SUFFIXES and not path.is_file():
        load_op(target)
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*") if each.suffix in CODE_SUFFIXES]
        raise RocmoeError(f"no file {target}{nearest(path.name, beside)}")
    if launch is None:
        raise RocmoeError(
            f"{target} does not say how it is launched; wanted --launch FILE.toml with grid, block "
            f"and arguments: {FORMAT_DOCS}"
        )
    return _load_subject(f"{launch}:{target}")


def _load_subject(variant: str) -> Subject:
    loaded = load_variant(variant)
    selector = f"assembly:{variant}"
    if loaded.file.op is None:
        return Subject(selector, bare=loaded, arch=loaded.arch)
    return Subject(selector, load_op(loaded.file.op).name, None, loaded.arch, loaded.file.cases)


def choose_device(subject: Subject, asked: str | None) -> Device:
    """The simulator to run in.  Raises RocmoeError for another kind of device, and where the code
    is for another architecture."""
    device = parse_device(asked or (f"sim:{subject.arch}" if subject.arch else SIMULATED))
    if device.kind != "sim":
        raise RocmoeError(f"--device {device} has no sanitizers; wanted sim:ARCH")
    if subject.arch not in (None, device.arch):
        raise RocmoeError(f"{subject.selector} is code for {subject.arch}, found --device {device}")
    return device


def choose_cases(spec: OpSpec, subject: Subject, options: Options) -> list[Case]:
    """Those asked for, of the suite asked for, of the launch file, or a few small ones."""
    if options.cases:
        return find_cases(spec, options.cases, options.seed)
    if options.suite is not None:
        return list_cases(spec, options.suite, options.seed)
    if subject.cases:
        return find_cases(spec, subject.cases, options.seed)
    return list_default_cases(spec, options.seed)


def list_default_cases(spec: OpSpec, seed: int) -> list[Case]:
    """The smoke suite, the smallest case of the quick suite that tells something, and the smallest
    of each layout."""
    quick = [
        case
        for case in list_cases(spec, "quick", seed)
        if not (spec.degenerate(case) or spec.out_of_contract(case))
    ]
    quick.sort(key=lambda case: spec.cost(case).bytes_read + spec.cost(case).bytes_written)
    smallest: dict[str, Case] = {}
    for case in quick:
        smallest.setdefault(case.layout, case)
    return list(dict.fromkeys([*list_cases(spec, "smoke", seed), *smallest.values()]))


def plan_orders(subject: Subject, options: Options, device: Device) -> list[OrderedRun]:
    """Every case under every order, a case's orders one after another."""
    if subject.bare is not None:
        if options.cases or options.suite:
            raise RocmoeError(
                f"{subject.selector} serves no op and has no cases; found --case or --suite"
            )
        records = [record_bare(subject.bare)]
    else:
        spec = load_op(subject.op or "")
        records = [record_case(spec, case) for case in choose_cases(spec, subject, options)]
    bare = subject.bare is not None
    return [
        OrderedRun(record, subject.selector, str(device), options.checks, order, bare)
        for record in records
        for order in options.orders
    ]


def record_bare(loaded: LoadedKernel) -> CaseRecord:
    """What stands for the case of a kernel that serves no op; its id is the kernel's name."""
    return CaseRecord(
        id=loaded.kernel.name,
        op="-",
        sizes={},
        dtype="-",
        params={},
        pattern="declared",
        layout="contiguous",
        seed=0,
    )


def run_sanitizers(
    subject: Subject, options: Options, settings: Settings, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Run a subject and write its artifact.

    Raises `RocmoeError` for what is wrong before anything ran, `KeyboardInterrupt` after writing
    what is done, and `OSError` where the disk fails.
    """
    device = choose_device(subject, options.device)
    request = _make_request(subject, options, device)
    plan = plan_orders(subject, options, device)
    environment = probe(request)
    marked = [mark_order(subject.selector, order) for order in options.orders]
    header = make_header(msgspec.structs.replace(request, backends=marked), environment)
    path = settings.out or make_path(request.command)
    with Recorder(path, header) as recorder, settings.make_pool(str(device)) as pool:
        return run_jobs(pool, plan, options.strict, recorder, on_progress), path


def _make_request(subject: Subject, options: Options, device: Device) -> Request:
    ops: Sequence[str] = [subject.op] if subject.op else []
    request = make_request(
        ops,
        [subject.selector],
        [],
        command="sanitize",
        device=str(device),
        suite=options.suite or "smoke",
        cases=options.cases,
        seed=options.seed,
        strict=options.strict,
    )
    return msgspec.structs.replace(request, ops=list(ops))
