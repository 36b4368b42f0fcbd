"""Downloads that were cut: resumed where they ended, or begun anew where that is not safe."""

import re
import shutil
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("requests", reason="requests is not installed: pip install -r requirements.txt")
from blindsr.acquisition import download as module
from blindsr.acquisition.download import Job, download
from loopback import (
    BODY,
    HALF,
    MD5,
    OTHER,
    SHA,
    Handler,
    Server,
    Step,
    answer,
    left,
    never,
    refused,
    status,
    write_part,
)

pytestmark = pytest.mark.usefixtures("no_proxy")


# --- resuming


def test_a_cut_body_is_resumed_where_it_ended(server: Server, target: Path) -> None:
    server.then(answer(cut=HALF), answer(cut=HALF + 200_000))
    waits: list[float] = []
    download(server.url(), target, sha256=SHA, md5=MD5, label="Set5", sleep=waits.append)
    assert target.read_bytes() == BODY
    first, second = (int(str(said)[6:-1]) for said in server.ranges[1:])
    assert 0 < first <= HALF < second <= HALF + 200_000
    assert server.asked[1][1]["If-Range"] == '"v1"'
    assert waits == [1.0, 1.0]  # each brought something new
    assert left(target) == {"set.zip"}


def test_a_later_call_resumes(server: Server, target: Path) -> None:
    write_part(server, target, BODY[:HALF])
    download(server.url(), target, sha256=SHA, label="Set5")
    assert target.read_bytes() == BODY
    assert server.ranges == [f"bytes={HALF}-"]


def test_an_interruption_keeps_the_part(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(meter: object, job: Job, have: int, total: int | None) -> None:
        if have > HALF:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module._Meter, "place", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download(server.url(), target, label="Set5")
    assert left(target) == {"set.zip.part", "set.zip.part.json"}
    kept = target.with_name("set.zip.part").stat().st_size
    assert kept > HALF
    download(server.url(), target, label="Set5")
    assert target.read_bytes() == BODY
    assert server.ranges[1] == f"bytes={kept}-"


@pytest.mark.parametrize(
    "step",
    [
        answer(ranges=False),  # ignores Range
        answer(tag='"v2"'),  # another file, and If-Range is honoured
    ],
)
def test_an_answer_from_the_start_restarts_at_once(server: Server, target: Path, step: Step) -> None:
    write_part(server, target, OTHER[:HALF])
    server.then(step)
    download(server.url(), target, label="Set5", sleep=never)
    assert target.read_bytes() == BODY
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "step",
    [
        answer(tag='"v2"', if_range=False),  # another file, If-Range is ignored
        answer(BODY + b"longer", if_range=False),
        answer(headers={"Content-Range": "bytes 0-9/600000"}),
        answer(headers={"Content-Range": ""}),
        answer(BODY[:HALF], if_range=False),  # 416, the file became shorter… by just what is here
        answer(BODY[: HALF - 1], if_range=False),
    ],
)
def test_a_wrong_range_restarts_cleanly(server: Server, target: Path, step: Step) -> None:
    write_part(server, target, OTHER[:HALF])
    server.then(step)
    waits: list[float] = []
    download(server.url(), target, label="Set5", sleep=waits.append)  # no checksum that would notice
    assert target.read_bytes() == BODY
    assert server.ranges == [f"bytes={HALF}-", None]
    assert waits == [0]


@pytest.mark.parametrize("changes", [{"url": "http://127.0.0.1/other.zip"}, {"validator": None}])
def test_a_part_of_unknown_origin_is_not_resumed(server: Server, target: Path, changes: dict[str, Any]) -> None:
    write_part(server, target, OTHER[:HALF], **changes)
    download(server.url(), target, label="Set5")
    assert target.read_bytes() == BODY
    assert server.ranges == [None]


@pytest.mark.parametrize("note", ["", "[]", "{}", "\xff"])
def test_a_broken_note_is_not_resumed(server: Server, target: Path, note: str) -> None:
    write_part(server, target, OTHER[:HALF])
    target.with_name("set.zip.part.json").write_bytes(note.encode("latin-1"))
    assert download(server.url(), target, label="Set5").read_bytes() == BODY


def test_without_a_validator_the_checksum_watches_over_resuming(server: Server, target: Path) -> None:
    write_part(server, target, BODY[:HALF], validator=None)
    download(server.url(), target, sha256=SHA, label="Set5")
    assert server.ranges == [f"bytes={HALF}-"]
    assert "If-Range" not in server.asked[0][1]


def test_last_modified_stands_in_for_a_weak_etag(server: Server, target: Path) -> None:
    when = "Mon, 01 Jan 2024 00:00:00 GMT"
    server.then(answer(tag='W/"v1"', cut=HALF, headers={"Last-Modified": when}))
    download(server.url(), target, label="Set5", sleep=lambda seconds: None)
    assert server.asked[1][1]["If-Range"] == when
    assert target.read_bytes() == BODY


def test_a_damaged_part_costs_one_restart(server: Server, target: Path) -> None:
    write_part(server, target, OTHER[:HALF])
    download(server.url(), target, sha256=SHA, label="Set5", sleep=lambda seconds: None)
    assert target.read_bytes() == BODY
    assert server.ranges == [f"bytes={HALF}-", None]


def test_a_part_that_is_whole_needs_no_second_download(server: Server, target: Path) -> None:
    write_part(server, target, BODY)
    download(server.url(), target, size=len(BODY), sha256=SHA, label="Set5")
    assert server.asked == []
    target.unlink()
    shutil.rmtree(target.parent)
    write_part(server, target, BODY)
    download(server.url(), target, label="Set5", sleep=never)  # asks: 416 with the same length
    assert server.ranges == [f"bytes={len(BODY)}-"]
    assert target.read_bytes() == BODY


# --- trying again


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_passing_troubles_are_retried_with_growing_waits(server: Server, target: Path, code: int) -> None:
    server.then(status(code), status(code), status(code))
    waits: list[float] = []
    download(server.url(), target, sha256=SHA, label="Set5", sleep=waits.append)
    assert waits == [1, 2, 4]
    assert target.read_bytes() == BODY


def test_retry_after_is_obeyed(server: Server, target: Path) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    server.then(status(429, Retry_After="7"), status(503, Retry_After=soon), status(503, Retry_After="?"))
    waits: list[float] = []
    download(server.url(), target, label="Set5", sleep=waits.append)
    assert waits[0] == 7
    assert 30 < waits[1] <= 100
    assert waits[2] == 4
    server.then(status(429, Retry_After="3600"))
    refused(server.url(), target.with_name("b"), "429", "wait 3600 s", "run again then")


def test_attempts_end(server: Server, target: Path) -> None:
    server.then(*[status(500)] * 3)
    waits: list[float] = []
    refused(server.url(), target, "got 500", "3 times", "data.roots.Set5", attempts=3, sleep=waits.append)
    assert waits == [1, 2]
    assert len(server.asked) == 3
    assert left(target) == set()


def test_a_file_that_never_comes_whole_is_truncated(server: Server, target: Path) -> None:
    server.then(*[answer(cut=HALF)] * 3)
    line = refused(
        server.url(), target, "of 600000 bytes", "are kept and resumed", attempts=2, sleep=lambda seconds: None
    )
    got = int(re.findall(r"cut off at (\d+) of", line)[0])
    assert target.with_name("set.zip.part").read_bytes() == BODY[:got]
    download(server.url(), target, label="Set5", sleep=lambda seconds: None)
    assert target.read_bytes() == BODY


def test_a_body_shorter_than_the_manifest_says(server: Server, target: Path) -> None:
    def close_early(handler: Handler) -> None:
        handler.send(200, {"Content-Length": "", "Connection": "close"}, BODY[:HALF])

    server.then(*[close_early] * 2)
    refused(server.url(), target, f"cut off at {HALF} of 600000", size=len(BODY), attempts=1)


def test_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waits: list[float] = []
    line = refused(
        f"http://127.0.0.1:{port}/a.zip",
        tmp_path / "a.zip",
        "host unreachable",
        "Connection refused",
        sleep=waits.append,
    )
    assert waits == [1, 2, 4, 8]
    for word in ("HTTPS_PROXY", "--offline", "data.roots.Set5"):
        assert word in line


def test_unknown_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    url = "http://data.invalid/a.zip"
    refused(url, tmp_path / "a.zip", "host unreachable", "Name or service not known", attempts=1)


def test_a_proxy_that_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free.getsockname()[1]}")
    refused("https://data.example/a.zip", tmp_path / "a.zip", "the proxy does not let it through", attempts=1)


@pytest.mark.parametrize(
    "url", ["ftp://data.example/a.zip", "data.example/a.zip", "http:///a.zip", "file:///etc/passwd"]
)
def test_a_url_that_is_none(tmp_path: Path, url: str) -> None:
    refused(url, tmp_path / "a.zip", "cannot be fetched", "correct the URL")
