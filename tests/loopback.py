"""A real HTTP server on loopback, which can be as bad as the ones out there."""

import hashlib
import json
import queue
import re
import sys
from collections import namedtuple
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from blindsr.acquisition.download import download
from blindsr.runtime.errors import UserError

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
