"""Who serves which cases of an op, by what each backend declares; nothing is imported or run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rocmoe.ops.core.backend import (
    ON_REQUEST,
    find_library,
    list_backends,
    list_disabled,
    load_backend,
)
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.peer import Choice, Form, PeerVariant, choose_among
from rocmoe.ops.core.spec import OpSpec

#: Architectures that a limit tells apart; others are taken by the first letters of these.
KNOWN = ("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201", "sm80", "sm90", "sm100", "sm120")
PREFIXES = ("gfx", "sm")


@dataclass(frozen=True)
class Service:
    """One function on the cases of an op.

    serves: cases that it takes.  runs: those for which its backend takes it unless another is
    named.  refuses: how many cases meet each limit first.
    """

    backend: str
    variant: str
    serves: tuple[Case, ...]
    runs: tuple[Case, ...]
    refuses: Counter[str]


def check_arch(arch: str) -> str:
    """The architecture itself; `RocmoeError` for a word that is none, with the nearest."""
    if arch and not arch.startswith(PREFIXES):
        raise unknown("architecture", arch, KNOWN)
    return arch


def list_services(spec: OpSpec, cases: Sequence[Case], arch: str) -> list[Service]:
    """Every function that is declared for an op, in each backend's order of preference.

    arch: empty where limits of architectures do not count.
    """
    off = {*ON_REQUEST, *list_disabled()}
    services = []
    for name in list_backends():
        if name in off or not load_backend(name).serves(spec.name):
            continue
        library = find_library(name)
        if library is None:
            services.append(Service(name, "default", tuple(cases), tuple(cases), Counter()))
        else:
            services += _list_variants(name, library.list_variants(spec.name), cases, arch)
    return services


def _list_variants(
    backend: str, variants: Iterable[PeerVariant], cases: Sequence[Case], arch: str
) -> list[Service]:
    newest = [(variant, variant.forms[0]) for variant in variants]
    chosen = {case: choose_among(newest, case, arch, guarded=True) for case in cases}
    return [_describe(backend, variant, form, cases, arch, chosen) for variant, form in newest]


def _describe(
    backend: str,
    variant: PeerVariant,
    form: Form,
    cases: Sequence[Case],
    arch: str,
    chosen: dict[Case, Choice | str],
) -> Service:
    limits = {case: variant.find_limit(form, case, arch, guarded=True) for case in cases}
    refuses = Counter(
        f"{limit.reason} [{limit.kind}]" for limit in limits.values() if limit is not None
    )
    runs = [
        case
        for case, choice in chosen.items()
        if isinstance(choice, Choice) and choice.variant is variant
    ]
    serves = tuple(case for case, limit in limits.items() if limit is None)
    return Service(backend, variant.name, serves, tuple(runs), refuses)


def name_runners(services: Sequence[Service], case: Case) -> list[str]:
    """What would run a case: a selector of each backend that takes it."""
    return [
        service.backend if service.variant == "default" else f"{service.backend}:{service.variant}"
        for service in services
        if case in service.runs
    ]


def check_one_op(ops: Sequence[str], arch: str) -> None:
    """Raise `RocmoeError` for an architecture without an op whose cases it could matter to."""
    if arch and not ops:
        raise RocmoeError(f"--arch {arch} is of an op's cases; name one: --op OP")
