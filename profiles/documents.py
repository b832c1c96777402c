"""JSON as AMD's tools print it: among warnings, several documents in a row, roots that differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_START = re.compile(r"[\[{]")


def decode_documents(text: str) -> Iterator[Any]:
    """The JSON documents of a text: tools print warnings around them, and several in a row."""
    decoder = json.JSONDecoder()
    position = 0
    while start := _START.search(text, position):
        try:
            document, position = decoder.raw_decode(text, start.start())
            yield document
        except (json.JSONDecodeError, RecursionError):
            position = start.end()


def list_entries(text: str) -> dict[int, dict[str, Any]]:
    """What amd-smi printed about each GPU, by its index.

    The root is a list up to ROCm 6.4, and has `gpu_data` in 7.x, save for `list`.  The same GPU may
    come in several documents (duplicates in about 7.2, ROCm/rocm-systems PR 3067): they are joined.
    """
    entries: dict[int, dict[str, Any]] = {}
    for document in decode_documents(text):
        found = document.get("gpu_data", [document]) if isinstance(document, dict) else document
        for entry in found if isinstance(found, list) else []:
            index = entry.get("gpu") if isinstance(entry, dict) else None
            if isinstance(index, int):
                entries[index] = {**entries.get(index, {}), **entry}
    return entries
