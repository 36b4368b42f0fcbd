"""No network for a block of code: names and addresses are refused, local sockets and other threads are not."""

import socket
import threading
from pathlib import Path

import pytest

from blindsr.runtime.offline import Unreachable, no_network


def test_names_and_addresses_are_refused_and_named() -> None:
    with no_network():
        with pytest.raises(Unreachable, match=r"^weights\.example\.org$"):
            socket.create_connection(("weights.example.org", 443))
        with socket.socket() as one, pytest.raises(Unreachable, match=r"^127\.0\.0\.1$"):
            one.connect(("127.0.0.1", 9))


def test_it_ends_with_the_block_also_inside_of_another() -> None:
    with no_network():
        with no_network():
            pass
        with pytest.raises(Unreachable):
            socket.getaddrinfo("127.0.0.1", 80)
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_what_catches_exceptions_does_not_catch_it() -> None:
    assert not issubclass(Unreachable, Exception)


def test_other_threads_and_sockets_of_this_machine_are_left_alone(tmp_path: Path) -> None:
    found: list[object] = []
    with no_network():
        thread = threading.Thread(target=lambda: found.extend(socket.getaddrinfo("127.0.0.1", 80)))
        thread.start()
        thread.join()
        with socket.socket(socket.AF_UNIX) as one, pytest.raises(FileNotFoundError):
            one.connect(str(tmp_path / "no"))
    assert found
