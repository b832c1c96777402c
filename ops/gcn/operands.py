"""Operands of instructions as records that print as LLVM prints them."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Registers written as a letter and a number, and how many of each wave64 code can name.
REGISTER_COUNTS = {"v": 256, "a": 256, "s": 102, "ttmp": 16}

#: Registers with a name: spelt so, kept as this file, first dword, dwords.
SPECIAL_REGISTERS = {
    **{
        spelt + half: (spelt, first, count)
        for spelt in ("vcc", "exec", "flat_scratch", "xnack_mask", "tba", "tma")
        for half, first, count in (("", 0, 2), ("_lo", 0, 1), ("_hi", 1, 1))
    },
    **{
        spelt: (name, 0, 1)
        for name in ("m0", "null", "src_scc", "src_vccz", "src_execz", "src_lds_direct")
        for spelt in {name, name.removeprefix("src_")}
    },
    **{
        spelt: (name, 0, 2)
        for name in (
            "src_shared_base",
            "src_shared_limit",
            "src_private_base",
            "src_private_limit",
            "src_pops_exiting_wave_id",
        )
        for spelt in {name, name.removeprefix("src_")}
    },
}


@dataclass(frozen=True)
class Register:
    """Consecutive dwords of a register file.

    file: `v` (vector), `a` (accumulator), `s` (scalar), `ttmp`, or the name of a special register
    (`vcc`, `exec`, `m0`, `src_scc`, `src_shared_base` ...). first: index of the first dword; 1 is
    the high half of `vcc`. count: dwords.
    """

    file: str
    first: int = 0
    count: int = 1

    def __str__(self) -> str:
        if self.file in REGISTER_COUNTS:
            last = self.first + self.count - 1
            several = f"[{self.first}:{last}]" if self.count > 1 else f"{self.first}"
            return f"{self.file}{several}"
        halves = SPECIAL_REGISTERS[self.file][2] == 2 and self.count == 1
        return self.file + (("_hi" if self.first else "_lo") if halves else "")


@dataclass(frozen=True)
class Integer:
    """An integer as it is written, in any base; its width is that of the operand it stands in."""

    value: int
    spelling: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.spelling or str(self.value)


@dataclass(frozen=True)
class Real:
    """A decimal fraction; the instruction says in which format it becomes bits."""

    value: float
    spelling: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.spelling or repr(self.value)


@dataclass(frozen=True)
class Symbol:
    """A label, or the address of a symbol: `relocation` as in `rel32@lo`, `addend` in bytes.

    `rel32` counts from the literal's own four bytes, which follow the instruction's first four.
    """

    name: str
    relocation: str = ""
    addend: int = 0

    def __str__(self) -> str:
        addend = f"{self.addend:+d}" if self.addend else ""
        return self.name + (f"@{self.relocation}" if self.relocation else "") + addend


@dataclass(frozen=True)
class Expression:
    """An expression over labels, such as `(.LBB0_4-.Lpost_getpc0)>>32`; names: those in it."""

    text: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Off:
    """No register: of an address, `off`."""

    def __str__(self) -> str:
        return "off"


@dataclass(frozen=True)
class WaitCount:
    """What `s_waitcnt` waits for: how many may be outstanding; the maxima wait for nothing."""

    vmcnt: int = 63
    expcnt: int = 7
    lgkmcnt: int = 15

    def __str__(self) -> str:
        counters = [("vmcnt", self.vmcnt), ("expcnt", self.expcnt), ("lgkmcnt", self.lgkmcnt)]
        waits = [(name, value) for name, value in counters if value != WAIT_LIMITS[name]]
        return " ".join(f"{name}({value})" for name, value in waits or counters)


#: The largest value of each counter on GFX9.
WAIT_LIMITS = {"vmcnt": 63, "expcnt": 7, "lgkmcnt": 15}


@dataclass(frozen=True)
class HardwareRegister:
    """Bits of a hardware register: its number, the first bit, how many bits."""

    number: int
    offset: int = 0
    size: int = 32

    def __str__(self) -> str:
        names = {number: name for name, number in HARDWARE_REGISTERS.items()}
        name = names.get(self.number, str(self.number))
        whole = (self.offset, self.size) == (0, 32)
        return f"hwreg({name})" if whole else f"hwreg({name}, {self.offset}, {self.size})"


#: CDNA3 ISA (AMD Instinct MI300), 5.8 S_GETREG and S_SETREG: hardware register numbers.
HARDWARE_REGISTERS = {
    "HW_REG_MODE": 1,
    "HW_REG_STATUS": 2,
    "HW_REG_TRAPSTS": 3,
    "HW_REG_HW_ID": 4,
    "HW_REG_GPR_ALLOC": 5,
    "HW_REG_LDS_ALLOC": 6,
    "HW_REG_IB_STS": 7,
    "HW_REG_SH_MEM_BASES": 15,
    "HW_REG_TBA_LO": 16,
    "HW_REG_TBA_HI": 17,
    "HW_REG_TMA_LO": 18,
    "HW_REG_TMA_HI": 19,
    "HW_REG_XCC_ID": 20,
    "HW_REG_SQ_PERF_SNAPSHOT_DATA": 21,
    "HW_REG_SQ_PERF_SNAPSHOT_DATA1": 22,
    "HW_REG_SQ_PERF_SNAPSHOT_PC_LO": 23,
    "HW_REG_SQ_PERF_SNAPSHOT_PC_HI": 24,
}


@dataclass(frozen=True)
class GprIndex:
    """The operands that M0 indexes while VGPR indexing is on, in GPR_INDEX_ROLES' order."""

    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"gpr_idx({','.join(self.roles)})"


#: By bit of the mode (CDNA3 ISA, 4.4 and S_SET_GPR_IDX_ON).
GPR_INDEX_ROLES = ("SRC0", "SRC1", "SRC2", "DST")


@dataclass(frozen=True)
class Message:
    """A message to the host, which `s_sendmsg` sends: the text inside its brackets."""

    text: str

    def __str__(self) -> str:
        return f"sendmsg({self.text})"


Value = (
    Register
    | Integer
    | Real
    | Symbol
    | Expression
    | Off
    | WaitCount
    | HardwareRegister
    | GprIndex
    | Message
)


@dataclass(frozen=True)
class Operand:
    """A value with its input modifiers, applied in this order: absolute or sign_extend, negate."""

    value: Value
    negate: bool = False
    absolute: bool = False
    sign_extend: bool = False

    def __str__(self) -> str:
        text = f"|{self.value}|" if self.absolute else str(self.value)
        text = f"sext({text})" if self.sign_extend else text
        if not self.negate:
            return text
        plain = isinstance(self.value, Register) or self.absolute
        return f"-{text}" if plain else f"neg({text})"
