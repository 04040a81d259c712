"""Extensions in words: what a certificate says of itself, and nothing that its bytes could break."""

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from app.diagnosis.extension_words import extension_words
from ca.x509 import oids

PLACE = x509.UniformResourceIdentifier("http://ca.example/ca.crl")
ISSUER = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
KEY = bytes(range(20))
METHODS = AuthorityInformationAccessOID


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        (x509.SubjectKeyIdentifier(KEY), KEY.hex()),
        (x509.AuthorityKeyIdentifier(KEY, None, None), KEY.hex()),
        (
            x509.AuthorityKeyIdentifier(KEY, [ISSUER], 0x1F),
            f"{KEY.hex()}, serial 1f, of dirname:CN=ca",
        ),
        (x509.BasicConstraints(ca=False, path_length=None), "no CA"),
        (x509.BasicConstraints(ca=True, path_length=0), "CA, path length 0"),
        (x509.ExtendedKeyUsage([x509.ObjectIdentifier(oids.CLIENT_AUTH)]), "clientAuth"),
        (x509.SubjectAlternativeName([x509.DNSName("a.example")]), "dns:a.example"),
        (x509.CRLNumber(4711), "4711"),
        (
            x509.CRLDistributionPoints([x509.DistributionPoint([PLACE], None, None, None)]),
            "uri:http://ca.example/ca.crl",
        ),
        (
            x509.CRLDistributionPoints([x509.DistributionPoint(None, None, None, [ISSUER])]),
            "(no address)",
        ),
        (
            x509.AuthorityInformationAccess(
                [
                    x509.AccessDescription(METHODS.OCSP, PLACE),
                    x509.AccessDescription(METHODS.CA_ISSUERS, PLACE),
                ]
            ),
            "OCSP uri:http://ca.example/ca.crl, caIssuers uri:http://ca.example/ca.crl",
        ),
        (x509.OCSPNoCheck(), "0500"),
    ],
)
def test_an_extension_is_told_by_what_it_says(extension: x509.ExtensionType, words: str) -> None:
    """Not by the octets that say it."""
    assert extension_words(extension.oid.dotted_string, extension.public_bytes()) == words


KNOWN = (oids.KEY_USAGE, oids.SUBJECT_KEY_IDENTIFIER, oids.AUTHORITY_KEY_IDENTIFIER, oids.BASIC_CONSTRAINTS)
PLACES = (oids.CRL_DISTRIBUTION_POINTS, oids.AUTHORITY_INFORMATION_ACCESS, oids.CRL_NUMBER)


@given(st.sampled_from(KNOWN + PLACES), st.binary(max_size=60))
def test_whatever_octets_stand_there_something_is_said(oid: str, value: bytes) -> None:
    """A stranger wrote them."""
    assert extension_words(oid, value)


@pytest.mark.parametrize(
    ("oid", "value", "words"),
    [
        (oids.AUTHORITY_KEY_IDENTIFIER, b"\x30\x00", "(empty)"),
        (oids.CRL_DISTRIBUTION_POINTS, b"\x30\x00", "(empty)"),
        (oids.KEY_USAGE, b"\x03\x01\x00", "(empty)"),
        (oids.CRL_NUMBER, b"\x02", "(unreadable: truncated)"),
        ("1.2.3", b"no DER", b"no DER".hex()),
    ],
)
def test_what_says_nothing_or_is_of_no_kind_that_is_known_is_told(oid: str, value: bytes, words: str) -> None:
    """What is of another's own kind need not even be DER."""
    assert extension_words(oid, value) == words
