"""Binary16 arithmetic, rounding to integers, and taking exponents apart."""

from __future__ import annotations

from rocmoe.ops.gcn.semantics import float_arithmetic as arithmetic
from rocmoe.ops.gcn.semantics.float_tables import operation, shared_operations
from rocmoe.ops.gcn.semantics.operation import table

OPERATIONS = table(
    *shared_operations("f16"),
    operation("v_ldexp_f16", "f16 i16", "f16", arithmetic.ldexp),
    operation("v_frexp_exp_i16_f16", "f16", "i16", arithmetic.frexp_exponent_i16),
)
