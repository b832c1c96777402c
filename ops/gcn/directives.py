"""Directives: sections, constants, source lines, kernel descriptors, and those that say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rocmoe.ops.core.errors import RocmoeError, nearest
from rocmoe.ops.gcn.descriptor import (
    IGNORED_DIRECTIVES,
    KernelDescriptor,
    build_descriptor,
    is_known,
    known_names,
)
from rocmoe.ops.gcn.expressions import Constants, ExpressionError, evaluate
from rocmoe.ops.gcn.instruction import SourceLocation
from rocmoe.ops.gcn.source import QUOTED, Line
from rocmoe.ops.gcn.target import Target, read_target

#: Those that change neither what executes nor where.
_SILENT = frozenset(
    (
        *(".globl", ".global", ".weak", ".hidden", ".protected", ".internal", ".local"),
        *(".size", ".ident", ".addrsig", ".addrsig_sym", ".p2align", ".p2alignl", ".p2alignw"),
        *(".align", ".balign", ".balignl", ".balignw", ".prefalign", ".comm", ".lcomm"),
        *(".symver", ".amdhsa_code_object_version", ".amdgcn_code_object_version"),
        *(".no_dead_strip", ".end", ".reloc", ".cg_profile"),
    )
)
_DATA = frozenset(
    (
        *(".byte", ".short", ".hword", ".half", ".2byte", ".4byte", ".8byte", ".word", ".long"),
        *(".int", ".quad", ".octa", ".single", ".float", ".double", ".ascii", ".asciz"),
        *(".string", ".uleb128", ".sleb128", ".zero", ".space", ".skip", ".org", ".incbin"),
        *(".dc.b", ".dc.l"),
    )
)
#: s_nop 0 and s_code_end, with which code is padded to a cache line.
PADDING = (0xBF800000, 0xBF9F0000)
_MACROS = frozenset(
    (
        *(".macro", ".endm", ".rept", ".endr", ".irp", ".irpc", ".if", ".ifdef", ".ifndef"),
        *(".else", ".endif"),
    )
)
_SECTIONS = {".text": True, ".data": False, ".bss": False, ".rodata": False}
_KNOWN = (
    _SILENT | _DATA | _SECTIONS.keys() | {".section", ".loc", ".file", ".set", ".amdgcn_target"}
)


@dataclass
class Directives:
    """What the directives read so far have said."""

    constants: Constants = field(default_factory=Constants)
    target: Target | None = None
    in_code: bool = True
    source: SourceLocation | None = None
    functions: set[str] = field(default_factory=set)
    lds_symbols: dict[str, tuple[int, int]] = field(default_factory=dict)
    kernels: dict[str, Line] = field(default_factory=dict)
    _sections: list[bool] = field(default_factory=list)
    _files: dict[int, str] = field(default_factory=dict)
    _descriptors: dict[str, dict[str, tuple[str, Line]]] = field(default_factory=dict)
    _open: str = ""

    def read(self, name: str, rest: str, line: Line) -> None:
        """Raises RocmoeError for a directive that is not known, or says what cannot be kept."""
        if name.startswith(".amdhsa_") and name not in _SILENT and name != ".amdhsa_kernel":
            self._describe(name[len(".amdhsa_") :], rest, line)
        elif name in _HANDLERS:
            _HANDLERS[name](self, rest, line)
        elif name in _SECTIONS:
            self.in_code = _SECTIONS[name]
        elif name in _DATA and self.in_code:
            raise line.error("data among instructions: bytes are not disassembled")
        elif name in _MACROS:
            raise line.error("macros are not expanded: assemble the file, and give the code object")
        elif name not in _SILENT and name not in _DATA and not name.startswith(".cfi_"):
            raise line.error(f"directive {name} is not known{nearest(name, _KNOWN)}")

    def define(self, name: str, text: str, line: Line) -> None:
        """`.set NAME, TEXT` or `NAME = TEXT`."""
        try:
            self.constants.define(name.strip('"'), text)
        except ExpressionError as error:
            raise line.error(str(error)) from None

    def finish(self) -> Mapping[str, KernelDescriptor]:
        """The descriptors by kernel, once every constant they use is defined."""
        if self._open:
            raise self.kernels[self._open].error("no .end_amdhsa_kernel follows")
        return {name: self._build(name) for name in self.kernels}

    def _build(self, name: str) -> KernelDescriptor:
        given = self._descriptors[name].items()
        values = {
            field_name: self._integer(text, line)
            for field_name, (text, line) in given
            if field_name not in IGNORED_DIRECTIVES
        }
        try:
            return build_descriptor(values)
        except RocmoeError as error:
            raise self.kernels[name].error(str(error)) from None

    def _integer(self, text: str, line: Line) -> int:
        try:
            return evaluate(text, self.constants.value_of)
        except ExpressionError as error:
            raise line.error(str(error)) from None

    def _set_target(self, rest: str, line: Line) -> None:
        try:
            self.target = read_target(rest.strip('"'))
        except RocmoeError as error:
            raise line.error(str(error)) from None

    def _section(self, rest: str, line: Line) -> None:
        name, _, flags = rest.partition(",")
        executable = re.match(r'\s*"\w*x', flags) is not None
        self.in_code = executable or re.match(r'"?\.text\b', name) is not None

    def _push(self, rest: str, line: Line) -> None:
        self._sections.append(self.in_code)
        self._section(rest, line)

    def _pop(self, rest: str, line: Line) -> None:
        if not self._sections:
            raise line.error("no .pushsection before it")
        self.in_code = self._sections.pop()

    def _set(self, rest: str, line: Line) -> None:
        name, comma, text = rest.partition(",")
        if not comma:
            raise line.error("wanted NAME, VALUE")
        self.define(name.strip(), text.strip(), line)

    def _type(self, rest: str, line: Line) -> None:
        name, _, kind = rest.partition(",")
        if kind.strip() in ("@function", "STT_FUNC", '"function"', "%function"):
            self.functions.add(name.strip().strip('"'))

    def _file(self, rest: str, line: Line) -> None:
        """`.file N ["folder"] "name" ...`; without a number it names the module alone."""
        found = re.match(rf"(\d+)\s+({QUOTED})(?:\s+({QUOTED}))?", rest)
        if found:
            parts = [part[1:-1] for part in found.groups()[1:] if part]
            folder = "" if parts[-1].startswith("/") or len(parts) == 1 else f"{parts[0]}/"
            self._files[int(found[1])] = folder + parts[-1]
        elif not re.fullmatch(QUOTED, rest):
            raise line.error('wanted .file NUMBER ["FOLDER"] "NAME"')

    def _loc(self, rest: str, line: Line) -> None:
        """`.loc FILE LINE [COLUMN] ...`; line 0 is code that has no place in the source."""
        found = re.match(r"(\d+)\s+(\d+)(?:\s+(\d+))?", rest)
        if not found:
            raise line.error("wanted .loc FILE LINE [COLUMN]")
        number, at, column = int(found[1]), int(found[2]), int(found[3] or 0)
        if number not in self._files:
            raise line.error(f"no .file {number} before it")
        self.source = SourceLocation(self._files[number], at, column) if at else None

    def _lds(self, rest: str, line: Line) -> None:
        name, *sizes = (part.strip() for part in rest.split(","))
        if len(sizes) not in (1, 2):
            raise line.error("wanted NAME, BYTES[, ALIGNMENT]")
        numbers = [self._integer(size, line) for size in sizes]
        self.lds_symbols[name] = (numbers[0], numbers[1] if len(numbers) == 2 else 4)

    def _fill(self, rest: str, line: Line) -> None:
        count, size, value = ([*rest.split(","), "1", "0"])[:3]
        padding = self._integer(size, line) == 4 and self._integer(value, line) in PADDING
        if self.in_code and self._integer(count, line) and not padding:
            raise line.error("data among instructions: bytes are not disassembled")

    def _begin_kernel(self, rest: str, line: Line) -> None:
        name = rest.strip('"')
        if self._open or name in self.kernels:
            raise line.error("a kernel's descriptor is opened twice")
        self.kernels[name] = line
        self._descriptors[name] = {}
        self._open = name

    def _end_kernel(self, rest: str, line: Line) -> None:
        if not self._open:
            raise line.error("no .amdhsa_kernel before it")
        self._open = ""

    def _describe(self, name: str, rest: str, line: Line) -> None:
        if not self._open:
            raise line.error("no .amdhsa_kernel before it")
        if not is_known(name):
            hint = nearest(f".amdhsa_{name}", [f".amdhsa_{known}" for known in known_names()])
            raise line.error(f"directive .amdhsa_{name} is not known{hint}")
        if name in self._descriptors[self._open]:
            raise line.error(f".amdhsa_{name} is given twice")
        self._descriptors[self._open][name] = (rest, line)


_HANDLERS: Mapping[str, Callable[[Directives, str, Line], None]] = {
    ".amdgcn_target": Directives._set_target,
    ".amdhsa_kernel": Directives._begin_kernel,
    ".end_amdhsa_kernel": Directives._end_kernel,
    ".amdgpu_lds": Directives._lds,
    ".section": Directives._section,
    ".pushsection": Directives._push,
    ".popsection": Directives._pop,
    ".set": Directives._set,
    ".equ": Directives._set,
    ".type": Directives._type,
    ".file": Directives._file,
    ".loc": Directives._loc,
    ".fill": Directives._fill,
}
