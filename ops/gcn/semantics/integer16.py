"""16-bit vector arithmetic; the machine places a result in its half of the register."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import declare, declare_saturating
from rocmoe.ops.gcn.semantics.integer import Row, maximum3, median, minimum3
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.words import shift_left, shift_right

RING: tuple[Row, ...] = (
    ("v_add_u16", "u16 u16", "u16", lambda a, b: a + b, "VOP2"),
    ("v_sub_u16", "u16 u16", "u16", lambda a, b: a - b, "VOP2"),
    ("v_subrev_u16", "u16 u16", "u16", lambda a, b: b - a, "VOP2"),
    ("v_add_i16", "i16 i16", "i16", lambda a, b: a + b, "VOP3"),
    ("v_sub_i16", "i16 i16", "i16", lambda a, b: a - b, "VOP3"),
    ("v_mad_u16", "u16 u16 u16", "u16", lambda a, b, c: a * b + c, "VOP3"),
    ("v_mad_i16", "i16 i16 i16", "i16", lambda a, b, c: a * b + c, "VOP3"),
    ("v_mad_legacy_u16", "u16 u16 u16", "u16", lambda a, b, c: a * b + c, "VOP3"),
    ("v_mad_legacy_i16", "i16 i16 i16", "i16", lambda a, b, c: a * b + c, "VOP3"),
)

OTHERS: tuple[Row, ...] = (
    ("v_mul_lo_u16", "u16 u16", "u16", lambda a, b: a * b, "VOP2"),
    ("v_lshlrev_b16", "u16 u16", "u16", lambda n, a: shift_left(a, n), "VOP2"),
    ("v_lshrrev_b16", "u16 u16", "u16", lambda n, a: shift_right(a, n), "VOP2"),
    ("v_ashrrev_i16", "u16 i16", "i16", lambda n, a: shift_right(a, n), "VOP2"),
)


def _declare_orders() -> Iterator[Operation]:
    for kind in ("u16", "i16"):
        two, three = f"{kind} {kind}", f"{kind} {kind} {kind}"
        yield declare(f"v_min_{kind}", two, kind, np.minimum, "VOP2")
        yield declare(f"v_max_{kind}", two, kind, np.maximum, "VOP2")
        yield declare(f"v_min3_{kind}", three, kind, minimum3, "VOP3")
        yield declare(f"v_max3_{kind}", three, kind, maximum3, "VOP3")
        yield declare(f"v_med3_{kind}", three, kind, median, "VOP3")


OPERATIONS = table(*(declare(*row) for row in (*RING, *OTHERS)), *_declare_orders())

SATURATING = table(*(declare_saturating(*row) for row in RING))
