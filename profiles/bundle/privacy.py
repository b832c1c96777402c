"""What must not leave the machine: tokens, names of users and hosts, and where files lie."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rocmoe.profiles.environment import Environment, attempt

#: Of variables whose values are taken out wherever they stand.
SECRET = re.compile("TOKEN|SECRET|PASS|CREDENTIAL|KEY|AUTH|COOKIE", re.IGNORECASE)
#: Values shorter than this are no secret, and would be taken out of ordinary words.
SHORTEST_SECRET = 6
SHORTEST_NAME = 3
#: Names of users and hosts that say nothing of anybody, and are words of their own.
COMMON = ("root", "user", "users", "admin", "docker", "runner", "ubuntu", "localhost", "rocm")
#: Folders of the system, whose paths are the same on every machine.
SYSTEM = ("opt", "usr", "dev", "proc", "sys", "etc", "lib", "lib64", "bin")

_WORD = r"[^/\s:;,'\"()\[\]<>|]"
_HOME = re.compile(rf"/(?:home|Users)/{_WORD}+")
_PATH = re.compile(rf"(?:(?<=file://)|(?<![\w.~/<]))(?:/{_WORD}+)+/?")
_URL_USER = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class Scrubber:
    """Takes out of texts what tells of a person or a machine.

    words: by what replaces them, longest first.
    """

    words: tuple[tuple[str, str], ...]

    def clean(self, text: str) -> str:
        """A text without secrets, names, and the folders of files outside the system's."""
        for word, instead in self.words:
            if instead == "<secret>":
                text = text.replace(word, instead)
        text = _URL_USER.sub("<user>@", text)
        text = _HOME.sub("~", text)
        text = _PATH.sub(lambda found: _shorten(found[0]), text)
        for word, instead in self.words:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", instead, text)
        return text

    def clean_all(self, value: Any) -> Any:
        """A value of JSON with all its texts cleaned."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            return [self.clean_all(each) for each in value]
        if isinstance(value, dict):
            return {name: self.clean_all(each) for name, each in value.items()}
        return value

    def clean_environment(self, environment: Environment) -> Environment:
        """The record without variables that may be secrets, and with cleaned values."""
        kept = {k: v for k, v in environment.variables.items() if not SECRET.search(k)}
        record = msgspec.to_builtins(msgspec.structs.replace(environment, variables=kept))
        return msgspec.convert(self.clean_all(record), Environment)


def make_scrubber(environ: Mapping[str, str] | None = None) -> Scrubber:
    """A scrubber of what is known of this process: its user, its host and its variables."""
    environ = os.environ if environ is None else environ
    secrets = {v.strip() for k, v in environ.items() if SECRET.search(k)}
    words = {word: "<secret>" for word in secrets if _is_secret(word)}
    homes = (environ.get("HOME", ""), str(attempt(Path.home) or ""))
    users = (environ.get("USER"), environ.get("LOGNAME"), attempt(getpass.getuser))
    for name in (*users, *(Path(home).name for home in homes)):
        if name and len(name) >= SHORTEST_NAME and name.lower() not in COMMON:
            words.setdefault(name, "<user>")
    host = attempt(socket.gethostname) or ""
    for name in (host, host.partition(".")[0], environ.get("HOSTNAME", "")):
        if len(name) >= SHORTEST_NAME and name.lower() not in COMMON:
            words.setdefault(name, "<host>")
    return Scrubber(tuple(sorted(words.items(), key=lambda pair: (-len(pair[0]), pair[0]))))


def _is_secret(value: str) -> bool:
    """Paths of keys and sockets are hidden as all paths are; true, 1 and 4096 are settings."""
    return len(value) >= SHORTEST_SECRET and not value.startswith("/") and not value.isdigit()


def _shorten(path: str) -> str:
    """`.../FILE` for a path outside the folders of the system."""
    first = path.split("/")[1]
    return path if first in SYSTEM else f".../{path.rstrip('/').rpartition('/')[2]}"
