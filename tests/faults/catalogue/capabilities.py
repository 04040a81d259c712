"""Faults of GetCACaps."""

from tests.faults.conduct import CAPABILITIES, Conduct, Fault, lines

_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
_DIGESTS = {"SHA-1", "SHA-256", "SHA-384", "SHA-512"}


def _without(*words: str) -> bytes:
    return lines(*(word for word in CAPABILITIES if word not in words))


CAPABILITY_FAULTS = (
    Fault(
        "caps-html",
        "html-body",
        ("ios", "sscep"),
        "A page to sign in where the capabilities should be",
        Conduct(capabilities=_PAGE, capabilities_type="text/html"),
        shows="GetCACaps",
    ),
    Fault(
        "caps-blanks",
        "caps-blanks",
        ("ios",),
        "A blank behind each capability",
        Conduct(capabilities=lines(*(f"{word} " for word in CAPABILITIES))),
        shows="GetCACaps",
    ),
    Fault(
        "caps-no-digest",
        "caps-no-digest",
        ("ios", "jscep"),
        "No line that names a digest",
        Conduct(capabilities=_without(*_DIGESTS)),
        shows="GetCACaps",
        beside=frozenset({"caps-no-sha384"}),
    ),
    Fault(
        "caps-scepstandard-alone",
        "caps-no-digest",
        ("ios", "jscep"),
        "SCEPStandard, and not what it stands for",
        Conduct(capabilities=lines("SCEPStandard")),
        shows="GetCACaps",
        beside=frozenset({"caps-no-post", "caps-no-aes", "caps-no-sha384", "caps-no-renewal"}),
    ),
    Fault(
        "caps-empty",
        "caps-empty",
        ("ios", "jscep", "strongswan"),
        "No capabilities at all",
        Conduct(capabilities=b""),
        shows="GetCACaps",
    ),
    Fault(
        "caps-case",
        "caps-case",
        ("ios",),
        "Capabilities in lower case",
        Conduct(capabilities=lines(*CAPABILITIES).replace(b"SHA", b"sha")),
        shows="GetCACaps",
    ),
    Fault(
        "caps-no-post",
        "caps-no-post",
        ("ios", "macos"),
        "POST is not offered",
        Conduct(capabilities=_without("POSTPKIOperation", "SCEPStandard")),
        shows="GetCACaps",
    ),
    Fault(
        "caps-no-aes",
        "caps-no-aes",
        ("ios", "strongswan"),
        "AES is not offered",
        Conduct(capabilities=_without("AES", "SCEPStandard")),
        shows="GetCACaps",
    ),
    Fault(
        "caps-no-sha384",
        "caps-no-sha384",
        ("strongswan",),
        "SHA-384 is not offered",
        Conduct(capabilities=_without("SHA-384")),
        shows="GetCACaps",
    ),
    Fault(
        "caps-no-renewal",
        "caps-no-renewal",
        ("macos", "certmonger", "strongswan"),
        "Renewals are done and not offered",
        Conduct(capabilities=_without("Renewal")),
        shows="GetCACaps",
    ),
    Fault(
        "caps-too-long",
        "caps-too-long",
        ("certmonger",),
        "More than a kilobyte of capabilities",
        Conduct(capabilities=lines(*CAPABILITIES, *(f"X-Feature-{number:03d}" for number in range(80)))),
        shows="GetCACaps",
    ),
    Fault(
        "caps-charset",
        "http-media-type",
        ("sscep", "jscep"),
        "A charset behind text/plain",
        Conduct(capabilities_type="text/plain; charset=utf-8"),
        shows="GetCACaps",
    ),
)
