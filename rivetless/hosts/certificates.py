"""A certificate for this machine, made on the spot and kept for the next start."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rivetless.errors import missing_extra
from rivetless.frozen import frozen

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["LocalCertificate", "local_certificate"]

# Browsers refuse certificates that are valid for longer than 398 days.
_DAYS: Final = 397
_RENEW_DAYS: Final = 14
_NAMES: Final = ("localhost",)
_ADDRESSES: Final = ("127.0.0.1", "::1")


@frozen
class LocalCertificate:
    """Where a certificate is.

    Attributes:
        certificate: its file; who wants browsers to believe it imports this one.
        key: the file of its private key.
    """

    certificate: Path
    key: Path


def local_certificate(folder: Path) -> LocalCertificate:
    """Return the certificate of ``localhost`` in a folder; make it if there is none that holds.

    Raises:
        MissingExtraError: cryptography is not installed.
    """
    local = LocalCertificate(folder / "localhost.crt", folder / "localhost.key")
    if not _holds(local):
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = _make()
        _write(local.key, key)
        _write(local.certificate, certificate)
    return local


def _holds(local: LocalCertificate) -> bool:
    if not local.key.exists() or not local.certificate.exists():
        return False
    try:
        from cryptography import x509
    except ModuleNotFoundError:
        missing_extra("https", "cryptography")
    try:
        certificate: Certificate = x509.load_pem_x509_certificate(local.certificate.read_bytes())
    except ValueError:
        return False
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    return left > timedelta(days=_RENEW_DAYS)


def _make() -> tuple[bytes, bytes]:
    """Return a new certificate and its key, both PEM."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ModuleNotFoundError:
        missing_extra("https", "cryptography")
    from ipaddress import ip_address

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rivetless on localhost")])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(text) for text in _NAMES]
    names += [x509.IPAddress(ip_address(text)) for text in _ADDRESSES]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # It signs nothing but itself: whoever trusts it trusts this machine's name alone.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _write(path: Path, data: bytes) -> None:
    """Write a file that its owner alone can read."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
