"""What else a persona does in a session: it polls, renews, stops before roadblocks, and keeps to its file."""

import os
import socket
from dataclasses import replace

import pytest
from cryptography import x509

from app.client import Identity
from app.diagnosis.knowledge import knowledge
from app.personas import PERSONAS, Persona, Reach, Stage, enrol, judge, look, renew
from app.personas.observing import Observation
from app.personas.persona import FOLDER
from ca.algorithms.digests import SHA256
from ca.deviations import Deviations
from ca.scep import codec
from ca.scep.codec import encode_ca_chain
from ca.x509.certificate import Certificate
from tests.forged import CA, DEVICE_KEY, PENDING, ForgedServer, Forgery, issue, serving
from tests.persona_document import DOCUMENT, HINT, markdown
from tests.services import bare_socket
from tests.test_persona_judgement import (
    BUNDLE_TYPE,
    CA_TYPE,
    CAPABILITIES,
    OTHER_CA,
    SUBJECT,
    asking,
    stopping,
)
from tests.world import rsa_key

KNOWN = knowledge()


def test_apple_polls_only_under_a_transaction_id() -> None:
    """It asks again by the transactionID of the reply, and has no other (RFC 8894 3.3.3)."""
    pending = replace(PENDING, transaction_id=None)
    with serving(ForgedServer(capabilities=CAPABILITIES, answers=[pending, Forgery()])) as server:
        told = enrol(
            PERSONAS["ios"], server.url, subject=SUBJECT, key=DEVICE_KEY, wait=lambda polls: polls < 3
        )

    assert stopping(told) == {"transaction-id-missing"}
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("name", "kinds"), [("ios", ["19", "20"]), ("micromdm", ["19", "19"]), ("strongswan", ["19", "20"])]
)
def test_each_asks_again_in_its_own_way(name: str, kinds: list[str]) -> None:
    """Apple's poll is under 3DES and SHA-1 whatever was listed; others send their request once more."""
    with serving(ForgedServer(capabilities=CAPABILITIES, answers=[PENDING, Forgery()])) as server:
        told = enrol(
            PERSONAS[name], server.url, subject=SUBJECT, key=DEVICE_KEY, wait=lambda polls: polls < 3
        )
        given_up = replace(server, answers=[PENDING])
    with serving(given_up):
        waiting = asking(PERSONAS[name], given_up.url)

    first, second = server.requests[:2]
    assert told.certificate == issue()
    assert [one.message_type.value for one in server.received[:2]] == kinds
    assert (first.message.transaction.transaction_id) == second.message.transaction.transaction_id
    if name == "ios":
        assert (second.cipher.name, second.message.digest.name) == ("DES-EDE3-CBC", "SHA-1")
    assert (waiting.pending, waiting.certificate) == (True, None)
    assert "approve" in waiting.outcome


def test_who_renews_where_renewal_is_not_promised() -> None:
    """MacOS says that the server cannot; sscep sends a PKCSReq and never asks."""
    identity = Identity(Certificate.load(issue()), DEVICE_KEY)
    with serving(ForgedServer(capabilities=CAPABILITIES.replace(b"Renewal\n", b""))) as server:
        told = {
            name: renew(PERSONAS[name], server.url, identity, key=DEVICE_KEY)
            for name in ("macos", "sscep", "strongswan")
        }

    assert stopping(told["macos"]) == stopping(told["strongswan"]) == {"caps-no-renewal"}
    assert told["sscep"].certificate == issue()
    with pytest.raises(ValueError, match="does not renew"):
        renew(PERSONAS["ios"], server.url, identity, key=DEVICE_KEY)


def test_a_router_of_http_1_0_reads_no_chunks() -> None:
    """A proxy that sends them to everybody locks out what was built before them."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {CA_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(CA.der), CA.der))

    with bare_socket(answer) as url:
        cisco = look(PERSONAS["cisco"], url)
        apple = look(PERSONAS["ios"], url)

    assert stopping(cisco) == {"http-chunked-reply"}
    assert "http-chunked-reply" not in stopping(apple)


ROADBLOCKS = {
    "unreachable": b"",
    "http-redirect": b"HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n",
    "http-answer-broken": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nAES\n",
}


@pytest.mark.parametrize("finding", ROADBLOCKS)
def test_everybody_stops_where_there_is_no_way(finding: str) -> None:
    """A redirect to HTTPS is none: no client is known to follow it with a message."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(ROADBLOCKS[finding])

    with bare_socket(answer) as url:
        for persona in PERSONAS.values():
            told = look(persona, url)
            assert stopping(told) == {finding}
            assert len(told.exchanges) == 1


@pytest.mark.parametrize("url", ["ftp://x/scep", "http://x/scep\r\nX: y", "http://a:b@x/scep"])
def test_an_address_that_breaks_a_request_is_refused(url: str) -> None:
    """A request is written by hand, so that a line end in the address would be a header."""
    with pytest.raises(ValueError, match="address"):
        look(PERSONAS["sscep"], url)


def test_a_fingerprint_is_held_against_the_ca() -> None:
    """Whom a person named is believed, and nobody else."""
    with serving(ForgedServer(capabilities=CAPABILITIES)) as server:
        right = look(PERSONAS["ios"], server.url, Reach(fingerprint=CA.fingerprint()))
        wrong = look(PERSONAS["ios"], server.url, Reach(fingerprint=OTHER_CA.fingerprint()))

    assert right.authorities == (CA.der,)
    assert not right.objections
    assert stopping(wrong) == {"ca-fingerprint"}


@pytest.mark.parametrize("name", ["windows", "micromdm"])
def test_a_fingerprint_is_held_against_the_signer_too(name: str) -> None:
    """Of these clients it is not known that they look; who gave a fingerprint wants to be sure."""
    forged = Forgery(signer=OTHER_CA, key=rsa_key(3))
    with serving(ForgedServer(capabilities=CAPABILITIES, answers=[forged])) as server:
        sure, unsure = (
            enrol(PERSONAS[name], server.url, subject=SUBJECT, key=DEVICE_KEY, reach=Reach(fingerprint=pin))
            for pin in (CA.fingerprint(), None)
        )

    assert stopping(sure) == {"signer-not-ca"}
    assert unsure.certificate == issue()


def test_an_ra_is_written_to_and_may_sign() -> None:
    """RFC 8894 3.1: with an RA, the envelope is for it, and the reply is its own."""
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    agent = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.1")])
    ra = Certificate.load(issue("Forged RA", rsa_key(2), usage, agent))
    forged = ForgedServer(
        capabilities=CAPABILITIES,
        ca=(encode_ca_chain([CA, ra]), BUNDLE_TYPE),
        opens=(ra, rsa_key(2)),
        answers=[Forgery(signer=ra, key=rsa_key(2))],
    )
    with serving(forged) as server:
        told = [asking(PERSONAS[name], server.url) for name in ("ios", "windows", "sscep", "jscep")]

    assert [(one.certificate, stopping(one), one.authorities[0]) for one in told] == [
        (issue(), set(), CA.der)
    ] * 4


RULES = [
    (persona, rule)
    for persona in PERSONAS.values()
    for rules in (persona.refuses, persona.minds)
    for stage in rules.values()
    for rule in stage
]


@pytest.mark.parametrize("persona", PERSONAS.values(), ids=PERSONAS)
def test_every_rule_is_one_that_the_knowledge_has_of_that_client(persona: Persona) -> None:
    """So each has a source and says how sure it is; what everybody does is said of everyone."""
    rules = {rule.partition("@")[0] for one, rule in RULES if one is persona}

    assert rules <= KNOWN.findings.keys()
    assert set(persona.source) <= KNOWN.sources.keys()
    assert persona.name in KNOWN.clients or persona.family in KNOWN.clients
    whose = {persona.name, persona.family, "everyone"}
    assert {rule for rule in rules if whose.isdisjoint(KNOWN.findings[rule].clients)} == set()


def test_a_persona_says_nothing_of_what_it_does_not_mind() -> None:
    """What is sent by a server and read by nobody is no fault."""
    seen = [Observation("recipient-nonce-wrong", "CertRep.signedAttrs.recipientNonce")]

    assert list(judge(PERSONAS["ios"], Stage.CERT_REP, seen)) == []
    assert {path.stem for path in FOLDER.iterdir()} == {*PERSONAS, "everyone"}


def test_the_document_tells_what_each_sends_and_minds() -> None:
    """It is written from the files, so that nobody has to keep the two alike."""
    written = markdown(KNOWN)
    if os.environ.get("SCEPBOX_WRITE_DOCS") == "1":
        DOCUMENT.write_text(written, "utf-8", newline="\n")

    assert DOCUMENT.read_text("utf-8") == written, HINT


def test_jscep_signs_what_it_signs_with() -> None:
    """RFC 6211 2: its library adds the algorithms, and a server must not mind an attribute more."""
    with serving(ForgedServer(capabilities=CAPABILITIES)) as server:
        told = asking(PERSONAS["jscep"], server.url)

    message = told.exchanges[-1].request.partition(b"\r\n\r\n")[2]
    ((protection,),) = [codec.load(message, Deviations()).attributes["1.2.840.113549.1.9.52"]]
    digest, signature = protection.sequence(2, 2)
    assert digest.raw == SHA256.identifier
    assert signature.children()[0].oid() == "1.2.840.113549.1.1.11"
    assert told.certificate == issue()
