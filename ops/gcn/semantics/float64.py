"""Binary64 arithmetic, rounding to integers, and taking exponents apart."""

from __future__ import annotations

from rocmoe.ops.gcn.semantics import float_arithmetic as arithmetic
from rocmoe.ops.gcn.semantics.float_tables import operation, shared_operations
from rocmoe.ops.gcn.semantics.operation import table

OPERATIONS = table(
    *shared_operations("f64"),
    operation("v_ldexp_f64", "f64 i32", "f64", arithmetic.ldexp),
    operation("v_frexp_exp_i32_f64", "f64", "i32", arithmetic.frexp_exponent),
)
