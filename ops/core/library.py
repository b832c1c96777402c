"""A backend made of a library's functions."""

from __future__ import annotations

from dataclasses import dataclass

from rocmoe.ops.core.errors import unknown
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.peer import PeerImplementation, PeerVariant, call_by
from rocmoe.ops.core.peer_import import explain_import, is_installed
from rocmoe.ops.core.spec import OpSpec


@dataclass(frozen=True)
class Library:
    """A backend made of a library's functions: its methods are those of `backend.Backend`.

    module: what is imported to see whether it is there.  hint: where to get it.  devices: that its
    functions run on.  kind: of its implementations.
    """

    name: str
    module: str
    hint: str
    variants: tuple[PeerVariant, ...]
    devices: tuple[str, ...] = ("gpu",)
    kind: type[PeerImplementation] = PeerImplementation

    def is_installed(self) -> bool:
        """Whether there is such a package, working or not; imports nothing."""
        return is_installed(self.module.partition(".")[0])

    def find_absence(self) -> str | None:
        """Why the library cannot be imported; imports it."""
        reason = explain_import(self.module)
        return f"{reason}; {self.hint}" if reason and reason.endswith("installed") else reason

    def serves(self, op: str) -> bool:
        """Whether an adapter of the op is there, installed or not."""
        return any(variant.op == op for variant in self.variants)

    def has(self, op: str, variant: str) -> bool:
        """Whether a function of that name, or any for an empty one, serves an op."""
        return any(variant in ("", each.name) for each in self.list_variants(op))

    def list_variants(self, op: str) -> tuple[PeerVariant, ...]:
        """The functions that serve an op, in order of preference."""
        return tuple(variant for variant in self.variants if variant.op == op)

    def find(self, spec: OpSpec, variant: str) -> Implementation | None:
        """The functions for an op, or the one named, None where there is none; imports nothing.

        Raises `RocmoeError` for a name that serves no op at all.
        """
        if variant and not any(variant == each.name for each in self.variants):
            raise unknown(f"{self.name} function", variant, {each.name for each in self.variants})
        named = self.list_variants(spec.name)
        variants = tuple(each for each in named if variant in ("", each.name))
        if not variants:
            return None
        return self.kind(
            op=spec.name,
            backend=self.name,
            function=call_by(variants[0].forms[0].bind),
            variant=variant or "default",
            devices=self.devices,
            variants=variants,
        )
