"""Binary32 arithmetic, rounding to integers, and taking exponents apart."""

from __future__ import annotations

from rocmoe.ops.gcn.semantics import float_arithmetic as arithmetic
from rocmoe.ops.gcn.semantics.float_tables import operation, shared_operations
from rocmoe.ops.gcn.semantics.operation import table

OPERATIONS = table(
    *shared_operations("f32"),
    operation("v_mul_legacy_f32", "f32 f32", "f32", arithmetic.multiply_legacy),
    operation("v_ldexp_f32", "f32 i32", "f32", arithmetic.ldexp),
    operation("v_frexp_exp_i32_f32", "f32", "i32", arithmetic.frexp_exponent),
)
