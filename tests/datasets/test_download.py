"""Downloads against a real HTTP server on loopback, which can be as bad as the ones out there."""

import errno
import hashlib
import io
import json
import queue
import re
import shutil
import socket
import ssl
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest

from blindsr.datasets import download as module
from blindsr.datasets.download import Job, download, download_all
from blindsr.errors import UserError

BODY = hashlib.shake_256(b"archive").digest(600_000)  # nine pieces
SHA, MD5 = hashlib.sha256(BODY).hexdigest(), hashlib.md5(BODY).hexdigest()
OTHER = hashlib.shake_256(b"other").digest(len(BODY))
HALF = 300_000
SPACE = namedtuple("SPACE", "total used free")

Step = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        try:
            step = self.server.steps.get_nowait()
        except queue.Empty:
            step = answer()
        step(self)

    def log_message(self, *args: Any) -> None: ...

    def send(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body) if length is None else length)} | headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """`steps` are the answers to come, then it serves BODY; `asked` are path and headers of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.scheme = "http"

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # the client may hang up
            super().handle_error(request, client_address)

    def then(self, *steps: Step) -> None:
        for step in steps:
            self.steps.put(step)

    def url(self, path: str = "/set.zip") -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}{path}"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.asked]


def answer(
    body: bytes = BODY,
    tag: str = '"v1"',
    cut: int | None = None,
    ranges: bool = True,
    if_range: bool = True,
    headers: dict[str, str] | None = None,
) -> Step:
    """Serve `body`, of which only `cut` bytes go out before the connection drops."""

    def step(handler: Handler) -> None:
        start, total = 0, len(body)
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if ranges and asked and (not if_range or handler.headers.get("If-Range", tag) == tag):
            start = int(asked[1])
        if start >= total > 0:
            handler.send(416, {"Content-Range": f"bytes */{total}", "ETag": tag}, b"")
            return
        extra = {"ETag": tag, "Content-Type": "application/zip"} | (headers or {})
        if start:
            extra = {"Content-Range": f"bytes {start}-{total - 1}/{total}"} | extra
        handler.send(206 if start else 200, extra, body[start:cut], total - start)
        handler.close_connection = cut is not None

    return step


def status(code: int, body: bytes = b"", **headers: str) -> Step:
    return lambda handler: handler.send(
        code, {name.replace("_", "-"): value for name, value in headers.items()}, body
    )


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "Set5" / "set.zip"


def refused(url: str, target: Path, *words: str, **options: Any) -> str:
    """The one line of the failure, which has `words`."""
    with pytest.raises(UserError) as caught:
        download(url, target, label="Set5", **({"sleep": never} | options))
    line = str(caught.value)
    assert line.startswith(f"Set5: {url}: ")
    assert line.isprintable()
    for word in words:
        assert word in line
    assert not target.exists()
    return line


def never(seconds: float) -> None:
    pytest.fail(f"waits {seconds} s where another attempt is pointless")


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def write_part(server: Server, target: Path, part: bytes, **changes: Any) -> None:
    """What an interrupted download leaves."""
    target.parent.mkdir(parents=True)
    target.with_name("set.zip.part").write_bytes(part)
    note = {"url": server.url(), "validator": '"v1"', "total": len(BODY)} | changes
    target.with_name("set.zip.part.json").write_text(json.dumps(note))


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


# --- what no second attempt mends


def test_wrong_checksum_removes_the_part(server: Server, target: Path) -> None:
    server.then(answer(OTHER))
    got = hashlib.sha256(OTHER).hexdigest()
    refused(server.url(), target, f"expected sha256 {SHA}, got {got}", "600000 bytes", "run again", sha256=SHA)
    assert left(target) == set()
    server.then(answer(OTHER))
    refused(server.url(), target, f"expected md5 {MD5}", md5=MD5, size=len(BODY))
    assert len(server.asked) == 2


def test_a_wrong_checksum_leaves_what_was_there(server: Server, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"older")
    server.then(answer(OTHER))
    with pytest.raises(UserError, match="expected sha256"):
        download(server.url(), target, sha256=SHA, label="Set5")
    assert target.read_bytes() == b"older"


def test_a_replaced_file_is_known_by_its_size(server: Server, target: Path) -> None:
    refused(server.url(), target, "expected 599999 bytes, the server has 600000", size=len(BODY) - 1)
    assert left(target) == set()


def test_a_body_longer_than_the_manifest_says(server: Server, target: Path) -> None:
    server.then(lambda handler: handler.send(200, {"Content-Length": "", "Connection": "close"}, BODY))
    refused(server.url(), target, f"expected {HALF} bytes, more came", size=HALF)
    assert left(target) == set()


@pytest.mark.parametrize(
    ("code", "word"), [(404, "has moved"), (410, "has moved"), (401, "refused"), (403, "refused"), (511, "login")]
)
def test_a_status_that_stays(server: Server, target: Path, code: int, word: str) -> None:
    server.then(status(code, b"<html>sorry</html>", Content_Type="text/html"))
    refused(server.url(), target, f"got {code} ", word)
    assert len(server.asked) == 1


PORTAL = b"\xef\xbb\xbf\n  <!DOCTYPE html><title>Welcome to the hotel</title>"


@pytest.mark.parametrize(
    "step",
    [
        status(200, PORTAL, Content_Type="text/html; charset=utf-8"),
        status(200, PORTAL, Content_Type="application/octet-stream"),
        status(200, b"<HTML>", Content_Type=""),
        status(200, b"hello", Content_Type="Text/HTML"),
    ],
)
def test_the_page_of_a_captive_portal(server: Server, target: Path, step: Step) -> None:
    server.then(step)
    refused(server.url(), target, "expected set.zip, got an HTML page", "log in", size=len(BODY))
    assert left(target) == set()


def test_a_portal_that_redirects(server: Server, target: Path) -> None:
    server.then(status(302, Location="/login"), status(200, PORTAL, Content_Type="text/html"))
    refused(server.url(), target, "got an HTML page")
    server.then(*[status(302, Location="/login")] * 40)
    refused(server.url(), target, "redirects")


def test_a_page_instead_of_the_rest_keeps_the_part(server: Server, target: Path) -> None:
    write_part(server, target, BODY[:HALF])
    server.then(status(200, PORTAL, Content_Type="text/html"))
    refused(server.url(), target, "got an HTML page")
    download(server.url(), target, sha256=SHA, label="Set5", sleep=never)
    assert server.ranges[1] == f"bytes={HALF}-"


def test_a_page_is_fine_where_one_is_wanted(server: Server, target: Path) -> None:
    server.then(status(200, PORTAL, Content_Type="text/html"))
    assert download(server.url("/a.html"), target.with_name("a.html"), label="Set5").read_bytes() == PORTAL


def test_a_password_is_not_shown(server: Server, target: Path) -> None:
    url = server.url().replace("://", "://me:secret@")
    server.then(status(404))
    with pytest.raises(UserError) as caught:
        download(url, target, label="Set5")
    assert server.url() in str(caught.value)
    assert "secret" not in str(caught.value)
    assert server.asked[0][1]["Authorization"].startswith("Basic ")


# --- certificates


def make_certificate(folder: Path, first: datetime, last: datetime, host: str) -> Path:
    """One file with a self-signed certificate and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, first, last)
    nothing_else = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    nothing_else += ("encipher_only", "decipher_only")
    usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, **dict.fromkeys(nothing_else, False))
    for extension, critical in (
        (x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), False),
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),  # Python 3.13 is strict
        (usage, True),
    ):
        builder = builder.add_extension(extension, critical=critical)
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    content = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path = folder / "certificate.pem"
    path.write_bytes(content + key.private_bytes(serialization.Encoding.PEM, *private))
    return path


@pytest.mark.parametrize(
    ("days", "host", "trusted", "word"),
    [
        (1, "127.0.0.1", True, None),
        (-1, "127.0.0.1", True, "certificate has expired"),
        (1, "127.0.0.1", False, "self-signed certificate"),
        (1, "127.0.0.2", True, "IP address mismatch"),
    ],
)
def test_certificates(
    server: Server,
    target: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    host: str,
    trusted: bool,
    word: str | None,
) -> None:
    last = datetime.now(UTC) + timedelta(days=days)
    certificate = make_certificate(tmp_path, last - timedelta(days=9), last, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.scheme = "https"
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    if word is None:
        assert download(server.url(), target, sha256=SHA, label="Set5").read_bytes() == BODY
    else:
        refused(server.url(), target, "expected a valid certificate, got: ", word, "clock", "REQUESTS_CA_BUNDLE")


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
