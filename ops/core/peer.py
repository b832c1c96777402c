"""Other people's kernels: what a library offers for an op, by which signatures, in which limits.

Nothing here imports a library before it is asked whether that works.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.peer_import import explain_mismatch
from rocmoe.ops.core.spec import OpSpec
from rocmoe.ops.core.variants import note

#: Takes an op's inputs by their canonical names, and its outputs too where the peer writes into
#: them; gives the call, without arguments.  What is made ahead of the call is not timed.  Its
#: source stands alone: it imports the library and torch, and nothing else.
Binder = Callable[..., Callable[[], Any]]

#: contract: what the call cannot say.  checked: the library raises by itself.  unchecked: the
#: library answers wrongly without a word, which `--no-guard` lets happen.
Kind = Literal["contract", "checked", "unchecked"]


@dataclass(frozen=True)
class Limit:
    """Cases that a function is not for.

    excludes: whether a case is one, on an architecture (`gfx942`, `sm90`, empty where it is not
    known).  reason: what the function does or wants instead.  source: file and commit.
    """

    excludes: Callable[[Case, str], bool]
    reason: str
    source: str
    kind: Kind = "unchecked"


@dataclass(frozen=True)
class Form:
    """A signature that a function has had, and how it is called by it.

    path: `module:function`.  takes: its parameters up to the last that is passed by position.
    options: further ones, passed by name.  limits: of this signature alone.  torch_op: that a
    wrapper calls, as `_moe_C.topk_softmax`, which a build may lack.
    """

    path: str
    takes: tuple[str, ...]
    bind: Binder
    options: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    torch_op: str = ""


@dataclass(frozen=True)
class PeerVariant:
    """One function of a library that serves an op; forms: the newest first.

    restate: the op as this function means it, where its contract is another.
    """

    op: str
    name: str
    forms: tuple[Form, ...]
    limits: tuple[Limit, ...] = ()
    restate: Callable[[OpSpec], OpSpec] | None = None

    def find_form(self) -> Form | str:
        """The first form that the installed library has, or why it has none.  Imports it."""
        reasons = []
        for form in self.forms:
            reason = explain_mismatch(form.path, form.takes, form.options, form.torch_op)
            if reason is None:
                return form
            reasons.append(reason)
        return "; ".join(dict.fromkeys(reasons))

    def find_limit(self, form: Form, case: Case, arch: str, *, guarded: bool) -> Limit | None:
        """The first limit that a case is beyond; one that is not checked only if guarded."""
        for limit in (*self.limits, *form.limits):
            if (guarded or limit.kind != "unchecked") and limit.excludes(case, arch):
                return limit
        return None


@functools.cache
def find_form(variant: PeerVariant) -> Form | str:
    """`PeerVariant.find_form`, once a process."""
    return variant.find_form()


@dataclass(frozen=True)
class Choice:
    """What runs a case: a variant by one of its forms."""

    variant: PeerVariant
    form: Form


@dataclass(frozen=True, kw_only=True)
class PeerImplementation(Implementation):
    """Functions of a library that serve one op, the first that takes a case running it.

    variants: in order of preference.  guarded: whether cases beyond a limit that the library does
    not check are refused.  arch: None for that of the current GPU.  choice: what runs, once there
    is a case.
    """

    variants: tuple[PeerVariant, ...]
    guarded: bool = True
    arch: str | None = None
    choice: Choice | None = None

    @property
    def binder(self) -> Binder:
        """What binds the arguments of a call; of the preferred form where there is no case yet."""
        return (self.choice.form if self.choice else self.variants[0].forms[0]).bind

    def find_absence(self) -> str | None:
        found = [find_form(variant) for variant in self.variants]
        if any(isinstance(form, Form) for form in found):
            return None
        return "; ".join(dict.fromkeys(str(reason) for reason in found))

    def find_refusal(self, case: Case, device: Device) -> str | None:
        if device.kind not in self.devices:
            return super().find_refusal(case, device)
        chosen = self.choose(case, self._find_arch(device.torch_name))
        return chosen if isinstance(chosen, str) else None

    def find_overstepped(self, case: Case) -> str | None:
        if self.guarded:
            return None
        guarded = replace(self, guarded=True)
        chosen = guarded.choose(case, self._find_arch())
        return chosen if isinstance(chosen, str) else None

    def without_guard(self) -> Implementation:
        return replace(self, guarded=False)

    def for_case(self, case: Case) -> Implementation:
        chosen = self.choose(case, self._find_arch())
        if isinstance(chosen, str):
            return self
        return replace(self, choice=chosen, function=call_by(chosen.form.bind))

    def bind(self, arguments: Mapping[str, Any], outputs: Mapping[str, Any]) -> Callable[[], Any]:
        if self.choice is not None:
            note(f"{self.backend}.{self.choice.variant.name}")
        call = self.binder(**arguments, **outputs)

        def run() -> Any:
            returned = call()
            return tuple(outputs.values()) if outputs else returned

        return run

    def restate(self, spec: OpSpec, case: Case) -> OpSpec:
        chosen = self.choose(case, self._find_arch())
        restated = None if isinstance(chosen, str) else chosen.variant.restate
        return restated(spec) if restated else spec

    def choose(self, case: Case, arch: str) -> Choice | str:
        """The variant that runs a case, or why none does; an unguarded one is the last resort."""
        present = [(v, form) for v in self.variants if isinstance(form := find_form(v), Form)]
        if not present:
            return self.find_absence() or "none of its functions is there"
        return choose_among(present, case, arch, guarded=self.guarded)

    def _find_arch(self, device: str = "cuda") -> str:
        import torch

        if self.arch is not None:
            return self.arch
        if not torch.cuda.is_available():
            return ""
        return find_arch(torch.empty(0, device=device))


def choose_among(
    forms: Iterable[tuple[PeerVariant, Form]], case: Case, arch: str, *, guarded: bool
) -> Choice | str:
    """The first of some variants that takes a case, or the limits that it is beyond."""
    forms = list(forms)
    reasons: list[str] = []
    for strictly in (True,) if guarded else (True, False):
        reasons = []
        for variant, form in forms:
            limit = variant.find_limit(form, case, arch, guarded=strictly)
            if limit is None:
                return Choice(variant, form)
            named = f"{variant.name}: " if len(forms) > 1 else ""
            reasons.append(f"{named}{limit.reason} ({limit.source})")
    return "; ".join(reasons)


def call_by(bind: Binder) -> Callable[..., Any]:
    """A function that binds its arguments and calls at once, with the binder's signature."""

    @functools.wraps(bind)
    def function(**given: Any) -> Any:
        return bind(**given)()

    return function
