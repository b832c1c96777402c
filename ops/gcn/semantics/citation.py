"""How operations name the documents that define them."""

from __future__ import annotations


def cdna2(instruction: str, note: str = "") -> str:
    """The instruction's entry in the ISA document of gfx90a."""
    return f"CDNA2 ISA (AMD Instinct MI200): {instruction}" + (f"; {note}" if note else "")


def cdna3(instruction: str, note: str = "") -> str:
    """The instruction's entry in the ISA document of gfx940 to gfx942, which gfx90a shares."""
    return f"CDNA3 ISA (AMD Instinct MI300): {instruction}" + (f"; {note}" if note else "")


def cdna4(instruction: str, note: str = "") -> str:
    """The instruction's entry in the ISA document of gfx950."""
    return f"CDNA4 ISA (AMD Instinct MI350): {instruction}" + (f"; {note}" if note else "")
