"""Patterns of the settings, compiled for strangers' text: none takes longer than its length says.

``re`` tries every way in which a pattern could fit, and that may be more than there is time for; a request
holds the store meanwhile. RE2 has no back-references and no look-around, and therefore no such patterns.
"""

import re

import re2

from ca.profiles import TextPattern

# What an asterisk stops at, so that *.example.org is one label and *@example.org one mailbox.
_SEPARATORS = {"dns": ".", "email": "@", "uri": "/?#", "upn": "@"}
# RFC 3986 3.2: what ends the host of a URI, or has its beginning be somebody's name. A "%" may hide one.
_HOST_ENDS = "/?#@:%"
_STARS = re.compile(r"(\*\*|\*)")
_AUTHORITY = re.compile(r"[^/]*://[^/]*")


def compile_pattern(text: str, *, any_case: bool = False) -> TextPattern:
    """The regular expression *text*, in the syntax of RE2.

    Raises:
        ValueError: It is none, or what RE2 cannot do.

    """
    options = re2.Options()
    # It would write to standard error by itself.
    options.log_errors = False
    options.case_sensitive = not any_case
    try:
        pattern: TextPattern = re2.compile(text, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if error.args else "unreadable"
        raise ValueError(
            f"{text!r} is no regular expression of RE2, without look-around and back-references: {why}"
        ) from None
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is no regular expression: it holds half a character") from None
    return pattern


def compile_stars(kind: str, text: str) -> TextPattern:
    """*text*, in which ``*`` is a part of a name of that *kind*, and ``**`` anything.

    In what stands before the path of a URI neither leaves the host, unless ``**`` is the end of it all.
    """
    authority = _AUTHORITY.match(text) if kind == "uri" else None
    head, tail = (authority[0], text[authority.end() :]) if authority else ("", text)
    if not tail and head.endswith("**"):
        head, tail = head[:-2], "**"
    pattern = _fill(head, {"**": f"[^{_HOST_ENDS}]*", "*": f"[^{_HOST_ENDS}]+"})
    pattern += _fill(tail, {"**": "(?s:.*)", "*": f"[^{_SEPARATORS[kind]}]+"})
    # Host names know no case; of a mailbox hardly anybody minds (RFC 5280 7.5).
    return compile_pattern(pattern, any_case=kind in ("dns", "email"))


def _fill(text: str, stars: dict[str, str]) -> str:
    return "".join(stars.get(part) or re2.escape(part) for part in _STARS.split(text))
