"""The certificate of this machine."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from rivetless.hosts import certificates
from rivetless.hosts.certificates import local_certificate


def test_made_once(tmp_path: Path) -> None:
    made = local_certificate(tmp_path / "new")
    data = made.certificate.read_bytes()

    assert local_certificate(tmp_path / "new").certificate.read_bytes() == data
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(data)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca
    assert certificate.not_valid_after_utc - datetime.now(UTC) < timedelta(days=398)


def test_servers_take_it(tmp_path: Path) -> None:
    made = local_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)


def test_made_anew_when_it_is_no_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = local_certificate(tmp_path)
    first = made.certificate.read_bytes()
    made.key.unlink()
    local_certificate(tmp_path)
    second = made.certificate.read_bytes()
    made.certificate.write_text("nonsense")
    local_certificate(tmp_path)
    third = made.certificate.read_bytes()
    monkeypatch.setattr(certificates, "_RENEW_DAYS", 1000)
    local_certificate(tmp_path)

    assert len({first, second, third, made.certificate.read_bytes()}) == 4
