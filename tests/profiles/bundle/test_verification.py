"""What is not as its manifest says, or is nothing that a bundle holds, is refused in one line."""

import json
import os
import pickle
import re
import struct

import msgspec
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.bundle.archive import pack
from rocmoe.profiles.bundle.record import MANIFEST, encode_record, make_manifest
from rocmoe.profiles.bundle.verification import check_tensors, read_bundle, verify


class Evil:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def sign(files, **changes):
    """Files with a manifest that fits them."""
    files = {path: content for path, content in files.items() if path != MANIFEST}
    manifest = msgspec.structs.replace(make_manifest("name", files), **changes)
    return {**files, MANIFEST: encode_record(manifest)}


def refuse(files, said):
    with pytest.raises(RocmoeError, match=re.escape(said)) as refused:
        verify(files)
    assert "\n" not in str(refused.value)


def make_tensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def test_a_bundle_is_verified_as_archive_and_as_folder(made):
    bundle, unpacked = read_bundle(made.archive), read_bundle(made.folder)
    assert bundle.files == unpacked.files
    assert bundle.record == made.record
    assert bundle.manifest.name == "topk_softmax-user-" + bundle.manifest.name[-8:]


def test_any_other_byte_is_seen(made):
    files = dict(made.files)
    for path in ("inputs/0.safetensors", "repro.py", "candidate/halved.py", "bundle.json"):
        content = files[path]
        changed = {**files, path: content[:-1] + bytes([content[-1] ^ 1])}
        refuse(changed, f"'{path}' is not the file of its manifest")
        refuse({**files, path: content + b" "}, f"'{path}' is not the file of its manifest")
    refuse({p: c for p, c in files.items() if p != "repro.py"}, "'repro.py' of its manifest is mis")
    refuse({**files, "more.py": b""}, "'more.py' is not in its manifest")
    refuse({p: c for p, c in files.items() if p != MANIFEST}, "it has no manifest.json")


def test_a_manifest_that_is_none_is_refused(made):
    files = dict(made.files)
    for content in (b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format": "x"}'):
        refuse({**files, MANIFEST: content}, "manifest.json is malformed")
    refuse({**files, MANIFEST: bytes(5 << 20)}, "'manifest.json' has 5242880 bytes")
    refuse(sign(files, version=2), "version 2, newer than 1; upgrade rocmoe")


def test_a_newer_version_is_told_from_a_malformed_one(made):
    newer = b'{"format": "rocmoe.bundle", "version": 9, "files": [], "new": true}'
    refuse({**made.files, MANIFEST: newer}, "version 9, newer than 1; upgrade rocmoe")


@pytest.mark.parametrize(
    "path", ["evil.pkl", "inputs/evil.pkl", "inputs", "candidate", "docs/a.safetensors"]
)
def test_what_no_bundle_holds_is_refused(made, path):
    refuse(sign({**made.files, path: b"x"}), f"{path!r} is nothing that a bundle holds")


def test_a_pickle_is_refused_and_never_loaded(made, tmp_path):
    for path in ("inputs/0.safetensors", "actual/1.safetensors"):
        files = sign({**made.files, path: pickle.dumps(Evil(tmp_path / "ran"))})
        refuse(files, f"'{path}' is no safetensors file")
    assert not (tmp_path / "ran").exists()


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no safetensors file"),
        (make_tensors({}, length=1 << 40), "is no safetensors file"),
        (make_tensors(b"{" + b" " * (1 << 17)), "has a header of 131073 bytes"),
        (make_tensors(b"{"), "its header is malformed"),
        (make_tensors(b"[" * 60_000), "its header is malformed"),
        (make_tensors([]), "its header is malformed"),
        (make_tensors({"a": 1}), "its header is malformed"),
        (make_tensors({"a": {**ONE, "dtype": "PICKLE"}}, bytes(8)), "its header is malformed"),
        (make_tensors({"a": {**ONE, "shape": [-2]}}, bytes(8)), "its header is malformed"),
        (make_tensors({"a": {**ONE, "shape": [1 << 60]}}, bytes(8)), "one behind the other"),
        (make_tensors({"a": {**ONE, "data_offsets": [4, 12]}}, bytes(12)), "one behind the other"),
        (make_tensors({"a": ONE, "b": ONE}, bytes(8)), "one behind the other"),
        (make_tensors({"a": ONE}, bytes(9)), "holds more than its tensors"),
        (make_tensors({"a": ONE}, bytes(7)), "holds more than its tensors"),
    ],
)
def test_tensors_that_are_none_are_refused(content, said):
    with pytest.raises(RocmoeError, match=said):
        check_tensors("inputs/0.safetensors", content)


def test_tensors_are_taken():
    second = {"dtype": "BF16", "shape": [0, 7], "data_offsets": [8, 8]}
    check_tensors("x", make_tensors({"a": ONE, "b": second, "__metadata__": {}}, bytes(8)))


def test_a_record_that_contradicts_its_case_is_refused(made):
    record = made.record
    for changes, said in (
        ({"case": msgspec.structs.replace(record.case, dtype="fp32")}, "dtype is not that of case"),
        ({"case": msgspec.structs.replace(record.case, sizes={"T": 1})}, "sizes is not that of"),
        (
            {"candidate": msgspec.structs.replace(record.candidate, function="f()\x1b[2J")},
            "is no file of candidate",
        ),
        (
            {"candidate": msgspec.structs.replace(record.candidate, file="/etc/passwd")},
            "'/etc/passwd' is no file of candidate",
        ),
    ):
        changed = encode_record(msgspec.structs.replace(record, **changes))
        refuse(sign({**made.files, "bundle.json": changed}), said)


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(RocmoeError, match=r"bundle .*none.tar.gz cannot be read: No such file"):
        read_bundle(tmp_path / "none.tar.gz")
    os.mkfifo(tmp_path / "pipe.tar.gz")
    with pytest.raises(RocmoeError, match="it is neither a file nor a folder"):
        read_bundle(tmp_path / "pipe.tar.gz")
    (tmp_path / "a.tar.gz").write_bytes(pack("name", {"a": b""}))
    with pytest.raises(RocmoeError, match=r"bundle .*a.tar.gz is refused: it has no manifest.json"):
        read_bundle(tmp_path / "a.tar.gz")
