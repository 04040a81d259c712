"""What was recorded, in words for people. Nothing in them moves a terminal's cursor or begins a line."""

from collections.abc import Iterable
from datetime import UTC
from functools import cache

from app.diagnosis.extension_words import extension_words
from app.diagnosis.finding import Severity
from app.diagnosis.knowledge import knowledge
from app.diagnosis.words import oid_name
from app.metrics.clients import family_of
from app.recorder.recording import Recording, Wish
from app.words import printable
from ca.errors import UnknownMessageType

_ASKED = {
    "GetCACaps": "asked what the server can do",
    "GetCACert": "asked for the CA certificate",
    "GetCACertChain": "asked for the CA's chain",
    "GetNextCACert": "asked for the next CA certificate",
}
_SENT = {
    "PKCSReq": "sent a request",
    "RenewalReq": "sent a renewal",
    "CertPoll": "asked whether its request is decided on",
    "GetCert": "asked for a certificate by its number",
    "GetCRL": "asked for the CRL",
}
# How the clients of the knowledge are called where families of User-Agents are told apart.
FAMILY_OF = {
    **dict.fromkeys(("ios", "macos"), "apple"),
    **dict.fromkeys(("jscep", "xipki"), "java"),
    "fortios": "fortinet",
    "micromdm": "go",
}
# Findings that the outcome says already.
_OUTCOMES = {"refused", "pending", "http-error", "server-fault", "challenge-refused"}


class Names:
    """By which names devices are known: what asks without one is guessed by who came from there just then."""

    def __init__(self, recordings: Iterable[Recording] = ()) -> None:
        self._names: dict[tuple[str, str, int], set[str]] = {}
        for one in recordings:
            self.note(one)

    def note(self, one: Recording) -> None:
        """Remember who came from where, as which program, and when."""
        if one.subject:
            names = self._names.setdefault((one.remote, one.client, _spell(one)), set())
            # Of two it does not matter how many more there are: behind a proxy these are all devices.
            if len(names) < 2:
                names.add(name_in(one.subject))

    def of(self, one: Recording) -> str:
        """Who it is, as in ``ipad-17 (192.0.2.7)``; ``ipad-17? (...)`` is a guess, else the address alone.

        A guess is the one name that the same program had at the same address within some minutes.
        """
        if one.subject:
            return printable(f"{name_in(one.subject)} ({one.remote})")
        spell = _spell(one)
        spells = ((one.remote, one.client, near) for near in (spell - 1, spell, spell + 1))
        names = set().union(*(self._names.get(key, ()) for key in spells))
        return printable(f"{names.pop()}? ({one.remote})" if len(names) == 1 else one.remote)


def _spell(one: Recording) -> int:
    """In which five minutes it was."""
    return int(one.at.timestamp() // 300)


def name_in(subject: str) -> str:
    """What a person calls a subject: its common name, or the whole."""
    parts = [part.strip() for part in subject.split(",")]
    return next((part[3:] for part in parts if part[:3].upper() == "CN=" and len(part) > 3), subject)


def what_happened(one: Recording) -> str:
    """What a device did and what came of it, as in ``sent a request: refused, no such challenge``."""
    asked = _SENT.get(one.message) or _ASKED.get(one.operation) or "asked for nothing that SCEP has"
    if one.operation == "PKIOperation" and not one.message:
        asked = "sent a message"
    elif one.rule == UnknownMessageType.__name__:
        kind = f"messageType {one.detail}, which" if one.detail.isdigit() else "a messageType that"
        asked = f"asked with {kind} SCEP does not have"
    habits = _OUTCOMES | _habits(family_of(one.client))
    odd = dict.fromkeys(found.id for found in one.findings if found.id not in habits)
    notes = [*filter(None, [one.note]), *([f"odd: {', '.join(odd)}"] if odd else [])]
    return printable(f"{asked}{_ending(one)}" + (f" [{'; '.join(notes)}]" if notes else ""))


@cache
def _habits(family: str) -> frozenset[str]:
    """What clients of that family are known to do and nobody minds: it is not odd of them."""
    own = {client for client in knowledge().clients if FAMILY_OF.get(client, client) == family}
    found = knowledge().findings.values()
    return frozenset(one.id for one in found if one.severity is Severity.INFO and own & one.clients.keys())


def what_was_asked(one: Recording) -> str:
    """What a CSR asked for, as in ``a key rsa:2048, dns:host.example, keyUsage (digitalSignature)``."""
    if one.asked is None:
        return ""
    return ", ".join((f"a key {one.asked.key}", *one.asked.sans, *map(_wish, one.asked.wishes)))


def _wish(one: Wish) -> str:
    name = oid_name(one.oid)
    try:
        said = extension_words(one.oid, bytes.fromhex(one.value or ""))
    except ValueError:
        # Somebody has written a file of his own.
        said = "unreadable"
    said = f"{'critical: ' if one.critical else ''}{said if one.value else ''}".removesuffix(": ")
    return f"{name} ({said})" if said else name


def at_time(one: Recording) -> str:
    """When, UTC, as in ``10:42:09``."""
    return f"{one.at.astimezone(UTC):%H:%M:%S}"


def _ending(one: Recording) -> str:
    match one.outcome:
        case "issued" if one.renewal_of:
            return f": renewed, certificate {one.serial} follows {one.renewal_of}"
        case "issued":
            return f": issued, certificate {one.serial}"
        case "repeated":
            return f": answered as before, certificate {one.serial}"
        case "pending":
            return ": it waits for a person"
        case "unanswered":
            return ": got no answer"
        case "answered" if one.serial:
            return f": answered, certificate {one.serial}"
        case "answered":
            return ": answered" if one.message else ""
    why = one.detail or one.reason or "nobody noted why"
    if one.message:
        said = f" (told: {one.reason})" if one.detail and one.reason else ""
        return f": refused, {why}{said}"
    return f": refused with HTTP {one.status}, {why}"
