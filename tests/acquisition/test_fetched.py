"""What is kept of a first fetch."""

from pathlib import Path

import pytest

from blindsr.acquisition import fetched
from blindsr.runtime.errors import UserError

URL = "https://sets.example.org/Toy.zip"
SHA = "ab" * 32


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # as in a temporary copy
    return tmp_path


def test_nothing_is_known_before() -> None:
    assert fetched.sha256(URL) is None
    assert fetched.images("Toy") is None
    assert not fetched.path().exists()


def test_what_was_kept_comes_back_while_the_manifest_says_the_same(project: Path) -> None:
    fetched.keep_sha256(URL, SHA, md5="cd" * 16, size=7)
    fetched.keep_images("Toy", 12)
    fetched.keep_sha256("https://other.example.org/x.zip", "0" * 64)
    assert fetched.path() == project / "data" / "fetched.json"
    assert fetched.sha256(URL, "cd" * 16, 7) == SHA
    assert fetched.sha256(URL, "00" * 16, 7) is None
    assert fetched.sha256(URL) is None
    assert fetched.images("Toy") == 12


def test_addresses_are_kept_apart_and_without_passwords() -> None:
    for number in ("1", "2"):
        fetched.keep_sha256(f"https://me:secret@sets.example.org/get?token={number}", number * 64)
    assert fetched.sha256("https://me:secret@sets.example.org/get?token=1") == "1" * 64
    assert fetched.sha256("https://me:secret@sets.example.org/get?token=2") == "2" * 64
    assert "secret" not in fetched.path().read_text()
    assert "token=1" not in fetched.path().read_text()


def test_the_same_is_the_same_bytes_in_any_order() -> None:
    def bytes_of(*names: str) -> bytes:
        fetched.path().unlink(missing_ok=True)
        for name in names:
            fetched.keep_images(name, 1)
            fetched.keep_sha256(f"https://{name}/", SHA)
        return fetched.path().read_bytes()

    assert bytes_of("a", "b") == bytes_of("b", "a")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{"downloads": {"x": {"sha256": "short"}}}', b'{"more": 1}']
)
def test_a_damaged_record_is_one_line(content: bytes) -> None:
    fetched.path().parent.mkdir()
    fetched.path().write_bytes(content)
    with pytest.raises(UserError, match=r"fetched\.json is damaged: `git checkout data/fetched\.json`"):
        fetched.sha256(URL)
