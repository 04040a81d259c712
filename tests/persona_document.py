"""docs/personas.md, written from the files of the personas and from the body of knowledge."""

from collections.abc import Iterator, Mapping

from app.diagnosis.finding import Finding
from app.diagnosis.knowledge import Knowledge
from app.personas import PERSONAS, Persona
from tests.world import ROOT

DOCUMENT = ROOT / "docs/personas.md"
HINT = "SCEPBOX_WRITE_DOCS=1 pytest tests/test_persona_sessions.py writes docs/personas.md anew"

_INTRODUCTION = """\
# Personas

What `enroll --as NAME` sends and minds. Each persona is a file of
[app/personas/known](../app/personas/known); what it minds are findings of [diagnoses.md](diagnoses.md), where
the sources are. How sure each is stands behind it. What stops everybody (no connection, a broken answer, a
signature that does not hold, an envelope that does not open, a refusal) is said once, at the end.

The tests write this file: `SCEPBOX_WRITE_DOCS=1 pytest tests/test_persona_sessions.py`.
"""


def markdown(known: Knowledge) -> str:
    """The whole document."""
    parts = [_INTRODUCTION]
    for persona in PERSONAS.values():
        parts += _sections(persona, known)
    parts.append("## Everybody\n")
    parts += _rules(next(iter(PERSONAS.values())), known, everyone=True)
    return "\n".join(parts) + "\n"


def _sections(persona: Persona, known: Knowledge) -> Iterator[str]:
    wire, message, signer = persona.wire, persona.message, persona.signer
    yield f"## {persona.name}: {persona.title}\n"
    steps = ", ".join(f"`{step.removeprefix('operation=')}`" for step in wire.steps)
    yield f"- asks {steps}, over HTTP/{wire.version}" + (
        f", with `{wire.suffix}` behind the path" if wire.suffix else ""
    )
    yield f"- sends by {_method(persona)}"
    yield f"- encrypts under {_choices(message.ciphers)}, the key by {_transport(persona)}"
    yield f"- signs over {_choices(message.digests)}, in {_FORMS[message.form]}"
    yield f"- signs first with {_signer(persona)}, valid for {signer.days} days"
    octets = message.nonce_octets
    yield f"- calls the transaction by {_TRANSACTIONS[message.transaction]}; nonces have {octets} octets"
    yield f"- asks again {_poll(persona)}"
    yield f"- renews {_RENEWALS[persona.renewal]}"
    yield f"- takes the {'first certificate' if persona.takes_first else 'certificate for its key'}\n"
    yield from _rules(persona, known, everyone=False)
    sources = "; ".join(known.sources[key] for key in persona.source)
    yield f"\nSources: {sources}: {persona.confidence.words}.\n"


_FORMS = {
    "der": "DER",
    "streamed": "BER as BouncyCastle streams it",
    "nested": "DER with a string within a string and algorithms without NULL",
}
_TRANSACTIONS = {
    "sha1-upper": "SHA-1 of its key in capitals",
    "sha1-lower": "SHA-1 of its key",
    "sha1-base64": "SHA-1 of its key in base64",
    "md5-upper": "MD5 of its key in capitals",
    "sha256-decimal": "SHA-256 of its key as a decimal number",
}
_RENEWALS = {"": "not by itself", "17": "by RenewalReq", "19": "by PKCSReq, signed by the old certificate"}


def _method(persona: Persona) -> str:
    wire = persona.wire
    lines = f" in lines of {wire.wrap}" if wire.wrap else ""
    padding = "" if wire.padded else " without padding"
    escapes = f", `{wire.escapes}` escaped" if wire.escapes else ", nothing escaped"
    get = f"GET with {wire.alphabet}{padding}{lines}{escapes}"
    return f"POST where {' or '.join(wire.posts)} is listed, else {get}" if wire.posts else get


def _choices(wanted: Mapping[str, str]) -> str:
    words = [f"{name} where {word} is listed" if word else name for word, name in wanted.items()]
    return ", ".join(words[:-1]) + (f", else {words[-1]}" if words[1:] else words[-1])


def _transport(persona: Persona) -> str:
    return "RSAES-OAEP" if persona.message.key_transport == "OAEP" else "PKCS #1 v1.5"


def _signer(persona: Persona) -> str:
    signer = persona.signer
    key = "a key of its own" if signer.own_key else "the CSR's key"
    subject = f"the subject `{signer.subject}`" if signer.subject else "the CSR's subject"
    odd = " and a critical authorityKeyIdentifier" if signer.critical_aki else ""
    return f"an X.509 v{signer.version} certificate of {key}, with {subject}{odd}"


def _poll(persona: Persona) -> str:
    if persona.polling.resends:
        return "by sending its request once more, octet by octet"
    return "by CertPoll" + (" under 3DES and SHA-1, whatever is listed" if persona.polling.plain else "")


def _rules(persona: Persona, known: Knowledge, *, everyone: bool) -> Iterator[str]:
    """The rules that all personas have, or those that only this one has."""
    for words, pick in (("Stops at", "refuses"), ("Minds, and goes on", "minds")):
        lines = []
        for stage, rules in getattr(persona, pick).items():
            for rule in rules:
                if _is_common(stage, rule, pick) == everyone:
                    finding = known.findings[rule.partition("@")[0]]
                    lines.append(f"- {stage}: [{rule}](diagnoses.md#{finding.id}): {_plain(finding)}")
        if lines:
            yield f"{words}:\n"
            yield from lines
            yield ""


def _is_common(stage: object, rule: str, pick: str) -> bool:
    return all(rule in getattr(one, pick).get(stage, ()) for one in PERSONAS.values())


def _plain(finding: Finding) -> str:
    return f"{finding.what.replace('<', '&lt;').replace('*', chr(92) + '*')} ({finding.confidence.words})"
