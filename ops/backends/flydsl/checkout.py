"""A library whose kernels are the sources of a checkout, and run in the simulator too."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rocmoe.ops.backends.flydsl.simulation import explain_no_simulation, simulating_launchers
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.compilation import is_tensor
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.launch import active_executor
from rocmoe.ops.core.library import Library
from rocmoe.ops.core.peer import PeerImplementation
from rocmoe.ops.core.simulator import Simulator

VARIABLE = "ROCMOE_FLYDSL"


class Checkout(Library):
    """A `Library` that is there where the variable names a folder with the kernels."""

    def is_installed(self) -> bool:
        return VARIABLE in os.environ

    def find_absence(self) -> str | None:
        """Why the checkout or the compiler cannot be used; puts the checkout on sys.path."""
        named = os.environ.get(VARIABLE)
        if not named:
            return f"{VARIABLE} names no checkout of ROCm/FlyDSL"
        if not (Path(named) / "kernels").is_dir():
            return f"{VARIABLE}={named} has no folder kernels; wanted a checkout of ROCm/FlyDSL"
        if named not in sys.path:
            sys.path.insert(0, named)
        return super().find_absence()


@dataclass(frozen=True, kw_only=True)
class CheckoutImplementation(PeerImplementation):
    """Functions that a simulator runs where one is active, and that run by themselves elsewhere."""

    def find_refusal(self, case: Case, device: Device) -> str | None:
        if device.arch is None:
            return super().find_refusal(case, device)
        chosen = self.choose(case, device.arch)
        return chosen if isinstance(chosen, str) else explain_no_simulation()

    def for_case(self, case: Case) -> Implementation:
        # Whatever GPU there is, what is simulated is another.
        return PeerImplementation.for_case(replace(self, arch=self.arch or ""), case)

    def bind(self, arguments: Mapping[str, Any], outputs: Mapping[str, Any]) -> Callable[[], Any]:
        call = super().bind(arguments, outputs)
        given = {**arguments, **outputs}
        names = {tensor.data_ptr(): name for name, tensor in given.items() if is_tensor(tensor)}

        def run() -> Any:
            executor = active_executor()
            if executor is None:
                return call()
            if not isinstance(executor, Simulator):
                raise RocmoeError("FlyDSL's kernels run on a GPU or in the simulator alone")
            with simulating_launchers(executor, names):
                return call()

        return run
