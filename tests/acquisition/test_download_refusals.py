"""Downloads that no second attempt can save: one line with set, URL, what came and what to do."""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

pytest.importorskip("requests", reason="requests is not installed: pip install -r requirements.txt")
from blindsr.acquisition.download import download
from blindsr.runtime.errors import UserError
from loopback import BODY, HALF, MD5, OTHER, SHA, Server, Step, answer, left, never, refused, status, write_part

pytestmark = pytest.mark.usefixtures("no_proxy")


# --- what no second attempt can save


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
    assert server.url().replace("://", "://***@") in str(caught.value)
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
