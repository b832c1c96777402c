"""What `rocmoe isa` audits: the kernels that a case of an op launches, or those in a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rocmoe.ops.core.backend import load_backend
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.compilation import CompiledKernel
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError, nearest
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.launch import Recorded, recording
from rocmoe.ops.core.spec import OpSpec, list_declared, list_ops
from rocmoe.ops.core.workbench import Workbench
from rocmoe.ops.gcn.audit import Audit, audit
from rocmoe.ops.gcn.kernel_code import KernelCode, read_kernel_codes, read_text
from rocmoe.profiles.model import load_model
from rocmoe.profiles.suites import find_axis, find_cases, list_cases, make_model_row

BACKEND = "triton"
#: What files that hold code are called.
SUFFIXES = (".s", ".S", ".asm", ".amdgcn", ".hsaco", ".co", ".o", ".so", ".elf")
#: Tokens of a model's case where none are named: a prefill, at which kernels take their wide path.
MODEL_TOKENS = 4096


@dataclass(frozen=True)
class Audited:
    """A kernel's code beside its facts; recorded, times: the launch, and how often it was made."""

    code: KernelCode
    facts: Audit
    compiled: CompiledKernel | None = None
    grid: tuple[int, int, int] | None = None
    times: int | None = None


@dataclass(frozen=True)
class Settings:
    """What to audit. archs: none means every one there is, of a file the one it names.

    block: lanes of a workgroup, lds_bytes: what a launch gives; both of a file alone.
    """

    target: str
    archs: tuple[str, ...] = ()
    model: str | None = None
    case: str | None = None
    tokens: int | None = None
    block: int | None = None
    lds_bytes: int | None = None


def is_file(target: str) -> bool:
    """Whether an argument names a file rather than an op."""
    if target in list_declared():
        return False
    path = Path(target)
    return path.exists() or path.suffix in SUFFIXES or len(path.parts) > 1


def audit_file(settings: Settings) -> list[Audited]:
    """The kernels in a file. Raises RocmoeError for a file or an option that does not serve."""
    for option in ("model", "case", "tokens"):
        if getattr(settings, option) is not None:
            raise RocmoeError(f"--{option} is for an op; {settings.target} is a file")
    assumed = settings.archs[0] if len(settings.archs) == 1 else None
    codes = read_kernel_codes(_read(Path(settings.target)), settings.target, assumed)
    if settings.archs and codes[0].arch not in settings.archs:
        wanted = ", ".join(settings.archs)
        raise RocmoeError(f"{settings.target} is for {codes[0].arch}, wanted {wanted}")
    lds_bytes = settings.lds_bytes or 0
    return [Audited(code, audit(code, settings.block, lds_bytes)) for code in codes]


def _read(path: Path) -> bytes:
    if not path.exists():
        beside = [entry.name for entry in path.parent.glob("*")] if path.parent.is_dir() else []
        raise RocmoeError(f"no file {path}{nearest(path.name, beside)}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise RocmoeError(f"{path} cannot be read: {error.strerror}") from None


def choose_case(spec: OpSpec, settings: Settings) -> Case:
    """The case that is named, a model's, or the largest ordinary one of the default suite."""
    for option, value in (("--block", settings.block), ("--lds", settings.lds_bytes)):
        if value is not None:
            raise RocmoeError(f"{option} is for a file; a launch of {spec.name} says it itself")
    if settings.case is not None:
        if settings.model is not None or settings.tokens is not None:
            raise RocmoeError(
                "--case says its sizes; wanted neither --model nor --tokens beside it"
            )
        return find_cases(spec, [settings.case], 0)[0]
    if settings.model is not None:
        return _make_model_case(spec, settings.model, settings.tokens or MODEL_TOKENS)
    ordinary = [case for case in list_cases(spec, "quick") if _is_ordinary(spec, case)]
    case = max(ordinary, key=lambda each: spec.cost(each).bytes_read)
    if settings.tokens is None:
        return case
    sizes = {**case.sizes, find_axis(spec): settings.tokens}
    return spec.check_case(replace(case, sizes=sizes))


def _is_ordinary(spec: OpSpec, case: Case) -> bool:
    """Whether its kernels are those that a model would launch."""
    odd = spec.degenerate(case) or spec.out_of_contract(case)
    return not odd and case.layout == spec.layouts[0]


def _make_model_case(spec: OpSpec, model: str, tokens: int) -> Case:
    row = make_model_row(spec, load_model(model), tokens)
    if row is None:
        raise RocmoeError(f"model {model} has no use for {spec.name}; see `rocmoe list models`")
    return spec.make_case(row)


def find_implementation(spec: OpSpec, case: Case) -> Implementation:
    """The op's Triton kernels. Raises RocmoeError where there are none or they refuse the case."""
    backend = load_backend(BACKEND)
    if absence := backend.find_absence():
        raise RocmoeError(f"rocmoe isa compiles with Triton: {absence}")
    found = backend.find(spec, "")
    if found is None:
        having = [op for op in list_ops() if backend.serves(op)]
        raise RocmoeError(f"{spec.name} has no Triton kernel; those that do: {', '.join(having)}")
    if refusal := found.refuses(case):
        raise RocmoeError(f"case {case.id} is refused: {refusal}")
    return found


def record_launches(
    spec: OpSpec, case: Case, implementation: Implementation, arch: str
) -> list[Recorded]:
    """What a call on a case launches, compiled for an architecture; the tensors lie as they would
    when validated, so that alignment and strides specialise the code alike."""
    bench = Workbench(spec, case, implementation, Device("cpu"))
    inputs = draw_inputs(spec, case)
    with recording(arch) as launches:
        bench.call(inputs, poison=0)
    return launches


def audit_launches(launches: Iterable[Recorded]) -> list[Audited]:
    """One for each piece of code, in the order of the first launches."""
    groups: dict[tuple[str, str], list[Recorded]] = {}
    for launch in launches:
        groups.setdefault((launch.compiled.name, launch.compiled.assembly), []).append(launch)
    return [_audit_compiled(group[0], len(group)) for group in groups.values()]


def _audit_compiled(launch: Recorded, times: int) -> Audited:
    compiled = launch.compiled
    codes = read_text(compiled.assembly, f"{compiled.name}.{compiled.arch}.s", compiled.arch)
    code = next(each for each in codes if each.name == compiled.name)
    facts = audit(code, compiled.block[0], compiled.lds_bytes)
    return Audited(code, facts, compiled, launch.grid, times)
