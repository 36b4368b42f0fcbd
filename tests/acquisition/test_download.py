"""Downloads: what goes well, many files at once, progress, and the disk."""

import errno
import io
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest

pytest.importorskip("requests", reason="requests is not installed: pip install -r requirements.txt")
from blindsr.acquisition import download as module
from blindsr.acquisition.download import Job, download, download_all
from blindsr.runtime.errors import UserError
from loopback import (
    BODY,
    HALF,
    MD5,
    OTHER,
    SHA,
    SPACE,
    Handler,
    Server,
    answer,
    left,
    never,
    refused,
    status,
    write_part,
)

pytestmark = pytest.mark.usefixtures("no_proxy")


# --- what goes well


@pytest.mark.parametrize("known", [{}, {"size": len(BODY)}, {"md5": MD5}, {"sha256": SHA.upper(), "md5": MD5}])
def test_a_file_arrives_whole_and_alone(server: Server, target: Path, known: dict[str, Any]) -> None:
    assert download(server.url(), target, label="Set5", **known) == target
    assert target.read_bytes() == BODY
    assert left(target) == {"set.zip"}
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


def test_what_is_there_and_right_is_not_fetched_again(server: Server, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(BODY)
    download(server.url(), target, size=len(BODY), md5=MD5, sha256=SHA, label="Set5")
    assert server.asked == []
    target.write_bytes(OTHER)
    download(server.url(), target, sha256=SHA, label="Set5")
    assert target.read_bytes() == BODY
    target.write_bytes(BODY[:-1])
    download(server.url(), target, size=len(BODY), label="Set5")
    assert target.read_bytes() == BODY
    assert len(server.asked) == 2


def test_a_body_without_length_and_an_empty_one(server: Server, target: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))

    server.then(chunked, answer(b""))
    assert download(server.url(), target, size=len(BODY), label="Set5").read_bytes() == BODY
    assert download(server.url(), target.with_name("empty"), label="Set5").read_bytes() == b""


def test_bytes_are_stored_as_they_are_even_if_called_gzip(server: Server, target: Path) -> None:
    server.then(answer(headers={"Content-Encoding": "gzip"}))  # some servers say this of every .tar.gz
    assert download(server.url(), target, sha256=SHA, label="Set5").read_bytes() == BODY


def test_a_proxy_of_the_environment_is_used(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url(""))
    download("http://data.example/set.zip", target, sha256=SHA, label="Set5")
    assert server.asked[0][0] == "http://data.example/set.zip"


# --- many files


def jobs(server: Server, folder: Path, number: int) -> list[Job]:
    return [
        Job(url=server.url(f"/{name}.png"), target=folder / f"{name}.png", size=len(BODY), sha256=SHA, label="Set5")
        for name in range(number)
    ]


def test_many_files_at_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    together = threading.Barrier(3)  # breaks after 20 s unless three are asked for at the same time

    def meet(handler: Handler) -> None:
        together.wait(20)
        answer()(handler)

    server.then(meet, meet, meet)
    wanted = jobs(server, tmp_path, 7)
    wanted[6].target.write_bytes(BODY)
    assert download_all(wanted, 3) == [job.target for job in wanted]
    assert all(job.target.read_bytes() == BODY for job in wanted)
    assert sorted(path for path, _ in server.asked) == [f"/{name}.png" for name in range(6)]
    assert len(list(tmp_path.iterdir())) == 7
    assert "Set5: 7/7 files, 4.0 MiB of 4.0, " in capsys.readouterr().err


def test_no_files(server: Server) -> None:
    assert download_all([]) == []


def test_the_first_failure_stops_the_rest_and_keeps_what_is_done(server: Server, tmp_path: Path) -> None:
    server.then(answer(), status(404))
    with pytest.raises(UserError, match=r"Set5: .*/1\.png: expected the file, got 404"):
        download_all(jobs(server, tmp_path, 5), 1)
    assert {path.name for path in tmp_path.iterdir()} == {"0.png"}
    assert len(server.asked) == 2
    download_all(jobs(server, tmp_path, 5))
    assert len(server.asked) == 6


def test_a_failure_cuts_a_long_download_which_resumes_later(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_sent, stopped = threading.Event(), threading.Event()

    class Told(threading.Event):
        def set(self) -> None:
            super().set()
            stopped.set()

    def slow(handler: Handler) -> None:
        handler.send(200, {"ETag": '"v1"'}, BODY[:HALF], len(BODY))
        half_sent.set()
        stopped.wait(20)
        handler.wfile.write(BODY[HALF:])

    def absent(handler: Handler) -> None:
        half_sent.wait(20)
        status(404)(handler)

    monkeypatch.setattr(module, "threading", SimpleNamespace(Event=Told, Lock=threading.Lock))
    monkeypatch.setattr(Handler, "do_GET", lambda self: (slow if self.path == "/0.png" else absent)(self))
    with pytest.raises(UserError, match=r"/1\.png: expected the file, got 404"):
        download_all(jobs(server, tmp_path, 2), 2)
    part = tmp_path / "0.png.part"
    assert 0 < part.stat().st_size < len(BODY)
    assert part.read_bytes() == BODY[: part.stat().st_size]
    monkeypatch.undo()
    assert download_all(jobs(server, tmp_path, 1)) == [tmp_path / "0.png"]
    assert server.ranges != [None]


def test_a_failure_ends_the_waiting_of_the_others(server: Server, tmp_path: Path) -> None:
    """Waits are cut short by the failure of another file: this test would take two minutes otherwise."""
    busy = threading.Event()

    def later(handler: Handler) -> None:
        status(503, Retry_After="120")(handler)
        busy.set()

    def absent(handler: Handler) -> None:
        busy.wait(20)
        status(404)(handler)

    server.then(later, absent)
    with pytest.raises(UserError, match="got 404"):
        download_all(jobs(server, tmp_path, 2), 2)
    assert len(server.asked) == 2


def test_space_for_all_files_is_looked_at_first(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SPACE(10**9, 0, 2 * len(BODY)))
    with pytest.raises(UserError, match="MiB more are needed"):
        download_all(jobs(server, tmp_path / "new" / "folder", 3))
    assert server.asked == []
    assert len(download_all(jobs(server, tmp_path / "new" / "folder", 2))) == 2


# --- progress


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    mib = 1 << 20
    job = Job(url="http://a/b", target=Path("b"), label="Set5")
    with module._Meter("Set5", 2) as meter:
        meter.place(job, 20 * mib, 100 * mib)  # 20 MiB were here before
        now[0] = 40.0
        meter.place(job, 60 * mib, 100 * mib)  # 40 MiB in 40 s; 40 of this file and one more like it are left
    assert capsys.readouterr().err == "Set5: 0/2 files, 60.0 MiB of 200.0, 1.0 MiB/s, 0:02:20 left\n"


def test_a_bar_on_a_terminal(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    download(server.url(), target, label="Set5")
    shown = capsys.readouterr().err
    assert "Set5" in shown
    assert "1/1 files, 0.6 MiB of 0.6" in shown


# --- the disk


def test_free_space_is_looked_at_first(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SPACE(10**9, 0, len(BODY) - 1))
    refused(server.url(), target, "MiB more are needed", "are free in", "free space and run again")
    assert left(target) == set()
    shutil.rmtree(target.parent)
    write_part(server, target, BODY[:1000])  # what is here need not fit again
    assert download(server.url(), target, label="Set5").read_bytes() == BODY


class FullDisk(io.FileIO):
    """Takes 200,000 bytes."""

    def write(self, content: Any) -> int:
        if self.tell() >= 200_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def test_a_disk_that_fills_up_keeps_the_part(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def opened(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        return io.BufferedWriter(FullDisk(path, "a")) if mode == "ab" else real(path, mode, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        line = refused(server.url(), target, "cannot be written (No space left on device)", "free space")
    kept = target.with_name("set.zip.part").read_bytes()
    assert len(kept) >= 190_000
    assert kept == BODY[: len(kept)]
    assert f"{len(kept)} bytes are kept" in line
    download(server.url(), target, sha256=SHA, label="Set5", sleep=never)
    assert server.ranges[1] == f"bytes={len(kept)}-"


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"a file")
    refused(server.url(), tmp_path / "raw" / "Set5" / "set.zip", "cannot be written", "rights")


def test_one_process_at_a_time(server: Server, target: Path) -> None:
    target.parent.mkdir(parents=True)
    with filelock.FileLock(target.with_name("set.zip.part.lock")):
        refused(server.url(), target, "another process is fetching")
    assert download(server.url(), target, label="Set5") == target
    assert left(target) == {"set.zip"}
