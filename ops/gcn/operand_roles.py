"""Which operands of an instruction it writes, keeps, addresses with, or sends to memory.

Sources: the operand fields of AMD's ISA documents (CDNA2, CDNA3 and CDNA4, Instructions), in the
order of LLVM's assembly (LLVM, User Guide for AMDGPU Backend, Instructions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.semantics import scalar, scalar_bits, scalar_compare


@dataclass(frozen=True)
class Roles:
    """Positions of operands by role; every operand that is not written is read.

    written: destinations. read_back: destinations that the result is computed from. kept:
    destinations of which a part keeps its old value. addresses, data: among those read. halved:
    the destination is the first half of its operand. reads, writes, pointers: registers that no
    operand names, by their names; pointers are part of an address.
    """

    written: tuple[int, ...] = ()
    read_back: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    addresses: tuple[int, ...] = ()
    data: tuple[int, ...] = ()
    halved: bool = False
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()


_SCALAR = {**scalar.OPERATIONS, **scalar_bits.OPERATIONS, **scalar_compare.OPERATIONS}
_OLD_READ = re.compile(r"s_(addk_i32|mulk_i32|cmovk_i32|cmov_b(32|64)|bitset[01]_b(32|64))")
_MESSAGES = ("s_sendmsg", "s_sendmsghalt", "s_ttracedata")
_CONTROL = re.compile(
    r"s_(nop|waitcnt|barrier|endpgm|endpgm_saved|sleep|setprio|sethalt|setkill|trap|icache_inv"
    r"|wakeup|incperflevel|decperflevel|branch|code_end|cbranch_cdbg(sys|user|sys_or_user"
    r"|sys_and_user)|dcache_(inv|wb)(_vol)?|set_gpr_idx_off|setreg(_imm32)?_b32|setvskip"
    r"|dcache_discard(_x2)?)"
)
_OTHER_SCALAR = {
    "s_getreg_b32": Roles((0,)),
    "s_getpc_b64": Roles((0,)),
    "s_call_b64": Roles((0,)),
    "s_memtime": Roles((0,)),
    "s_memrealtime": Roles((0,)),
    "s_setpc_b64": Roles(addresses=(0,)),
    "s_rfe_b64": Roles(addresses=(0,)),
    "s_swappc_b64": Roles((0,), addresses=(1,)),
    "s_set_gpr_idx_on": Roles(writes=("m0",)),
    "s_set_gpr_idx_idx": Roles(reads=("m0",), writes=("m0",)),
    "s_set_gpr_idx_mode": Roles(reads=("m0",), writes=("m0",)),
    **{f"s_movrels_b{bits}": Roles((0,), pointers=("m0",)) for bits in (32, 64)},
    **{f"s_movreld_b{bits}": Roles((0,), pointers=("m0",)) for bits in (32, 64)},
    **{f"s_cbranch_scc{bit}": Roles(reads=("src_scc",)) for bit in (0, 1)},
    **{
        f"s_cbranch_{mask}{kind}": Roles(reads=(mask,))
        for mask in ("vcc", "exec")
        for kind in ("z", "nz")
    },
    **{name: Roles(reads=("m0",)) for name in _MESSAGES},
}
_SCALAR_LOAD = re.compile(r"s_(buffer_|scratch_)?load_dword(x2|x4|x8|x16)?")
_SCALAR_STORE = re.compile(r"s_(buffer_|scratch_)?store_dword(x2|x4)?")


def find_scalar_roles(instruction: Instruction) -> Roles | None:
    """Of an instruction named `s_...`; None for one that is not known."""
    name = instruction.name
    if name in _SCALAR:
        return _find_arithmetic_roles(name)
    if _SCALAR_LOAD.fullmatch(name):
        return Roles((0,), addresses=(1, 2))
    if _SCALAR_STORE.fullmatch(name):
        return Roles(addresses=(1, 2), data=(0,))
    return Roles() if _CONTROL.fullmatch(name) else _OTHER_SCALAR.get(name)


def _find_arithmetic_roles(name: str) -> Roles:
    """SCC is the flag at the end of the sources and results that the semantics declare."""
    operation = _SCALAR[name]
    reads = ("src_scc",) if operation.sources[-1] == "bool" else ()
    writes = ("src_scc",) if operation.results[-1] == "bool" else ()
    if name.endswith(("_saveexec_b64", "_wrexec_b64")):
        return Roles((0,), reads=("exec",), writes=("exec", *writes))
    written = () if operation.results[0] == "bool" else (0,)
    old = written if _OLD_READ.fullmatch(name) else ()
    return Roles(written, read_back=old, reads=reads, writes=writes)


_TYPE = r"(?:b|u|i|f|bf|fp|xf|u8_f|iu)\d+"
_RELATIONS = "f|lt|eq|le|gt|lg|ge|o|u|nge|nlg|ngt|nle|neq|nlt|tru|ne|t|class"
_STEMS = "|".join(
    (
        "mov|not|bfrev|ffbh|ffbl|swap|and|or|xor|xnor|lshlrev|lshrrev|ashrrev|bfm|bcnt|lshl_or",
        "and_or|or3|bfi|bfe|alignbit|alignbyte|perm|mbcnt_(?:lo|hi)|prng|bitop3|cndmask|screen",
        "div_(?:scale|fmas|fixup|fixup_legacy)|floor|ceil|trunc|rndne|fract|frexp_(?:mant|exp)",
        "(?:add|sub|subrev|addc|subb|subbrev)_co|add|sub|subrev|mul|mul_legacy|mul_(?:lo|hi)",
        "ldexp|(?:min|max|med)3?|(?:minimum|maximum)3|fma|mad|mac|fmac|madak|madmk|fmaak|fmamk",
        "(?:fma|mad)_(?:legacy|mix|mixlo|mixhi)|dot[248]c?|add3|xad|lshl_add|add_lshl|lerp",
        "sad|sad_hi|msad|qsad_pk|mqsad_pk|mqsad|pack|sat_pk|ashr_pk|trig_preop|cube(?:id|sc|tc|ma)",
        "(?:exp|log)(?:_legacy)?|rcp|rcp_iflag|rsq|sqrt|sin|cos|accvgpr_(?:read|write|mov)",
        "pk_(?:add|sub|mul|mul_lo|mad|fma|fmac|min|max|minimum3|maximum3|mov|lshlrev|lshrrev"
        "|ashrrev)|(?:readlane|writelane|readfirstlane)",
    )
)
_CONVERSION = (
    r"cvt_(?:(?:off|norm|rpi|flr|pk|sr|pkrtz|pknorm|pkaccum|scalef32|pk8|pk32|2xpk16|[a-z]+\d+"
    r"|ubyte[0-3])(?:_|$))+"
)
_MATRIX = r"(?:mfma|smfmac)_(?:ld_scale_b32|(?:scale_)?[fi]\d+_\d+x\d+x\d+\w*)"
_VECTOR = re.compile(
    rf"v_(?:(?:{_STEMS})(?:_{_TYPE})+|{_CONVERSION}|cmpx?_(?:{_RELATIONS})_{_TYPE}|{_MATRIX}"
    r"|permlane(?:16|32)_swap_b32|nop|clrexcp)"
)
_CARRY = re.compile(r"v_\w+_co_u32|v_div_scale_f(32|64)|v_mad_(u64_u32|i64_i32)")
_SWAP = re.compile(r"v_(swap_b32|permlane(16|32)_swap_b32)")
_ACCUMULATES = re.compile(r"v_(fmac|mac|pk_fmac|dot[248]c)_\w+|v_smfmac_\w+|v_cvt_pkaccum_u8_f32")
#: Results narrower than the destination; LLVM ties the old value to it.
_PARTIAL = re.compile(
    r"v_(fma|mad)_mix(lo|hi)_f16|v_cvt_(pk|sr)_(fp8|bf8)_f32|v_cvt_sr_(f16|bf16)_f32"
    r"|v_cvt_scalef32_(sr_)?(pk_)?(fp8|bf8|fp4)_\w+|v_cvt_scalef32_f16_(fp8|bf8)|v_writelane_b32"
)
_LANE_ACCESS = ("v_readlane_b32", "v_writelane_b32")
_PACKED = re.compile(r"v_(pk_|dot|(fma|mad)_mix|mfma|smfmac)\w*")
_MATRIX_NAME = re.compile(r"v_s?mfmac?_\w+")


def is_matrix(name: str) -> bool:
    """Whether it is an MFMA or an SMFMAC: those run in the matrix core and ignore EXEC."""
    return _MATRIX_NAME.fullmatch(name) is not None


def find_vector_roles(instruction: Instruction) -> Roles | None:
    """Of an instruction named `v_...`; None for one that is not known."""
    name = instruction.name
    if not _VECTOR.fullmatch(name):
        return None
    if name in ("v_nop", "v_clrexcp"):
        return Roles()
    reads = () if is_matrix(name) or name in _LANE_ACCESS else ("exec",)
    if _SWAP.fullmatch(name):
        return Roles((0, 1), read_back=(0, 1), reads=reads)
    accumulates = _ACCUMULATES.fullmatch(name) is not None
    return Roles(
        written=(0, 1) if _CARRY.fullmatch(name) else (0,),
        read_back=(0,) if accumulates else (),
        kept=(0,) if keeps_part(instruction) else (),
        addresses=(2,) if name in _LANE_ACCESS else (),
        reads=(*reads, "vcc") if name.startswith("v_div_fmas_") else reads,
        writes=("exec",) if name.startswith("v_cmpx_") else (),
    )


def keeps_part(instruction: Instruction) -> bool:
    """Whether a VALU destination keeps some of its old value in lanes that EXEC enables.

    DPP's lanes without a source or outside its masks, SDWA's UNUSED_PRESERVE, a result of half or
    less of the destination.  The upper half below a 16-bit result is not counted: whether it is
    zeroed or kept, compiled code takes it as undefined.
    """
    dpp, sdwa = instruction.dpp, instruction.sdwa
    if instruction.name.startswith("v_cmp"):
        return False
    if dpp and (not dpp.bound_ctrl or (dpp.row_mask, dpp.bank_mask) != (15, 15)):
        return True
    if sdwa and sdwa.dst_sel != "DWORD" and sdwa.dst_unused == "UNUSED_PRESERVE":
        return True
    return _PARTIAL.fullmatch(instruction.name) is not None or writes_high_half(instruction)


def writes_high_half(instruction: Instruction) -> bool:
    """Whether op_sel's last bit, behind those of the sources, selects the destination's top."""
    selects = instruction.modifiers.get("op_sel")
    if not isinstance(selects, tuple) or _PACKED.fullmatch(instruction.name):
        return False
    return len(selects) == len(instruction.operands) and selects[-1] == 1


_LDS = re.compile(
    r"ds_(?:nop|(?:b?permute|swizzle)_b32|append|consume|ordered_count"
    r"|gws_(?:init|barrier|sema_(?:v|br|p|release_all))"
    r"|read_(?:[bui](?:8|16|32|64|96|128)(?:_d16(?:_hi)?)?|addtid_b32|b\d+_tr_b\d+)"
    r"|write_(?:b(?:8|16)_d16_hi|b(?:8|16|32|64|96|128)|addtid_b32)"
    r"|(?:read|write)2(?:st64)?_b(?:32|64)|wrxchg2(?:st64)?_rtn_b(?:32|64)|condxchg32_rtn_b64"
    r"|(?:add|sub|rsub|inc|dec|min|max|and|or|xor|mskor|cmpst|wrxchg|wrap|pk_add)(?:_rtn)?"
    r"_(?:[buif]|bf)(?:16|32|64))"
)
_LDS_RETURN = re.compile(r"ds_(read|b?permute|swizzle|append|consume|ordered_count|\w+_rtn_)\w*")
_LDS_NO_ADDRESS = re.compile(r"ds_(\w+_addtid_b32|append|consume|gws_\w+|swizzle_b32|nop)")
_M0_USERS = re.compile(r"ds_(\w+_addtid_b32|append|consume|gws_\w+|ordered_count)")


def find_lds_roles(instruction: Instruction) -> Roles | None:
    """Of an instruction named `ds_...`; None for one that is not known."""
    name = instruction.name
    if not _LDS.fullmatch(name):
        return None
    written = (0,) if _LDS_RETURN.match(name) else ()
    first = len(written)
    addresses = () if _LDS_NO_ADDRESS.fullmatch(name) else (first,)
    behind = range(first + len(addresses), len(instruction.operands))
    through = re.fullmatch(r"ds_(b?permute|swizzle)_b32", name)
    uses_m0 = _M0_USERS.fullmatch(name) or "gds" in instruction.modifiers
    return Roles(
        written,
        kept=written if "_d16" in name else (),
        addresses=addresses,
        data=() if through else tuple(behind),
        reads=("exec",),
        pointers=("m0",) if uses_m0 else (),
    )


_ATOMIC = (
    r"atomic_(?:(?:swap|cmpswap|add|sub|[su]min|[su]max|and|or|xor|inc|dec)(?:_x2)?"
    r"|(?:add|min|max)_f(?:32|64)|pk_add_b?f16)"
)
_FORMAT = r"format_(?:d16_)?(?:x|xy|xyz|xyzw)|format_d16_hi_x"
_MEMORY = re.compile(
    r"(?:buffer|global|flat|scratch)_(?:load_(?:lds_)?(?:[us]byte|[us]short|dword(?:x[234])?)"
    r"|load_(?:[us]byte|short)_d16(?:_hi)?|store_(?:byte|short)(?:_d16_hi)?"
    r"|store_dword(?:x[234])?)"
    rf"|(?:buffer|global|flat)_{_ATOMIC}|t?buffer_(?:load|store)_(?:{_FORMAT})"
    r"|buffer_store_lds_dword"
)
_CACHE = re.compile(r"buffer_(wbinvl1(_vol)?|wbl2|inv|invl2)")
_RETURNS = frozenset(("glc", "sc0"))


def find_memory_roles(instruction: Instruction) -> Roles | None:
    """Of buffer, global, flat and scratch instructions; None for one that is not known.

    The base of scratch memory is no register here: only gfx90a keeps it in one.
    """
    name, count = instruction.name, len(instruction.operands)
    if _CACHE.fullmatch(name):
        return Roles()
    if not _MEMORY.fullmatch(name):
        return None
    if "_lds_" in name or "lds" in instruction.modifiers:
        return Roles(addresses=tuple(range(count)), reads=("exec",), pointers=("m0",))
    typed = name.startswith(("buffer_", "tbuffer_"))
    if "_load_" in name:
        kept = (0,) if "_d16" in name else ()
        return Roles((0,), kept=kept, addresses=tuple(range(1, count)), reads=("exec",))
    if typed:
        return _find_buffer_roles(instruction)
    # A returned value stands before the address; the data behind it.
    written = (0,) if "_atomic_" in name and not _RETURNS.isdisjoint(instruction.modifiers) else ()
    data = len(written) + 1
    addresses = tuple(at for at in range(len(written), count) if at != data)
    return Roles(written, addresses=addresses, data=(data,), reads=("exec",))


def _find_buffer_roles(instruction: Instruction) -> Roles:
    """A store or an atomic, whose data is its first operand and takes the returned value."""
    returns = "_atomic_" in instruction.name and not _RETURNS.isdisjoint(instruction.modifiers)
    destination = (0,) if returns else ()
    return Roles(
        destination,
        read_back=destination,
        addresses=tuple(range(1, len(instruction.operands))),
        data=(0,),
        halved="_cmpswap" in instruction.name,
        reads=("exec",),
    )
