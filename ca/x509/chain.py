"""Chains (RFC 5280 6), judged by OpenSSL."""

from collections.abc import Sequence
from datetime import datetime

from OpenSSL import crypto

from ca.x509.certificate import Certificate


class ChainBroken(Exception):
    """No chain leads to the anchor; the text is OpenSSL's reason."""


def check_chain(
    certificate: Certificate, anchor: Certificate, now: datetime, between: Sequence[Certificate] = ()
) -> None:
    """Check that *certificate* is signed by *anchor*, or through *between*, and all valid at *now*.

    The anchor need not be a root: what is asked is a path to it, not its own.

    Raises:
        ChainBroken: There is no such path, or OpenSSL cannot read one of them.

    """
    try:
        store = crypto.X509Store()
        store.add_cert(_load(anchor))
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(now)
        crypto.X509StoreContext(
            store, _load(certificate), [_load(one) for one in between]
        ).verify_certificate()
    except (crypto.X509StoreContextError, crypto.Error) as error:
        raise ChainBroken(str(error)) from error


def _load(certificate: Certificate) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)
