"""Backend `flydsl`: the MoE kernels of a checkout of ROCm/FlyDSL, named by $ROCMOE_FLYDSL.

The wheel has the compiler, not these kernels: they are the checkout's package `kernels`.
"""

from __future__ import annotations

from rocmoe.ops.backends.flydsl import routing
from rocmoe.ops.backends.flydsl.checkout import Checkout, CheckoutImplementation

NAME = "flydsl"
SUMMARY = "FlyDSL's kernels of the checkout in $ROCMOE_FLYDSL: flydsl, or flydsl:FUNCTION"
DEVICES = ("gpu", "sim")

LIBRARY = Checkout(
    NAME,
    "flydsl",
    "pip install flydsl, and name a checkout of ROCm/FlyDSL by ROCMOE_FLYDSL",
    routing.VARIANTS,
    DEVICES,
    CheckoutImplementation,
)
find_absence, serves, find = LIBRARY.find_absence, LIBRARY.serves, LIBRARY.find
