"""GetCACaps (RFC 8894 3.5): the keywords this server may promise, and reading another's."""

from ca.algorithms.levels import CryptoLevel

# strongSwan 5.9 offers AES only where SHA-384 is listed; iOS knows no SCEPStandard and needs each
# word; jscep falls to DES and MD5 where DES3 and SHA-1 are missing.
_MODERN = ("AES", "POSTPKIOperation", "Renewal", "SHA-256", "SHA-384", "SHA-512", "SCEPStandard")
_OLD = ("DES3", "SHA-1")


def capabilities(level: CryptoLevel, *, next_ca: bool = False) -> tuple[str, ...]:
    """The keywords, each of which is a promise (RFC 8894 3.5.2), GetNextCACert only while there is one."""
    keywords = _MODERN if level is CryptoLevel.MODERN else (*_MODERN, *_OLD)
    return ("GetNextCACert", *keywords) if next_ca else keywords


def encode_capabilities(keywords: tuple[str, ...]) -> bytes:
    """The body of the reply: a keyword a line, LF."""
    return "".join(f"{keyword}\n" for keyword in keywords).encode("ascii")


def parse_capabilities(body: bytes) -> frozenset[str]:
    """The keywords of a server's reply, in upper case because clients SHOULD ignore case.

    An error page or anything else that is no list of words counts as no capability at all.
    SCEPStandard brings what it implies (RFC 8894 3.5.2).
    """
    lines = body.decode("ascii", "replace").replace("\r", "\n").split("\n")
    words = {line.strip().upper() for line in lines if line.strip()}
    if any(" " in word or "<" in word for word in words):
        return frozenset()
    if "SCEPSTANDARD" in words:
        words |= {"AES", "POSTPKIOPERATION", "SHA-256"}
    return frozenset(words)
