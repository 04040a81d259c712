"""What a client is like, read from the files beside this module: how it asks, and what it minds.

Nothing is sent or judged in here.
"""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.diagnosis.capabilities_text import KNOWN
from app.diagnosis.finding import Confidence
from ca.algorithms import ciphers, digests
from ca.algorithms.ciphers import Cipher
from ca.algorithms.digests import Digest
from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.scep.codec import Form

FOLDER = Path(__file__).with_name("known")
# SHA-1 is what absent parameters mean (RFC 4055 4.1); which ones Windows writes is not known.
_TRANSPORTS = {"PKCS1": PKCS1_V15, "OAEP": KeyTransport(digests.SHA1, digests.SHA1)}
# A finding, and after @ the place that it must be at where not every one counts.
Rule = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(@[A-Za-z.]+)?$")]


class Stage(StrEnum):
    """Whereupon a client judges: the answers in the order of the road, then what it was told."""

    HTTP = "HTTP"
    GET_CA_CAPS = "GetCACaps"
    GET_CA_CERT = "GetCACert"
    RENEWAL = "Renewal"
    CERT_REP = "CertRep"
    PENDING = "PENDING"


Rules = Mapping[Stage, tuple[Rule, ...]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Wire(_Part):
    """How a client speaks HTTP.

    *steps* are the queries before the PKIOperation, in order; *get* is that of a PKIOperation by GET,
    which is the way where none of the capabilities in *posts* is listed. In *headers* ``{host}`` stands for
    host and port, ``{name}`` for the host alone, ``{post}`` for the headers of a *post*, with ``{length}``;
    else these are the last. *suffix* is appended to the path. Base64 in a GET is of the *alphabet*, in lines
    of *wrap* characters (0: one line), with the characters in *escapes* percent-encoded.
    """

    version: Literal["1.0", "1.1"] = "1.1"
    headers: tuple[str, ...] = ()
    post: tuple[str, ...] = ()
    posts: tuple[str, ...] = ("POSTPKIOperation",)
    suffix: str = ""
    replaces_query: bool = False
    steps: tuple[str, ...]
    get: str = "operation=PKIOperation&message={message}"
    alphabet: Literal["base64", "base64url"] = "base64"
    padded: bool = True
    wrap: int = 0
    escapes: str = "+/="


class Signer(_Part):
    """The self-signed certificate that a first request is signed with.

    *subject* is the CSR's where empty; ``{uuid}`` in it is a fresh one. With *own_key* it has a key of
    its own. *serial* is at random, or the transactionID: as a number in one of two bases, or its
    characters. *key_usage* are bits by their names in RFC 5280.
    """

    subject: str = ""
    own_key: bool = False
    version: Literal[1, 3] = 3
    serial: Literal["random", "hexadecimal", "decimal", "text"] = "random"
    days: int = 365
    key_usage: tuple[str, ...] = ()
    critical_aki: bool = False


class Csr(_Part):
    """The PKCS #10 request; with *printable* the challenge is a PrintableString where it can be one."""

    digest: Literal["SHA-1", "SHA-256"] = "SHA-256"
    printable: bool = False
    sorted: bool = True
    key_usage: tuple[str, ...] = ()


class Message(_Part):
    """How a client writes a pkiMessage.

    *ciphers* and *digests* are tried in order: a capability, and what is used where it is listed; the
    empty one is for whatever is listed. *named_digest* is for a signatureAlgorithm that names its digest;
    one that *protects* its algorithms signs them too (RFC 6211).
    """

    ciphers: Mapping[str, str]
    digests: Mapping[str, str]
    key_transport: Literal["PKCS1", "OAEP"] = "PKCS1"
    form: Form = Form.DER
    named_digest: bool = False
    protects: bool = False
    nonce_octets: int = Field(16, ge=1, le=64)
    transaction: Literal["sha1-upper", "sha1-lower", "md5-upper", "sha256-decimal", "sha1-base64"]

    def cipher(self, capabilities: frozenset[str]) -> Cipher:
        """The content cipher that it takes where these *capabilities* are listed."""
        return ciphers.BY_NAME[_choose(self.ciphers, capabilities)]

    def digest(self, capabilities: frozenset[str]) -> Digest:
        """The digest that it takes there."""
        return digests.BY_NAME[_choose(self.digests, capabilities)]

    @property
    def transport(self) -> KeyTransport:
        """How it encrypts the content key."""
        return _TRANSPORTS[self.key_transport]


class Polling(_Part):
    """How a client asks again: by a CertPoll, or by sending its request once more, octet by octet.

    A *plain* poll is under 3DES and SHA-1, whatever is listed. *issuer* says whose subject stands where the
    issuing CA's belongs (RFC 8894 3.3.3).
    """

    resends: bool = False
    plain: bool = False
    issuer: Literal["CA", "recipient"] = "CA"


class Persona(_Part):
    """One client, and the *family* whose ways it has where the knowledge says nothing of itself.

    *source* are keys of the knowledge, and *confidence* says how sure its file is of the client where a
    finding speaks of several. *renewal* is the messageType of its renewals, empty where it has
    none. An *exact* one reads capabilities letter by letter, a line each; one that *takes_first* takes the
    first certificate of a reply for its own, whatever key is in it. *refuses* is what it stops at, *minds*
    what it tells and goes on.
    """

    name: str
    title: str
    family: str = ""
    source: tuple[str, ...] = Field(min_length=1)
    confidence: Confidence
    renewal: Literal["", "17", "19"] = ""
    takes_first: bool = False
    exact: bool = False
    wire: Wire
    message: Message
    signer: Signer = Signer()
    csr: Csr = Csr()
    polling: Polling = Polling()
    refuses: Rules
    minds: Rules = {}

    def read_capabilities(self, body: bytes) -> frozenset[str]:
        """What it reads out of GetCACaps: whole lines, or words of which case does not count."""
        text = body.decode("ascii", "replace")
        if self.exact:
            return frozenset(text.splitlines())
        words = {line.strip().casefold() for line in text.splitlines()}
        return frozenset(word for word in KNOWN if word.casefold() in words)

    def posts(self, capabilities: frozenset[str]) -> bool:
        """Whether it sends its message by POST where these *capabilities* are listed."""
        return not capabilities.isdisjoint(self.wire.posts)

    def goes_on_at(self, finding: str) -> bool:
        """Whether it minds *finding* at some stage, and stops at it at none."""
        minds, stops = (
            {rule.partition("@")[0] for stage in rules.values() for rule in stage}
            for rules in (self.minds, self.refuses)
        )
        return finding in minds - stops

    def refuses_at(self, stage: Stage, finding: str, where: str) -> bool | None:
        """Whether it stops at *finding* there, or only minds it; None where it does not care."""
        for rules, stops in ((self.minds, False), (self.refuses, True)):
            for rule in rules.get(stage, ()):
                wanted, _, place = rule.partition("@")
                if wanted == finding and where.endswith(place):
                    return stops
        return None


def _choose(wanted: Mapping[str, str], capabilities: frozenset[str]) -> str:
    return next(name for capability, name in wanted.items() if not capability or capability in capabilities)


@cache
def personas() -> Mapping[str, Persona]:
    """All of them by name, each with what everyone minds."""
    everyone = _Everyone(**_read("everyone"))
    names = sorted(path.stem for path in FOLDER.glob("*.toml") if path.stem != "everyone")
    return {name: _with(everyone, Persona(name=name, **_read(name))) for name in names}


class _Everyone(_Part):
    refuses: Rules
    minds: Rules


def _with(everyone: _Everyone, persona: Persona) -> Persona:
    """What a persona's own file says of a finding goes before what everyone does."""
    own = {stage: {*persona.refuses.get(stage, ()), *persona.minds.get(stage, ())} for stage in Stage}

    def put_together(rules: Rules, common: Rules) -> Rules:
        return {
            stage: (*rules.get(stage, ()), *(one for one in common.get(stage, ()) if one not in own[stage]))
            for stage in Stage
        }

    return persona.model_copy(
        update={
            "refuses": put_together(persona.refuses, everyone.refuses),
            "minds": put_together(persona.minds, everyone.minds),
        }
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
