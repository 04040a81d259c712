"""What an issued certificate must be, by the word of openssl, pkilint and the service's records."""

import subprocess
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .messages import open_reply, openssl
from .server import Server
from .wire import Wire


def check_issued(
    wire: Wire, certificate_file: Path, key_file: Path, common_name: str, signer_key: Path
) -> x509.Certificate:
    """Hold what the client stored to what it asked for, and to what went over the wire.

    *signer_key* opens the reply: the client's only key, or the old one when it changes keys.
    """
    stored = certificate_file.read_bytes()
    certificate = x509.load_pem_x509_certificate(stored)
    strictly = ("verify", "-x509_strict", "-purpose", "sslclient")
    openssl(*strictly, "-CAfile", str(wire.server.ca_file), str(certificate_file))
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert certificate.public_key() == key.public_key()
    assert _common_name(certificate) == common_name
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in usage
    # iOS takes the first certificate of the reply for its own, so there may be no other.
    (sent,) = open_reply(wire.operations(signer_key)[-1].reply, signer_key)
    assert x509.load_pem_x509_certificate(sent.encode()) == certificate
    return certificate


def dns_names(certificate: x509.Certificate) -> list[str]:
    """List the DNS names a certificate stands for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def check_lint(server: Server, certificate_file: Path) -> None:
    """RFC 5280 as pkilint reads it, and the service knows that it issued this certificate."""
    lint(certificate_file)
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    assert certificate.serial_number in server.serials()


def lint(certificate_file: Path) -> None:
    """Run pkilint's PKIX linter; it must find nothing to warn of."""
    linter = (sys.executable, "-m", "pkilint.bin.lint_pkix_cert", "lint")
    options = ("--severity", "WARNING", "--document-format", "PEM")
    done = subprocess.run(
        [*linter, *options, str(certificate_file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _common_name(certificate: x509.Certificate) -> str:
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)
