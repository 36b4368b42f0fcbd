"""No network for a block of code: for packages of others that would fetch weights without being asked."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

_EVENTS = ("socket.getaddrinfo", "socket.connect")
_here = threading.local()  # other threads, such as that of a tracking server, keep their network
_hooked = threading.Event()  # an audit hook cannot be taken away, so there is one


class Unreachable(BaseException):
    """A host was asked for where nothing may be fetched.

    No Exception: packages catch those of their downloads, and try again, or another host.
    """


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Refuse every look-up of a host and every connection of this thread to one.

    Raises:
        Unreachable: inside of the block, where something asks for a host; it names the host.
    """
    if not _hooked.is_set():
        sys.addaudithook(_refuse)
        _hooked.set()
    before = getattr(_here, "refused", False)
    _here.refused = True
    try:
        yield
    finally:
        _here.refused = before


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS or not getattr(_here, "refused", False):
        return
    asked = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    if isinstance(asked, tuple):  # of an address of the Internet; those of local sockets are paths
        asked = asked[0]
    elif event == "socket.connect":
        return
    raise Unreachable(asked.decode(errors="replace") if isinstance(asked, bytes) else str(asked))
