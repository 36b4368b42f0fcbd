"""Archives: the right files come out, and nothing that a hostile or broken one wants."""

import gzip
import io
import random
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections import namedtuple
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.acquisition import archive as module
from blindsr.acquisition.archive import unpack
from blindsr.runtime.errors import UserError

CONTENT = {"DIV2K/0801.png": b"first" * 3000, "DIV2K/0802.png": b"second", "DIV2K/readme.txt": b"words"}
KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
SIZES = namedtuple("SIZES", "total used free")


def make_zip(path: Path, members: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def make_tar(path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if info.isreg():
                info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def make(path: Path, kind: str, content: dict[str, bytes] = CONTENT) -> Path:
    if kind == "zip":
        return make_zip(path, content.items())
    return make_tar(path, content.items(), "w" if kind == "tar" else f"w:{kind[4:]}")


def refused(archive: Path, folder: Path, *words: str, members: str = "*.png", **limits: int) -> str:
    """The one line of the refusal, which has `words`."""
    with pytest.raises(UserError) as caught:
        unpack(archive, members, folder, label="Set5", **limits)
    line = str(caught.value)
    assert line.startswith(f"Set5: {archive}")
    assert "\n" not in line
    for word in words:
        assert word in line
    return line


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_matching_files_are_flattened_whatever_the_archive_is_called(tmp_path: Path, kind: str) -> None:
    made = unpack(make(tmp_path / "set.bin", kind), "*.png", tmp_path / "out", label="Set5")
    assert made == [tmp_path / "out" / "0801.png", tmp_path / "out" / "0802.png"]
    assert files_in(tmp_path / "out") == {"0801.png": b"first" * 3000, "0802.png": b"second"}


def test_glob_is_held_against_the_whole_path(tmp_path: Path) -> None:
    content = {"./bench/Set5/HR/a.png": b"hr", "./bench/Set5/LR/a.png": b"lr", "./bench/Set14/HR/b.png": b"other"}
    unpack(make(tmp_path / "a", "tar", content), "bench/Set5/HR/*", tmp_path / "out", label="Set5")
    assert files_in(tmp_path / "out") == {"a.png": b"hr"}


def test_backslashes_of_old_windows_archivers_are_folders(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "a", [("HR\\a.png", b"a")]), "HR/*.png", tmp_path / "out", label="Set5")
    assert files_in(tmp_path / "out") == {"a.png": b"a"}
    refused(make_zip(tmp_path / "b", [("HR\\..\\..\\a.png", b"a")]), tmp_path / "evil", "leads out")


@pytest.mark.parametrize("kind", KINDS)
def test_second_call_finishes_what_a_kill_left(tmp_path: Path, kind: str) -> None:
    archive, out = make(tmp_path / "a", kind), tmp_path / "out"
    unpack(archive, "*.png", out, label="Set5")
    (out / "0801.png").unlink()
    (out / "0802.png").write_bytes(b"old")
    (out / ".blindsr-0123456789abcdef").write_bytes(b"half")  # what a kill may leave of a file on its way
    (out / ".keep").write_bytes(b"")
    unpack(archive, "*.png", out, label="Set5")
    assert files_in(out) == {"0801.png": b"first" * 3000, "0802.png": b"second", ".keep": b""}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/tmp/evil.png", "C:/evil.png", "..\\evil.png"])
def test_paths_that_lead_out_refuse_the_whole_archive(tmp_path: Path, kind: str, name: str) -> None:
    archive = make(tmp_path / "a", kind, {"good.png": b"good", name: b"evil"})
    refused(archive, tmp_path / "x" / "out", "leads out of the folder", name.replace("\\", "/"))
    refused(archive, tmp_path / "x" / "out", "leads out of the folder", members="good*")
    assert set(files_in(tmp_path)) == {"a"}


def tar_special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a special file"),
        (tarfile.BLKTYPE, "a special file"),
        (tarfile.FIFOTYPE, "a special file"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
    ],
)
def test_links_and_devices_of_a_tar(tmp_path: Path, kind: bytes, word: str) -> None:
    members = [("good.png", b"good"), (tar_special("x/evil.png", kind, "/etc/passwd"), b"")]
    archive = make_tar(tmp_path / "a", members)
    refused(archive, tmp_path / "out", word, "x/evil.png")
    assert not (tmp_path / "out").exists()
    unpack(archive, "good*", tmp_path / "out", label="Set5")  # one that is not asked for does no harm
    assert files_in(tmp_path / "out") == {"good.png": b"good"}


@pytest.mark.parametrize(("mode", "word"), [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a special file")])
def test_links_and_devices_of_a_zip(tmp_path: Path, mode: int, word: str) -> None:
    info = zipfile.ZipInfo("x/evil.png")
    info.external_attr = (mode | 0o777) << 16
    refused(make_zip(tmp_path / "a", [(info, b"/etc/passwd")]), tmp_path / "out", word, "x/evil.png")


def test_a_link_in_the_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "out" / "0801.png").symlink_to(tmp_path / "mine")
    unpack(make(tmp_path / "a", "tar"), "*.png", tmp_path / "out", label="Set5")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (tmp_path / "out" / "0801.png").read_bytes() == b"first" * 3000


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("second", ["LR/a.png", "LR/A.PNG"])
def test_two_members_of_one_file_name(tmp_path: Path, kind: str, second: str) -> None:
    archive = make(tmp_path / "a", kind, {"HR/a.png": b"hr", second: b"lr"})
    refused(archive, tmp_path / "out", "HR/a.png", second, members="*.[pP][nN][gG]")
    assert not (tmp_path / "out").exists()


def test_encrypted_zip(tmp_path: Path) -> None:
    archive = make(tmp_path / "a", "zip")
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1  # the flag in the directory entry of the first member
    archive.write_bytes(raw)
    refused(archive, tmp_path / "out", "encrypted", "DIV2K/0801.png")


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_max_bytes(tmp_path: Path, kind: str) -> None:
    archive, whole = make(tmp_path / "a", kind), 15006
    refused(archive, tmp_path / "out", "more than 15005 bytes", "DIV2K/0801.png", max_bytes=whole - 1)
    assert not (tmp_path / "out").exists()
    assert len(unpack(archive, "*.png", tmp_path / "out", max_bytes=whole, label="Set5")) == 2


def test_what_comes_out_is_counted_not_only_what_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make(tmp_path / "a", "zip")
    honest = module._zip_members

    def liar(*args: object) -> Iterable[module._Member]:
        for member in honest(*args):  # type: ignore[arg-type]
            yield module._Member(member.path, 1, member.trouble, member.open)

    monkeypatch.setattr(module, "_zip_members", liar)
    refused(archive, tmp_path / "out", "more than 100 bytes", max_bytes=100)
    assert files_in(tmp_path / "out") == {}
    refused(archive, tmp_path / "out", "expected 1 bytes, got 15000")
    assert files_in(tmp_path / "out") == {}


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_known_by_its_ratio(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SMALL", 1 << 16)
    archive = make(tmp_path / "a", kind, {"a.png": b"a", "unasked.bin": bytes(4 << 20)})
    refused(archive, tmp_path / "out", "come out of", members="a.png")
    assert not (tmp_path / "out").exists()


def test_a_bomb_behind_the_end_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SMALL", 1 << 16)
    raw = make(tmp_path / "a", "tar", {"a.png": b"a"}).read_bytes()
    (tmp_path / "a").write_bytes(gzip.compress(raw + bytes(4 << 20)))
    refused(tmp_path / "a", tmp_path / "out", "come out of")


def test_a_tar_header_that_wants_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 36
    (tmp_path / "a").write_bytes(info.tobuf() + bytes(4096))
    refused(tmp_path / "a", tmp_path / "out")
    monkeypatch.setattr(module, "_MAX_HEADER", 1 << 10)
    refused(make(tmp_path / "b", "tar", {"long/" * 500 + "a.png": b"a"}), tmp_path / "out", "come out of")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_cut_archive_is_damaged(tmp_path: Path, kind: str, keep: float) -> None:
    noise = random.Random(0).randbytes(10_000)
    archive = make(tmp_path / "a", kind, {f"{number}.png": noise[: 9000 + number] for number in range(3)})
    raw = archive.read_bytes()
    if kind == "tar":
        raw = raw[: 3 * (512 + 9216)]  # without the padding, which may be missing
    archive.write_bytes(raw[: int(len(raw) * keep)])
    refused(archive, tmp_path / "out", "damaged or cut off", "fetch it again")
    assert not (tmp_path / "out").exists()


def test_a_tar_cut_between_two_members_or_with_a_broken_header(tmp_path: Path) -> None:
    archive = make(tmp_path / "a", "tar", {"a.png": b"a", "b.png": b"b"})
    raw = archive.read_bytes()
    archive.write_bytes(raw[:1024])
    refused(archive, tmp_path / "out", "no end mark")
    archive.write_bytes(raw[:1024] + b"x" + raw[1025:])
    refused(archive, tmp_path / "out", "no end mark")


def test_a_wrong_checksum_names_the_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as file:  # stored, so that only the checksum can tell
        file.writestr("a.png", b"a" * 100)
        file.writestr("b.png", b"b" * 100)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes().replace(b"bbb", b"bxb", 1))
    refused(tmp_path / "a", tmp_path / "out", "damaged or cut off at b.png", "CRC")
    assert files_in(tmp_path / "out") == {"a.png": b"a" * 100}  # what is whole stays


@pytest.mark.parametrize("content", [b"", b"<!doctype html><html>login</html>", b"\x89PNG\r\n", bytes(1024)])
def test_neither_zip_nor_tar(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", tmp_path / "out", "expected a zip or tar archive", "begins with")


def test_nothing_matches(tmp_path: Path) -> None:
    content = {f"HR/{number}.jpg": b"x" for number in range(7)}
    line = refused(make(tmp_path / "a", "zip", content), tmp_path / "out", "'*.png'", "holds 7 files", "HR/0.jpg")
    assert "HR/4.jpg, …" in line
    assert "HR/5.jpg" not in line
    refused(make(tmp_path / "b", "tar", {}), tmp_path / "out", "begins with")  # an empty tar is a block of zeros
    refused(make(tmp_path / "c", "zip", {}), tmp_path / "out", "holds 0 files: none")


def test_folders_that_match_are_no_files(tmp_path: Path) -> None:
    folder = tar_special("HR/a.png", tarfile.DIRTYPE)
    archive = make_tar(tmp_path / "a", [(folder, b""), ("HR/a.png/b.png", b"b")])
    assert unpack(archive, "*.png", tmp_path / "out", label="Set5") == [tmp_path / "out" / "b.png"]
    archive = make_zip(tmp_path / "b", [("HR.png/", b""), ("HR.png/c.png", b"c")])
    assert unpack(archive, "*.png*", tmp_path / "out", label="Set5") == [tmp_path / "out" / "c.png"]


@pytest.mark.parametrize("name", ["a\nb.png", "a\x1b[2Jb.png", "n" * 220 + ".png", "HR/", "."])
def test_unusable_file_names(tmp_path: Path, name: str) -> None:
    refused(make(tmp_path / "a", "tar", {name: b"x"}), tmp_path / "out", "no usable file name")


def test_the_archive_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", tmp_path / "out", "is not there")


def test_a_full_disk_is_seen_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make(tmp_path / "a", "zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SIZES(10**6, 0, 15006))
    refused(archive, tmp_path / "deep" / "out", "are free in", "free space and run again")
    assert not (tmp_path / "deep").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SIZES(10**6, 0, 15006 + 15000))
    assert len(unpack(archive, "*.png", tmp_path / "deep" / "out", label="Set5")) == 2


PART = st.sampled_from(
    ["..", ".", "", "a", "b.png", "C:", "é.png", "\u202e.png", "x" * 130, "nul\0.png", "new\nline", "~"]
)
NAME = st.builds(
    lambda head, parts, tail: head + "/".join(parts) + tail,
    st.sampled_from(["", "/", "./", "\\", "//", "../"]),
    st.lists(PART, min_size=1, max_size=4),
    st.sampled_from(["", ".png", "/", "\\x.png"]),
)


@settings(deadline=None, max_examples=100)
@given(names=st.lists(NAME.filter(bool), min_size=1, max_size=4), kind=st.sampled_from(["zip", "tar"]))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_name_writes_outside_the_folder(names: list[str], kind: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        out = root / "deep" / "out"
        members = [(name, b"evil") for name in names]
        archive = make_zip(root / "a", members) if kind == "zip" else make_tar(root / "a", members)
        made, line = [], "none"
        try:
            made = unpack(archive, "*", out, label="Set5")
        except UserError as error:
            line = str(error)
        assert line.isprintable()
        assert {path for path in root.rglob("*") if path.is_file()} == {archive, *made}
        assert all(path.parent == out for path in made)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), kind=st.sampled_from(["zip", "tar.gz", "tar.bz2", "tar.xz"]))
def test_a_damaged_byte_is_noticed_or_harmless(data: st.DataObject, kind: str) -> None:
    content = {"a.png": bytes(range(256)) * 4, "b.png": b"second" * 20}
    with tempfile.TemporaryDirectory() as place:
        archive, out = make(Path(place) / "a", kind, content), Path(place) / "out"
        raw = bytearray(archive.read_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        archive.write_bytes(raw)
        line = "none"
        try:
            unpack(archive, "*.png", out, label="Set5")
        except UserError as error:
            line = str(error)
        assert line.isprintable()
        assert set(files_in(out).values()) <= set(content.values())


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_files_and_folders_are_no_data(tmp_path: Path, kind: str) -> None:
    hidden = ("__MACOSX/HR/._a.png", "__MACOSX/HR/a.png", ".ipynb_checkpoints/b.png", "@eaDir/a.png", "HR/.x.png")
    content = {"HR/a.png": b"a"} | dict.fromkeys(hidden, b"no") | {"__MACOSX/._Icon\r": b"no"}
    unpack(make(tmp_path / "a", kind, content), "*", tmp_path / "out", label="Set5")
    assert files_in(tmp_path / "out") == {"a.png": b"a"}
    refused(make(tmp_path / "b", kind, {"__MACOSX/../../evil.png": b"x"}), tmp_path / "out", "leads out")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_more_members_than_anyone_packs(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_MEMBERS", 3)
    archive = make(tmp_path / "a", kind, {f"{number}.png": b"x" for number in range(3)})
    assert len(unpack(archive, "*.png", tmp_path / "out", label="Set5")) == 3
    refused(make(tmp_path / "b", kind, {f"{number}.png": b"x" for number in range(4)}), tmp_path / "x", "it holds")
    assert not (tmp_path / "x").exists()
