"""Profiles in TOML: every value beside the source that it is from.

`name` and `summary` are plain strings; every other key is a table of `value` and `source`, where a
source begins `verified:` and says what was read, or `from memory, unverified:` and says what it is
believed from.  What is wrong is a `RocmoeError` that names the file, the key, what was found and
what is wanted.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rocmoe.ops.core.errors import RocmoeError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCE_MARKS = ("verified:", "from memory, unverified:")


@dataclass(frozen=True)
class Kind:
    """What a value has to be, in words and as a test."""

    wanted: str
    accepts: Callable[[object], bool]
    convert: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Entries:
    """What a profile says, its values not checked yet."""

    name: str
    summary: str
    values: Mapping[str, object]
    sources: Mapping[str, str]


def list_bundled(folder: str) -> list[str]:
    """The names of the profiles that come with the package in a folder, sorted."""
    files = [file.name for file in _find(folder).iterdir()]
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def read_bundled(folder: str, what: str, name: str) -> str:
    """The text of the bundled profile of that name; what: the word for one in errors."""
    if name not in list_bundled(folder):
        raise unknown(what, name, list_bundled(folder))
    return str((_find(folder) / f"{name}.toml").read_text(encoding="utf-8"))


def read_file(path: Path) -> str:
    """The text of a profile of the user's."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RocmoeError(f"{path}: found bytes that are not UTF-8; wanted a profile") from None
    except OSError as error:
        reason = error.strerror or _one_line(error)
        raise RocmoeError(f"{path}: found no readable file ({reason}); wanted a profile") from None


def parse_entries(text: str, kinds: Mapping[str, Kind], file: str) -> Entries:
    """What the text of a profile with keys of these kinds says; `file` names it in errors."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RocmoeError(f"{file}: found no TOML ({_one_line(error)}); wanted a profile") from None
    name, summary = (_take_text(document, key, file) for key in ("name", "summary"))
    entries = {key: _take_entry(key, entry, kinds, file) for key, entry in document.items()}
    values = {key: value for key, (value, _) in entries.items()}
    return Entries(name, summary, values, {key: source for key, (_, source) in entries.items()})


def check_entries(
    values: Mapping[str, object], sources: Mapping[str, str], kinds: Mapping[str, Kind], file: str
) -> dict[str, Any]:
    """The values converted by their kinds; each must have a source, whatever format it is from."""
    typed = {key: _check_value(key, value, kinds, file) for key, value in values.items()}
    for key in typed:
        _check_source(key, sources.get(key), file)
    return typed


def wrong(file: str, key: str, found: object, wanted: str) -> RocmoeError:
    """What is said of a key that is missing, as found is None, or is not what is wanted."""
    shown = "nothing" if found is None else repr(found)
    return RocmoeError(f"{file}: {key}: found {shown}; wanted {wanted}")


def one_of(names: tuple[str, ...]) -> Kind:
    """One of several words."""
    return Kind(f"one of {', '.join(names)}", lambda value: value in names)


def _at_least(low: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 < value <= sys.float_info.max


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


COUNT = Kind("an integer of at least 1", _at_least(1))
COUNT_OR_NONE = Kind("an integer of at least 0", _at_least(0))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
POSITIVE = Kind("a number above 0", _is_positive, float)
TEXT = Kind("a string that is not empty", _is_text)
TEXTS = Kind("a list of strings that are not empty", _are_texts, tuple)


def _find(folder: str) -> Any:
    return importlib.resources.files("rocmoe.profiles") / folder


def _take_text(document: dict[str, Any], key: str, file: str) -> str:
    found = document.pop(key, None)
    if not TEXT.accepts(found):
        raise wrong(file, key, found, TEXT.wanted)
    return str(found)


def _take_entry(
    key: str, entry: object, kinds: Mapping[str, Kind], file: str
) -> tuple[object, str]:
    _find_kind(key, kinds, file)
    if not isinstance(entry, dict):
        raise wrong(file, key, entry, "a table of value and source")
    for part in entry:
        if part not in ("value", "source"):
            raise wrong(file, key, part, "value and source alone")
    for part in ("value", "source"):
        if part not in entry:
            raise wrong(file, f"{key}.{part}", None, "a table of value and source")
    return entry["value"], entry["source"]


def _check_value(key: str, value: object, kinds: Mapping[str, Kind], file: str) -> Any:
    kind = _find_kind(key, kinds, file)
    if not kind.accepts(value):
        raise wrong(file, key, value, kind.wanted)
    return kind.convert(value)


def _check_source(key: str, source: object, file: str) -> None:
    marked = isinstance(source, str) and source.startswith(SOURCE_MARKS)
    if not marked or not str(source).partition(":")[2].strip():
        wanted = " or ".join(f"'{mark} ...'" for mark in SOURCE_MARKS)
        raise wrong(file, f"{key}.source", source, wanted)


def _find_kind(key: str, kinds: Mapping[str, Kind], file: str) -> Kind:
    if key not in kinds:
        raise RocmoeError(f"{file}: found {unknown('key', key, kinds)}")
    return kinds[key]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
