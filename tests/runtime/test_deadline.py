"""Calls that may not take longer than they are given."""

import threading

import pytest

from blindsr.runtime import deadline


def test_what_is_in_time_is_as_if_it_was_called() -> None:
    assert deadline.within(60, lambda: 7) == 7
    with pytest.raises(KeyError, match="why"):
        deadline.within(60, lambda: {}["why"])


def test_what_takes_longer_is_left_alone_and_keeps_nobody_alive() -> None:
    over = threading.Event()
    with pytest.raises(TimeoutError, match="^no whole answer in 0.01 s$"):
        deadline.within(0.01, over.wait)
    assert all(thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
    over.set()


def test_methods_have_the_time_that_their_name_gives_them() -> None:
    class Client:
        address = "here"

        def __init__(self) -> None:
            self.over = threading.Event()

        def ask(self, question: str, *, loud: bool = False) -> str:
            return question.upper() if loud else question

        def wait(self) -> None:
            self.over.wait()

    client = Client()
    patient = deadline.Patient(client, lambda name: 0.01 if name == "wait" else 60)
    assert patient.address == "here"
    assert patient.ask("a", loud=True) == "A"
    with pytest.raises(TimeoutError):
        patient.wait()
    client.over.set()
