"""Archives: the same bytes for the same files, and hostile ones refused in one line."""

import gzip
import io
import os
import tarfile

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.bundle import archive

FILES = {"bundle.json": b"{}", "inputs/0.safetensors": bytes(range(256)) * 5, "empty": b""}


def write_tar(path, *members, format=tarfile.USTAR_FORMAT):
    """A gzipped tar of (name, content, changes of the member)."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format) as tar:
        for name, content, changes in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for attribute, value in changes.items():
                setattr(member, attribute, value)
            tar.addfile(member, io.BytesIO(content))
    path.write_bytes(gzip.compress(written.getvalue()))
    return path


def refuse(path):
    with pytest.raises(RocmoeError) as refused:
        archive.unpack(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_files_come_back_as_they_were(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(archive.pack("name", FILES))
    assert archive.unpack(path) == FILES


def test_the_same_files_make_the_same_bytes_whoever_packs_them_when(monkeypatch):
    packed = archive.pack("name", FILES)
    monkeypatch.setattr("time.time", lambda: 1e9)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert archive.pack("name", dict(reversed(FILES.items()))) == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == [f"name/{path}" for path in sorted(FILES)]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}


def test_zeros_are_packed_so_that_they_are_no_bomb(tmp_path):
    files = {"inputs/0.safetensors": bytes(2 * archive.RATIO_FREE_BYTES)}
    path = tmp_path / "zeros.tar.gz"
    path.write_bytes(archive.pack("name", files))
    assert archive.unpack(path) == files


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/../../evil", "is no path"),
        ("a/..", "is no path"),
        ("a/b/../c", "is no path"),
        ("/etc/passwd", "is no path"),
        ("a//etc/passwd", "is no path"),
        ("a/.hidden", "is no path"),
        ("a/back\\slash", "is no path"),
        ("a/new\nline", "is no path"),
        ("a/./b", "is no path"),
        ("alone", "is no path"),
        ("a/" + "x" * 99, "is no path"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(tmp_path, name, said):
    assert said in refuse(write_tar(tmp_path / "a.tar.gz", (name, b"x", {})))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "'a/b' is a symbolic link"),
        ({"type": tarfile.LNKTYPE, "linkname": "a/c"}, "'a/b' is a link"),
        ({"type": tarfile.DIRTYPE}, "'a/b' is a folder"),
        ({"type": tarfile.CHRTYPE}, "'a/b' is a device"),
        ({"type": tarfile.BLKTYPE}, "'a/b' is a device"),
        ({"type": tarfile.FIFOTYPE}, "'a/b' is a pipe"),
        ({"type": tarfile.GNUTYPE_SPARSE}, "is of type b'S'"),
        ({"type": tarfile.CONTTYPE}, "is of type b'7'"),
    ],
)
def test_what_is_no_plain_file_is_refused(tmp_path, changes, said):
    assert said in refuse(write_tar(tmp_path / "a.tar.gz", ("a/b", b"", changes)))


def test_extended_headers_are_refused(tmp_path):
    member = ("a/b", b"x", {"pax_headers": {"path": "/etc/passwd"}})
    path = write_tar(tmp_path / "a.tar.gz", member, format=tarfile.PAX_FORMAT)
    assert "is of type b'x'" in refuse(path)
    long = ("a/" + "x" * 120, b"x", {})
    path = write_tar(tmp_path / "a.tar.gz", long, format=tarfile.GNU_FORMAT)
    assert "is of type b'L'" in refuse(path)


def test_names_that_are_there_twice_are_refused(tmp_path):
    twice = write_tar(tmp_path / "a.tar.gz", ("a/b", b"1", {}), ("a/b", b"2", {}))
    assert refuse(twice) == "'a/b' is there twice (as 'a/b')"
    alike = write_tar(tmp_path / "a.tar.gz", ("a/Bc", b"1", {}), ("a/bC", b"2", {}))
    assert refuse(alike) == "'a/bC' is there twice (as 'a/Bc')"


def test_several_folders_are_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", ("a/b", b"1", {}), ("c/d", b"2", {}))
    assert "'c/d' is not in the folder of the others" in refuse(path)


def test_damaged_archives_are_refused(tmp_path):
    path, packed = tmp_path / "a.tar.gz", archive.pack("name", FILES)
    for size in (0, 5, 30, len(packed) // 2, len(packed) - 8, len(packed) - 1):
        path.write_bytes(packed[:size])
        assert refuse(path) == "it is truncated", size
    path.write_bytes(packed + b"more")
    assert refuse(path) == "something follows its end"
    path.write_bytes(packed + packed)
    assert refuse(path) == "something follows its end"
    path.write_bytes(packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:])
    assert "it is no gzip file" in refuse(path)
    path.write_bytes(b"PK\3\4 a zip file")
    assert "it is no gzip file" in refuse(path)
    path.write_bytes(gzip.compress(b"not a tar" * 100))
    assert "it is no tar archive" in refuse(path)
    path.write_bytes(gzip.compress(bytes(1024) + b"behind the end" + bytes(498)))
    assert refuse(path) == "something follows its last file"


def test_a_size_that_the_archive_does_not_have_is_refused(tmp_path):
    written = io.BytesIO()
    member = tarfile.TarInfo("a/b")
    for size, said in ((1 << 20, "it is truncated"), (1 << 34, "at most")):
        member.size = size
        written = member.tobuf(tarfile.GNU_FORMAT) + bytes(2048)
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(written))
        assert said in refuse(tmp_path / "a.tar.gz")


def test_bombs_are_refused_before_they_are_inflated(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "a.tar.gz", ("a/b", bytes(64 << 20), {}))
    assert path.stat().st_size < 1 << 18
    assert "more than 200 bytes for each of its own" in refuse(path)
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 1 << 30)
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    assert "at most 1048576" in refuse(path)
    many = [(f"a/{n}", b"", {}) for n in range(6000)]
    assert refuse(write_tar(path, *many)) == "it holds more than 1000 files"
    monkeypatch.setattr(archive, "MOST_FILES", 10**6)
    assert refuse(path) == "it holds more than 1048576 bytes"


def test_a_bundle_that_would_be_refused_is_not_made():
    archive.check_bounds(FILES)
    with pytest.raises(RocmoeError, match="is there twice"):
        archive.check_bounds({"a": b"", "A": b""})


def test_a_folder_is_read_without_following_anything(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "inputs").mkdir(parents=True)
    for path, content in FILES.items():
        (folder / path).write_bytes(content)
    assert archive.read_folder(folder) == FILES
    for name, make, said in (
        ("link", lambda p: p.symlink_to("/etc/passwd"), "'link' is a symbolic link"),
        ("inside", lambda p: p.symlink_to(tmp_path), "'inside' is a symbolic link"),
        ("pipe", os.mkfifo, "'pipe' is no plain file"),
        (".hidden", lambda p: p.touch(), "'.hidden' is no path"),
        ("Empty", lambda p: p.touch(), "is there twice"),
    ):
        make(folder / name)
        with pytest.raises(RocmoeError, match=said):
            archive.read_folder(folder)
        (folder / name).unlink()


def test_a_folder_of_too_much_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(600))
    (tmp_path / "b").write_bytes(bytes(600))
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    with pytest.raises(RocmoeError, match="more than 1000 bytes"):
        archive.read_folder(tmp_path)
