"""Reading one operand: registers, numbers, symbols, and the modifiers around them."""

from __future__ import annotations

import re

from rocmoe.ops.core.errors import nearest
from rocmoe.ops.gcn.expressions import (
    NAME,
    Constants,
    ExpressionError,
    UnknownNameError,
    evaluate,
    find_names,
)
from rocmoe.ops.gcn.operands import (
    GPR_INDEX_ROLES,
    HARDWARE_REGISTERS,
    REGISTER_COUNTS,
    SPECIAL_REGISTERS,
    WAIT_LIMITS,
    Expression,
    GprIndex,
    HardwareRegister,
    Integer,
    Message,
    Off,
    Operand,
    Real,
    Register,
    Symbol,
    Value,
    WaitCount,
)
from rocmoe.ops.gcn.source import Line, split_list

_INTEGER = re.compile(r"-?(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)")
_REAL = re.compile(r"-?(\d+\.\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|\d+[eE][+-]?\d+)")
_RELOCATED = re.compile(rf"({NAME}?[\w.$])@([\w@]+)([+-]\w+)?")
_NUMERIC_LABEL = re.compile(r"\d+[bf]")
_WRAPPED = re.compile(r"(neg|abs|sext|lit64|lit)\((.+)\)")
_REGISTER = re.compile(r"(ttmp|[vas])(?:(\d+)|\[([^\[\]]+)\])")
_COUNTER = re.compile(r"(vmcnt|expcnt|lgkmcnt)(_sat)?\((\w+)\)")


class OperandReader:
    """Reads the operands of one line with the constants that are known there."""

    def __init__(self, line: Line, constants: Constants) -> None:
        self.line = line
        self.constants = constants

    def read(self, text: str) -> Operand:
        """Raises RocmoeError for what is no operand of a CDNA instruction."""
        wrapped = _WRAPPED.fullmatch(text)
        if wrapped and wrapped[1].startswith("lit"):
            return Operand(Integer(self.integer(wrapped[2]), text))
        if wrapped:
            return self._modify(self.read(wrapped[2]), wrapped[1])
        if len(text) > 2 and text[0] == text[-1] == "|":
            return self._modify(self.read(text[1:-1]), "abs")
        if re.match(r"-\s*(\||abs\(|sext\(|[A-Za-z\[])", text) and not self._is_constant(text[1:]):
            return self._modify(self.read(text[1:].strip()), "neg")
        return Operand(self.value(text))

    def integer(self, text: str) -> int:
        """The value of a number or an expression of constants."""
        try:
            return evaluate(text, self.constants.value_of)
        except ExpressionError as error:
            raise self.line.error(f"{error}: an integer is wanted") from None

    def value(self, text: str) -> Value:
        """An operand without the modifiers around it."""
        if register := self._register(text):
            return register
        if text == "off":
            return Off()
        if _NUMERIC_LABEL.fullmatch(text):
            return Symbol(text)
        if _INTEGER.fullmatch(text):
            return Integer(self.integer(text), text)
        if _REAL.fullmatch(text):
            return Real(float(text), text)
        if found := _RELOCATED.fullmatch(text):
            return Symbol(found[1].strip('"'), found[2], self.integer(found[3] or "0"))
        return self._computed(text)

    def _modify(self, operand: Operand, kind: str) -> Operand:
        value, fields = operand.value, (operand.negate, operand.absolute, operand.sign_extend)
        taken = fields[:1] if kind == "neg" else fields
        if not isinstance(value, (Register, Integer, Real, Symbol)) or any(taken):
            raise self.line.error(f"{kind} cannot be applied to {str(operand)!r}")
        return Operand(
            value,
            negate=operand.negate or kind == "neg",
            absolute=operand.absolute or kind == "abs",
            sign_extend=operand.sign_extend or kind == "sext",
        )

    def _is_constant(self, text: str) -> bool:
        try:
            evaluate(text, self.constants.value_of)
        except ExpressionError:
            return False
        return True

    def _computed(self, text: str) -> Value:
        """A constant's value, a symbol whose address is found later, or an expression of them."""
        try:
            return Integer(evaluate(text, self.constants.value_of))
        except UnknownNameError:
            if re.fullmatch(NAME, text):
                return Symbol(text.strip('"'))
            if found := re.fullmatch(rf"({NAME})([+-]\w+)", text):
                return Symbol(found[1].strip('"'), "", self.integer(found[2]))
            self._check_expression(text)
            return Expression(text, find_names(text))
        except ExpressionError:
            raise self.line.error(f"operand {text!r} cannot be read") from None

    def _check_expression(self, text: str) -> None:
        """An expression over labels is well formed where it is with every label at one."""
        try:
            evaluate(text, lambda name: 1)
        except ExpressionError:
            raise self.line.error(f"operand {text!r} cannot be read") from None

    def _register(self, text: str) -> Register | None:
        if text in SPECIAL_REGISTERS:
            return Register(*SPECIAL_REGISTERS[text])
        if text.startswith("["):
            return self._register_list(text)
        found = _REGISTER.fullmatch(text)
        if not found:
            return None
        first, colon, last = (found[2] or found[3]).partition(":")
        low = self.integer(first)
        high = self.integer(last) if colon else low
        return self._checked(Register(found[1], low, high - low + 1), text)

    def _checked(self, register: Register, text: str) -> Register:
        limit = REGISTER_COUNTS[register.file]
        if register.count < 1:
            raise self.line.error(f"register range {text!r} ends before it starts")
        if register.first < 0 or register.first + register.count > limit:
            raise self.line.error(f"{text!r} is past the last register {register.file}{limit - 1}")
        unit = 1 if register.file in "va" else min(4, 1 << (register.count - 1).bit_length())
        if register.first % unit:
            raise self.line.error(f"{text!r} does not start at a multiple of {unit}")
        return register

    def _register_list(self, text: str) -> Register:
        """`[s0,s1]`, registers that follow one another."""
        parts = [self._register(part) for part in split_list(text[1:-1])]
        known = [part for part in parts if part]
        if len(known) != len(parts) or not known:
            raise self.line.error(f"{text!r} is not a list of registers")
        result = known[0]
        for part in known[1:]:
            if part.file != result.file or part.first != result.first + result.count:
                raise self.line.error(f"the registers in {text!r} do not follow one another")
            result = Register(result.file, result.first, result.count + part.count)
        return self._checked(result, text) if result.file in REGISTER_COUNTS else result

    def wait_count(self, words: list[str]) -> WaitCount:
        """`vmcnt(0) & lgkmcnt(0)`, with blanks or commas for `&` too, or GFX9's 16 bits."""
        if len(words) == 1 and not _COUNTER.fullmatch(words[0]):
            bits = self._field(words[0], 16)
            return WaitCount(bits & 15 | bits >> 14 << 4, bits >> 4 & 7, bits >> 8 & 15)
        counts: dict[str, int] = {}
        for word in words:
            found = _COUNTER.fullmatch(word)
            if not found or found[1] in counts:
                raise self.line.error(f"{word!r} is not a counter, or is one for the second time")
            limit, count = WAIT_LIMITS[found[1]], self.integer(found[3])
            if count < 0 or (count > limit and not found[2]):
                raise self.line.error(f"{found[1]} counts from 0 to {limit}, found {count}")
            counts[found[1]] = min(count, limit)
        if not counts:
            raise self.line.error("s_waitcnt without a counter")
        return WaitCount(**counts)

    def hardware_register(self, text: str) -> HardwareRegister:
        """`hwreg(NAME[, offset, size])`, or the 16 bits that encode it."""
        found = re.fullmatch(r"hwreg\((.*)\)", text)
        if not found:
            bits = self._field(text, 16)
            return HardwareRegister(bits & 63, bits >> 6 & 31, (bits >> 11) + 1)
        parts = split_list(found[1])
        if len(parts) not in (1, 3):
            raise self.line.error(f"{text!r} is not hwreg(NAME) or hwreg(NAME, OFFSET, SIZE)")
        number = HARDWARE_REGISTERS.get(parts[0])
        if number is None and parts[0].startswith("HW_REG"):
            hint = nearest(parts[0], HARDWARE_REGISTERS)
            raise self.line.error(f"hardware register {parts[0]!r} is not known{hint}")
        number = self._field(parts[0], 6) if number is None else number
        if len(parts) == 1:
            return HardwareRegister(number)
        offset, size = self._field(parts[1], 5), self.integer(parts[2])
        if not 1 <= size <= 32 - offset:
            raise self.line.error(f"hwreg has 32 bits, found {size} from bit {offset}")
        return HardwareRegister(number, offset, size)

    def gpr_index(self, text: str) -> GprIndex:
        """`gpr_idx(SRC0,DST)`, or the four bits that encode it."""
        found = re.fullmatch(r"gpr_idx\((.*)\)", text)
        if not found:
            bits = self._field(text, 4)
            return GprIndex(tuple(r for i, r in enumerate(GPR_INDEX_ROLES) if bits >> i & 1))
        roles = split_list(found[1])
        if len(set(roles)) != len(roles) or not set(roles) <= set(GPR_INDEX_ROLES):
            raise self.line.error(
                f"{text!r} wants each of {', '.join(GPR_INDEX_ROLES)} at most once"
            )
        return GprIndex(tuple(role for role in GPR_INDEX_ROLES if role in roles))

    def message(self, text: str) -> Message | Integer:
        found = re.fullmatch(r"sendmsg\((\w.*)\)", text)
        return Message(found[1]) if found else Integer(self._field(text, 16), text)

    def _field(self, text: str, bits: int) -> int:
        value = self.integer(text)
        if not 0 <= value < 1 << bits:
            raise self.line.error(f"{text!r} does not fit into {bits} bits")
        return value


def read_operand(text: str) -> Operand:
    """One operand that stands alone. Raises RocmoeError."""
    return OperandReader(Line("operand", 1, text), Constants()).read(text)
