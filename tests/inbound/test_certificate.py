"""The server's certificate: good files, and each kind of bad ones with the key that is to blame."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from relay.clock import SystemClock
from relay.inbound.certificate import CertificateError, CertificateFiles, server_context
from relay.lab.ca import CertificateAuthority

NOW = SystemClock().now()
KEY = b"-----BEGIN PRIVATE KEY-----\nbm90aGluZw==\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def ca(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "ca", NOW)


def split(path: Path, directory: Path) -> tuple[Path, Path]:
    """Certificate and key in two files, as operators have them."""
    key, end, chain = path.read_bytes().partition(b"-----END PRIVATE KEY-----\n")
    (directory / "cert.pem").write_bytes(chain)
    (directory / "key.pem").write_bytes(key + end)
    return directory / "cert.pem", directory / "key.pem"


def test_tls_10_tls_11_a_context(ca: CertificateAuthority, tmp_path: Path) -> None:
    path = ca.issue(["relay.test"], intermediate=True).path
    one = server_context(CertificateFiles(path, path), NOW)
    two = server_context(CertificateFiles(*split(path, tmp_path)), NOW)
    for context in (one, two):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION
        names = [cipher["name"] for cipher in context.get_ciphers()]
        assert not [name for name in names if "RC4" in name or "NULL" in name or "DES" in name]


def refusal(certificate: Path, key: Path, now: float = NOW) -> str:
    with pytest.raises(CertificateError) as refused:
        server_context(CertificateFiles(certificate, key), now)
    return str(refused.value)


def test_another_key(ca: CertificateAuthority, tmp_path: Path) -> None:
    mine, other = ca.issue(["relay.test"]).path, ca.issue(["relay.test"]).path
    assert refusal(mine, other) == (
        f"server.tls_key: {other} is not the key of the first certificate in {mine}"
    )


def test_a_chain_the_wrong_way_round(ca: CertificateAuthority, tmp_path: Path) -> None:
    cert, key = split(ca.issue(["relay.test"], intermediate=True).path, tmp_path)
    leaf, end, above = cert.read_bytes().partition(b"-----END CERTIFICATE-----\n")
    cert.write_bytes(above + leaf + end)
    assert refusal(cert, key).startswith(f"server.tls_key: {key} is not the key of the first")


def test_time(ca: CertificateAuthority) -> None:
    old, new = (
        ca.issue(["a.test"], expired=True).path,
        ca.issue(["a.test"], not_yet_valid=True).path,
    )
    assert refusal(old, old).startswith(f"server.tls_cert: the certificate in {old} expired on 20")
    assert refusal(new, new).startswith(
        f"server.tls_cert: the certificate in {new} is not valid before 20"
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"nothing", "{} holds no PEM"),
        (b"", "{} holds no PEM"),
        (KEY.replace(b"PRIVATE KEY", b"CERTIFICATE") + KEY, "{} holds a broken PEM"),
        (None, "{} cannot be read: No such file or directory"),
    ],
    ids=["text", "empty", "broken", "missing"],
)
def test_files(ca: CertificateAuthority, tmp_path: Path, content: bytes | None, told: str) -> None:
    good, bad = ca.issue(["relay.test"]).path, tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    assert refusal(bad, good).startswith(f"server.tls_cert: {told.format(bad)}")
    assert refusal(good, bad).startswith(f"server.tls_key: {told.format(bad)}")


def test_nobody_is_asked_for_a_passphrase(ca: CertificateAuthority, tmp_path: Path) -> None:
    cert, key = split(ca.issue(["relay.test"]).path, tmp_path)
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert refusal(cert, key).startswith(f"server.tls_key: the key in {key} is encrypted")


def test_tls_11_a_key_too_small(ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    monkeypatch.setattr("relay.lab.ca.ec.generate_private_key", lambda _: weak)
    path = ca.issue(["relay.test"]).path
    assert refusal(path, path) == f"server.tls_cert: {path} cannot be used: EE_KEY_TOO_SMALL"
