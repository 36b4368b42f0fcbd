"""Passwords, tokens and places of a machine stay out of what is published."""

import os
from pathlib import Path

import pytest

from blindsr.runtime import privacy


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://example.org/a.zip", "https://example.org/a.zip"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://anna:secret@example.org/a.zip", "https://***@example.org/a.zip"),
        ("https://token@example.org", "https://***@example.org"),
        ("https://anna:p@ss@example.org/x", "https://***@example.org/x"),
        ("https://anna:p/w@example.org/x", "https://***@example.org/x"),
        ("https://example.org/x?password=secret&a=1", "https://example.org/x?password=***&a=***"),
        ("https://example.org/x?secret", "https://example.org/x?***"),
        ("https://example.org/#token=secret", "https://example.org/#token=***"),
        ("postgresql://blindsr:secret@db:5432/runs", "postgresql://***@db:5432/runs"),
        ("of https://a:secret@x.org and https://b:secret@y.org", "of https://***@x.org and https://***@y.org"),
    ],
)
def test_addresses_by_hand(text: str, shown: str) -> None:
    assert privacy.without_secrets(text) == shown
    assert "secret" not in privacy.without_secrets(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/anna/weights/rrdb.pth", "rrdb.pth"),
        ("~/private/rrdb.pth", "rrdb.pth"),
        (r"C:\Users\anna\rrdb.pth", "rrdb.pth"),
        ("score --model /home/anna/x.pth --csv out/s.csv", "score --model x.pth --csv out/s.csv"),
        ("models/rrdb.pth", "models/rrdb.pth"),
        ("https://example.org/a/b.zip", "https://example.org/a/b.zip"),
        ("psnr_db/Set5/clean", "psnr_db/Set5/clean"),
    ],
)
def test_places_by_hand(text: str, shown: str) -> None:
    assert privacy.without_places(text) == shown


def test_places_of_the_project_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        privacy.public(f"{os.getcwd()}/models/a.pth and https://me:pw@x.org") == "models/a.pth and https://***@x.org"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/anna berg/my weights/a.pth", "a.pth"),
        ("~/my weights/a.pth", "a.pth"),
        (r"C:\Users\anna berg\a.pth", "a.pth"),
        ("--model=/home/anna berg/a.pth", "--model=a.pth"),
        ("+data.roots.Set5=/home/anna berg/Set5", "+data.roots.Set5=Set5"),
        ("https://anna:secret@example.org/a?token=/secret", "https://***@example.org/a?token=***"),
        ("$SETS/a.pth", "$SETS/a.pth"),
        ({"file": ["/home/anna berg/net.py:build", 3]}, {"file": ["net.py:build", 3]}),
    ],
)
def test_settings_and_arguments_by_hand(value: object, shown: object) -> None:
    assert privacy.setting(value) == shown
