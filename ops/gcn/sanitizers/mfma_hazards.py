"""Wait states around matrix instructions, by their passes.

The ISA documents' tables (CDNA3, 7.5, Table 37; CDNA4, 7.6, Table 38) name XDL instructions, which
run in the matrix core's own pipeline, SGEMM (f32) and DGEMM (f64).  LLVM's GCNHazardRecognizer.cpp
(checkMAIHazards90A, checkMAIVALUHazards) has the same numbers, and those of gfx90a.
"""

from __future__ import annotations

from collections.abc import Callable

from rocmoe.ops.gcn.sanitizers.hazard_rule import (
    DOUBLE_UNIT,
    Rule,
    exactly,
    memory_reads,
    named,
    plain_reads,
    plain_results,
    when,
)
from rocmoe.ops.gcn.sanitizers.hazard_traits import Matrix, Traits

#: The most that any rule owes: a 16-pass XDL write on gfx950 that A or B of another reads.
LONGEST = 20


def owed_to_vector(matrix: Matrix, architecture: str) -> int:
    """Until the VALU may read a result."""
    if matrix.is_double:
        return 6 if matrix.rows == 4 else _of_double(11, 19, architecture)
    return _until_written(matrix, architecture)


def owed_to_vector_write(matrix: Matrix, architecture: str) -> int:
    """Until the VALU may overwrite a result, lest it be overwritten in turn.

    For 16x16 f64 on gfx950 the document asks for 19, and LLVM gives 11.
    """
    if matrix.is_double:
        return 6 if matrix.rows == 4 else 11
    return _until_written(matrix, architecture)


def owed_to_memory(matrix: Matrix, architecture: str) -> int:
    """Until a memory or LDS instruction may read a result, as address or as data."""
    if matrix.is_double:
        return 9 if matrix.rows == 4 else 18
    return _until_written(matrix, architecture)


def owed_to_factor(matrix: Matrix, architecture: str) -> int:
    """Until another matrix instruction may read a result as A or B."""
    return owed_to_vector(matrix, architecture)


def owed_to_overwrite_of_addend(matrix: Matrix) -> int:
    """Until the VALU may overwrite C, which is read as the passes go on."""
    return matrix.passes - 1


def owed_to_addend(writer: Matrix, reader: Matrix, architecture: str) -> int:
    """Until another matrix instruction may read a result as C.

    A C that is exactly the D before it is forwarded; one that merely overlaps it is not.  From
    CDNA3 on the two must have as many passes too, and be of one kind, which LLVM does not look at
    (llvm-project, pull request 218363).
    """
    if architecture == "gfx90a" and writer.is_double and not reader.is_double:
        return 0
    alike = (writer.passes, writer.is_xdl, writer.is_double) == (
        reader.passes,
        reader.is_xdl,
        reader.is_double,
    )
    if writer.d == reader.c and (alike or architecture == "gfx90a"):
        return _owed_to_same_addend(writer, reader, architecture)
    if writer.is_double:
        if reader.is_xdl:
            return 0
        return 4 if writer.rows == 4 else _of_double(9, 17, architecture)
    if architecture == "gfx90a":
        return writer.passes + reader.is_double
    if not writer.is_xdl:
        return 0 if reader.is_xdl else writer.passes
    longer = architecture == "gfx950" and (reader.is_xdl or writer.passes != 2)
    return writer.passes + 1 + longer


def _owed_to_same_addend(writer: Matrix, reader: Matrix, architecture: str) -> int:
    if writer.is_double and reader.is_double and writer.rows == reader.rows == 4:
        return 4
    return 2 if architecture != "gfx90a" and writer.passes == 2 else 0


def _until_written(matrix: Matrix, architecture: str) -> int:
    if not matrix.is_xdl:
        return matrix.passes + 2
    return matrix.passes + 3 + (architecture == "gfx950" and matrix.passes != 2)


def _of_double(owed: int, owed_on_gfx950: int, architecture: str) -> int:
    """The 16x16 f64 instruction takes twice the passes on gfx950."""
    return owed_on_gfx950 if architecture == "gfx950" else owed


def results(traits: Traits) -> frozenset[int]:
    return traits.vector_writes if traits.matrix else frozenset()


def addends(traits: Traits) -> frozenset[int]:
    return traits.matrix.c_dwords if traits.matrix else frozenset()


def factors(traits: Traits) -> frozenset[int]:
    return traits.matrix.ab_dwords if traits.matrix else frozenset()


def sources(traits: Traits) -> frozenset[int]:
    return addends(traits) | factors(traits)


def late_addends(traits: Traits, architecture: str) -> frozenset[int]:
    """Those of a C that the matrix core reads while it computes."""
    matrix = traits.matrix
    if not matrix or matrix.is_double or (architecture != "gfx90a" and not matrix.is_xdl):
        return frozenset()
    return matrix.c_dwords


def is_double_matrix(traits: Traits) -> bool:
    return traits.matrix is not None and traits.matrix.is_double


def _double_unit(traits: Traits) -> frozenset[int]:
    return frozenset((DOUBLE_UNIT,))


def find_matrix_rules(target: str) -> tuple[Rule, ...]:
    """The rules around matrix instructions on an architecture."""

    def after(owed: Callable[[Matrix, str], int]) -> Callable[[Traits, Traits], int]:
        return lambda first, second: owed(first.matrix, target) if first.matrix else 0

    def to_addend(first: Traits, second: Traits) -> int:
        if not first.matrix or not second.matrix:
            return 0
        return owed_to_addend(first.matrix, second.matrix, target)

    def after_addend(first: Traits, second: Traits) -> int:
        return owed_to_overwrite_of_addend(first.matrix) if first.matrix else 0

    def late(traits: Traits) -> frozenset[int]:
        return late_addends(traits, target)

    here, vector, matrix = (target,), "checkMAIVALUHazards", "checkMAIHazards90A"
    fma64 = r"v_fmac?_f64"
    plain = when(lambda traits: not traits.is_dot, plain_results)
    to_vector, to_memory = after(owed_to_vector), after(owed_to_memory)
    to_write, to_factor = after(owed_to_vector_write), after(owed_to_factor)
    return (
        Rule("VALU result that MFMA reads", matrix, here, plain, sources, exactly(2)),
        Rule("MFMA result that MFMA adds to", matrix, here, results, addends, to_addend),
        Rule("MFMA result that MFMA multiplies", matrix, here, results, factors, to_factor),
        Rule("MFMA result that the VALU reads", vector, here, results, plain_reads, to_vector),
        Rule("MFMA result that memory reads", vector, here, results, memory_reads, to_memory),
        Rule(
            "MFMA result that the VALU overwrites", vector, here, results, plain_results, to_write
        ),
        Rule(
            "MFMA addend that the VALU overwrites", vector, here, late, plain_results, after_addend
        ),
        Rule(
            "f64 MFMA before an f64 fma",
            "checkMAIVALUHazards, DMFMAToFMA64WaitStates",
            here,
            when(is_double_matrix, _double_unit),
            named(fma64, _double_unit),
            exactly(2),
        ),
    )
