"""The CA certificate itself, by the word of the same witnesses as the certificates it issues."""

import pytest

from .certificates import lint
from .messages import openssl
from .wire import Wire


@pytest.mark.proves("R-2.1.2-a")
def test_the_ca_certificate_passes_the_linter_and_strict_verification(wire: Wire) -> None:
    """RFC 5280 as pkilint and openssl read it: a device checks the chain to its very top."""
    ca_file = wire.server.ca_file

    lint(ca_file)

    openssl("verify", "-x509_strict", "-CAfile", str(ca_file), str(ca_file))
