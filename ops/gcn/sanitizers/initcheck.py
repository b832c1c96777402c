"""initcheck: bits that nobody set and that reach an address, a branch, EXEC, or global memory.

Registers, LDS and scratch start undefined, and so do the bytes of tensors that are given as
unwritten.  Undefined bits travel through instructions (see `taint`) and memory without a word; what
is reported is their effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.footprint import EXEC, SCALAR, SCC, Footprint, find_footprint, name_dword
from rocmoe.ops.gcn.machine.machine import VECTORS, WAVE, Machine, RegisterState
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.machine.step import Run, Step
from rocmoe.ops.gcn.sanitizers.shadow_memory import ShadowMemory
from rocmoe.ops.gcn.sanitizers.taint import lower_taint, moves_bits
from rocmoe.ops.gcn.semantics.words import Array

CHECK = "initcheck"
_ALL = np.uint32(0xFFFFFFFF)
_EXEC = (EXEC, EXEC + 1)


@dataclass(frozen=True)
class _Plan:
    """How one instruction is treated."""

    footprint: Footprint
    touched: frozenset[int]
    branches: bool
    moves: bool
    taint: Run | None
    ignores_exec: bool
    is_memory: bool


@dataclass
class Initcheck(Observer):
    """undefined: by register dword (see `footprint`), bits that are: u32 [waves, 64] or [waves];
    those that are not in it are defined."""

    undefined: dict[int, Array] = field(default_factory=dict)
    _memory: ShadowMemory | None = None

    def begin(self, machine: Machine) -> None:
        nothing = np.full((machine.waves, WAVE), _ALL)
        self.undefined = dict.fromkeys(range(VECTORS), nothing)
        del self.undefined[0]
        scalars = machine.state.scalars
        untouched = scalars[127 - 4]
        for number, values in enumerate(scalars):
            if values is untouched:
                self.undefined[SCALAR + number] = np.full(machine.waves, _ALL)
        self.undefined[SCC] = np.ones(machine.waves, np.uint32)
        if self._memory is None:
            self._memory = ShadowMemory(machine)
        self._memory.begin(machine)

    def step(self, machine: Machine, step: Step) -> None:
        plan = _find_plan(machine, step)
        if self.undefined.keys().isdisjoint(plan.touched):
            return
        self._check_addresses(machine, step, plan)
        if plan.is_memory:
            return
        reads = self.undefined.keys() & plan.footprint.reads
        if reads:
            self._propagate(machine, step, plan)
        else:
            self._define(machine, plan)

    def access(self, machine: Machine, access: Access) -> None:
        assert self._memory is not None
        if access.kind != "load":
            self._store(machine, access)
        if access.to_lds is not None:
            self._memory.copy_to_lds(machine, access)
        elif access.kind == "load" and access.data is not None:
            self._load(machine, access, access.data)
        elif access.returns is not None:
            self._load(machine, access, access.returns)

    def _check_addresses(self, machine: Machine, step: Step, plan: _Plan) -> None:
        for dword in self.undefined.keys() & plan.footprint.addresses:
            self._report(machine, dword, self._of(machine, dword) != 0, "selects where it goes")
        if plan.branches:
            for dword in self.undefined.keys() & plan.footprint.reads:
                self._report(machine, dword, self._of(machine, dword) != 0, "decides a branch")

    def _of(self, machine: Machine, dword: int) -> Array:
        """Undefined bits that count: of a vector register those of active lanes."""
        bits = self.undefined[dword][machine.sel]
        return np.where(machine.active, bits, np.uint32(0)) if dword < VECTORS else bits

    def _report(self, machine: Machine, dword: int, bad: Array, what: str) -> None:
        def describe(row: int, lane: int) -> str:
            return f"{name_dword(dword)} holds bits that were never set, and {what}"

        machine.faults.report(CHECK, machine.index, bad, machine.place, describe, str(dword))
        if bad.any():  # once is enough: what follows from it is no news
            self._set(machine, dword, np.zeros_like(self.undefined[dword][machine.sel]))

    def _set(self, machine: Machine, dword: int, bits: Array) -> None:
        """Undefined bits of the selected waves, all lanes."""
        if machine.everyone:
            whole = bits
        elif dword in self.undefined:
            whole = self.undefined[dword].copy()
            whole[machine.sel] = bits
        elif not bits.any():
            return
        else:
            shape = (machine.waves, WAVE) if dword < VECTORS else (machine.waves,)
            whole = np.zeros(shape, np.uint32)
            whole[machine.sel] = bits
        if whole.any():
            self.undefined[dword] = whole
        else:
            self.undefined.pop(dword, None)

    def _define(self, machine: Machine, plan: _Plan) -> None:
        """What is written from defined values is defined."""
        for dword in self.undefined.keys() & plan.footprint.writes:
            old = self.undefined[dword][machine.sel]
            if dword >= VECTORS or machine.full or plan.ignores_exec:
                self._set(machine, dword, np.zeros_like(old))
            else:
                self._set(machine, dword, np.where(machine.active, np.uint32(0), old))

    def _propagate(self, machine: Machine, step: Step, plan: _Plan) -> None:
        if plan.moves:
            low = self._run(machine, step.run, plan, self._substitute(machine, plan, False))
            high = self._run(machine, step.run, plan, self._substitute(machine, plan, True))
            after = {dword: low[dword] ^ high[dword] for dword in low}
        elif plan.taint is not None:
            after = self._run(machine, plan.taint, plan, self._shadows(machine, plan))
        else:
            bad = self._any_lane(machine, plan)
            after = {dword: self._spoil(machine, dword, bad) for dword in plan.footprint.writes}
        for dword, bits in after.items():
            self._set(machine, dword, bits)
        for dword in self.undefined.keys() & plan.footprint.writes & frozenset(_EXEC):
            self._report(machine, dword, self._of(machine, dword) != 0, "decides which lanes run")

    def _any_lane(self, machine: Machine, plan: _Plan) -> Array:
        """Waves that read an undefined bit anywhere, bool [n]."""
        bad = np.zeros(machine.n, np.bool_)
        for dword in self.undefined.keys() & plan.footprint.reads:
            bits = self.undefined[dword][machine.sel] != 0
            bad |= bits.any(axis=1) if dword < VECTORS else bits
        return bad

    def _spoil(self, machine: Machine, dword: int, bad: Array) -> Array:
        bits = np.where(bad, _ALL, np.uint32(0))
        return np.repeat(bits[:, None], WAVE, axis=1) if dword < VECTORS else bits

    def _run(
        self, machine: Machine, run: Run, plan: _Plan, state: RegisterState
    ) -> dict[int, Array]:
        """What an instruction makes of other registers: those that it writes, selected waves."""
        with machine.substituted(state):
            run(machine)
            state = machine.state  # a write of SCC puts another array in its place
        after = {}
        for dword in plan.footprint.writes:
            if dword < VECTORS:
                after[dword] = state.vectors[dword][machine.sel]
            elif dword == SCC:
                after[dword] = state.scc[machine.sel].astype(np.uint32)
            else:
                after[dword] = state.scalars[dword - SCALAR][machine.sel]
        return after

    def _substitute(self, machine: Machine, plan: _Plan, ones: bool) -> RegisterState:
        """The registers with every undefined bit 0, or 1."""
        own = machine.state
        state = RegisterState(list(own.vectors), list(own.scalars), own.scc, {})
        for dword in self.undefined.keys() & plan.touched:
            bits = self.undefined[dword]
            if dword < VECTORS:
                values = own.vectors[dword]
                state.vectors[dword] = values | bits if ones else values & ~bits
            elif dword == SCC:
                state.scc = own.scc | (bits != 0) if ones else own.scc & (bits == 0)
            else:
                values = own.scalars[dword - SCALAR]
                state.scalars[dword - SCALAR] = values | bits if ones else values & ~bits
        return state

    def _shadows(self, machine: Machine, plan: _Plan) -> RegisterState:
        """Undefined bits in the place of all registers."""
        own = machine.state
        state = RegisterState(list(own.vectors), list(own.scalars), own.scc, {})
        for dword in plan.touched:
            bits = self.undefined.get(dword)
            if bits is None:
                shape = (machine.waves, WAVE) if dword < VECTORS else (machine.waves,)
                bits = np.zeros(shape, np.uint32)
            if dword < VECTORS:
                state.vectors[dword] = bits
            elif dword == SCC:
                state.scc = bits != 0
            else:
                state.scalars[dword - SCALAR] = bits
        return state

    def _register(self, access: Access, at: int) -> int:
        first = access.data if access.data is not None else access.returns
        assert first is not None
        return first + at + (SCALAR if access.scalar else 0)

    def _load(self, machine: Machine, access: Access, first: int) -> None:
        assert self._memory is not None
        base = first + (SCALAR if access.scalar else 0)
        for at in range(max(access.size // 4, 1)):
            dword = base + at
            loaded = self._memory.load(machine, access, at)
            if loaded is None and dword not in self.undefined:
                continue
            self._set(machine, dword, self._merge(machine, access, dword, loaded))

    def _merge(self, machine: Machine, access: Access, dword: int, loaded: Array | None) -> Array:
        """A register after a load: bits of memory in the lanes that load, the rest defined."""
        zero = np.uint32(0)
        shape = (machine.n,) if access.scalar else (machine.n, WAVE)
        bits = np.zeros(shape, np.uint32)
        if loaded is not None:
            bits = np.where(access.active, loaded << np.uint32(access.shift), zero).reshape(shape)
        old = self.undefined.get(dword)
        if old is None:
            return bits
        own = old[machine.sel]
        if access.keeps:
            half = np.uint32(0xFFFF << access.shift)
            bits = bits | (own & ~half)
        # A flat load may reach several memories, each told of on its own.
        flat = machine.program.instructions[machine.index].name.startswith("flat_")
        loaded_lanes = access.active if flat else machine.active
        return bits if access.scalar else np.where(loaded_lanes, bits, own)

    def _store(self, machine: Machine, access: Access) -> None:
        assert self._memory is not None
        for at in range(max(access.size // 4, 1)):
            dword = self._register(access, at) if access.data is not None else None
            bits = None if dword is None else self.undefined.get(dword)
            stored = None
            if bits is not None and dword is not None:
                width = np.uint32(min(access.size, 4) * 8)
                mask = _ALL if width == 32 else np.uint32((1 << int(width)) - 1)
                stored = (bits[machine.sel] >> np.uint32(access.shift)) & mask
                stored = np.where(access.active, stored, np.uint32(0))
                if access.space == "global" and stored.any():
                    self._report_store(machine, access, dword, stored != 0)
                    stored = None
            self._memory.store(machine, access, at, stored)

    def _report_store(self, machine: Machine, access: Access, dword: int, bad: Array) -> None:
        def describe(row: int, lane: int) -> str:
            place = machine.memory.locate(int(access.addresses[row, lane]), access.size)
            return f"{name_dword(dword)} holds bits that were never set, and goes to {place}"

        machine.faults.report(CHECK, machine.index, bad, machine.place, describe, "store")


def _find_plan(machine: Machine, step: Step) -> _Plan:
    memo = step.instruction.memo
    if CHECK not in memo:
        memo[CHECK] = _make_plan(machine, step)
    plan: _Plan = memo[CHECK]
    return plan


def _make_plan(machine: Machine, step: Step) -> _Plan:
    instruction = step.instruction
    name = instruction.name
    footprint = find_footprint(instruction)
    moves = moves_bits(name)
    memory = name.startswith(("buffer_", "global_", "flat_", "scratch_", "s_load", "s_buffer"))
    return _Plan(
        footprint=footprint,
        touched=footprint.reads | footprint.writes,
        branches=name.startswith("s_cbranch"),
        moves=moves,
        taint=None if moves or memory else lower_taint(machine.program, instruction),
        ignores_exec=name.startswith(("v_mfma", "v_readlane", "v_writelane")),
        is_memory=memory or (name.startswith("ds_") and not moves),
    )
