"""What the code of one kernel says, as a run writes it down."""

from __future__ import annotations

import msgspec


class IsaRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the code of one kernel says; the names are those of budgets.

    lanes: of a workgroup. vgpr, agpr: architectural registers and accumulators a lane; sgpr: a
    wave. scratch_bytes: a lane. lds_bytes: a workgroup, with what a launch gives. occupancy: waves
    a SIMD, 0 where no workgroup fits; workgroups: at a time on a CU or WGP. limited_by: what allows
    no more of them. counts: instructions as they stand in the code, by class and width. launches:
    how often the case launches it, grid: the first time; null for a file.  A value that nothing
    says is null.
    """

    kernel: str
    arch: str
    triton: str | None
    wave_size: int
    lanes: int
    vgpr: int
    agpr: int
    sgpr: int
    vgpr_spills: int | None
    sgpr_spills: int | None
    scratch_bytes: int
    lds_bytes: int
    code_bytes: int | None
    occupancy: int
    workgroups: int
    limited_by: list[str]
    counts: dict[str, int]
    launches: int | None = None
    grid: list[int] | None = None

    @property
    def spills(self) -> int | None:
        """Registers of both kinds that were spilled."""
        if self.vgpr_spills is None or self.sgpr_spills is None:
            return None
        return self.vgpr_spills + self.sgpr_spills
