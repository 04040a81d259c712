"""``inspect``: what a message holds, what is wrong with it, and for whom."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.diagnosis.inspection import inspect, verdicts
from app.diagnosis.knowledge import knowledge
from app.diagnosis.node import PLACES, Node
from app.diagnosis.opener import Opener
from app.recorder.making import make_line
from ca.algorithms.ciphers import AES_256_GCM, DES_CBC
from ca.algorithms.digests import SHA1, SHA256
from ca.algorithms.key_transport import KeyTransport
from ca.asn1 import tags, writer
from ca.errors import FailInfo
from ca.issuing.root import encode_pem
from ca.pkcs7 import degenerate, encrypt, encrypt_with_password, sign
from ca.pkcs7 import oids as cms
from ca.scep import codec, oids
from ca.scep.capabilities import encode_capabilities
from ca.scep.messages import Failure, Outcome, Pending, Transaction
from tests.command_line import run
from tests.forging import Forgery, loosen
from tests.recording import heard_of
from tests.world import NONCE, NOW, SECRET, Device, World, rsa_key, self_signed

KNOWN = knowledge()
IOS = 'says "The SCEP server returned an invalid response" (22013)'


def look(data: bytes, opener: Opener | None = None) -> Node:
    """The tree of *data* at the time of the tests."""
    top = inspect(data, opener or Opener(NOW))
    assert {node.place for node in top.walk()} - {""} <= PLACES
    return top


def found(data: bytes, opener: Opener | None = None, least: str = "warning") -> list[str]:
    """The findings of *data* down to a severity, in the order shown."""
    told = verdicts(look(data, opener), KNOWN)
    return [one.finding.id for one in told if least == "info" or one.finding.severity != "info"]


def values(top: Node, name: str) -> list[str]:
    """What stands at every place of that name."""
    return [node.value for node in top.walk() if node.name == name]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def forge_like(world: World, device: Device) -> bytes:
    """A reply signed as a plain PKCS7.sign does: contentType, messageDigest and signingTime alone."""
    envelope = encrypt([device.certificate()], degenerate([self_signed("leaf", device.key).der]))
    return sign(world.ca, world.key, envelope)


def reply_to(world: World, device: Device, **changes: bytes) -> bytes:
    """A signed SUCCESS with some attributes changed; empty ones are left out."""
    envelope = encrypt([device.certificate()], degenerate([self_signed("leaf", device.key).der]))
    attributes = {
        "MESSAGE_TYPE": writer.printable_string("3"),
        "PKI_STATUS": writer.printable_string("0"),
        "TRANSACTION_ID": writer.printable_string("t1"),
        "SENDER_NONCE": writer.octet_string(bytes(16)),
        "RECIPIENT_NONCE": writer.octet_string(NONCE),
    } | changes
    signed = {getattr(oids, name): value for name, value in attributes.items() if value}
    return sign(world.ca, world.key, envelope, attributes=signed, signing_time=NOW)


def test_a_request_is_taken_apart_to_the_csr(world: World) -> None:
    """With the CA's key nothing stays hidden but the challenge password, which is a secret."""
    message = Device().message(world.ca, transaction_id="4711")

    top = look(message, Opener(NOW, world.key))

    assert values(top, "messageType") == ["19 (PKCSReq)"]
    assert values(top, "transactionID") == ["4711"]
    assert values(top, "senderNonce") == [NONCE.hex()]
    assert values(top, "contentEncryptionAlgorithm") == ["AES-128-CBC"]
    assert values(top, "CSR") == ["CN=ipad-17"]
    assert values(top, "proof of possession") == ["the CSR is signed by its own key"]
    assert values(top, "challengePassword") == ["11 characters, not shown"]
    assert values(top, "verdict") == ["the signature holds"]
    assert SECRET not in str([node.value for node in top.walk()])


def test_nothing_is_wrong_with_our_own_messages(world: World) -> None:
    """A tool that cries wolf is not listened to."""
    device = Device()
    message = device.message(world.ca)
    reply = world.respond(message)

    assert found(message, Opener(NOW, world.key, world.ca), least="info") == []
    assert found(reply, Opener(NOW, device.key, device.certificate()), least="info") == []


def test_a_reply_of_a_plain_pkcs7_sign_misses_the_attributes_of_scep_first(world: World) -> None:
    """The commonest port of the Ruby sample, and the sentence that iOS says of it."""
    told = verdicts(look(forge_like(world, Device())), KNOWN)

    assert [one.finding.id for one in told] == [
        "message-type-missing",
        "pki-status-missing",
        "transaction-id-missing",
        "recipient-nonce-missing",
        "sender-nonce-missing",
    ]
    assert told[0].finding.clients["ios"] == IOS
    assert told[0].node.place == "signedAttrs"


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"MESSAGE_TYPE": writer.integer(3)}, "attribute-type"),
        ({"PKI_STATUS": b""}, "pki-status-missing"),
        ({"PKI_STATUS": writer.printable_string("1")}, "undefined-value"),
        ({"TRANSACTION_ID": b""}, "transaction-id-missing"),
        ({"TRANSACTION_ID": writer.utf8_string("t1")}, "attribute-type"),
        ({"SENDER_NONCE": b""}, "sender-nonce-missing"),
        ({"SENDER_NONCE": writer.octet_string(NONCE)}, "nonce-echoed"),
        ({"RECIPIENT_NONCE": b""}, "recipient-nonce-missing"),
    ],
)
def test_each_fault_of_a_reply_is_named_alone(world: World, changes: dict[str, bytes], finding: str) -> None:
    """One fault, one finding, nothing false beside it."""
    assert found(reply_to(world, Device(), **changes)) == [finding]


def test_faults_of_the_signature_are_told_apart(world: World) -> None:
    """Which of them it is decides where to look."""
    device = Device()
    no_content_type = Forgery(device, world.ca).drop(cms.CONTENT_TYPE).message()
    other_content = Forgery(device, world.ca)
    other_content.sent_content = encrypt([world.ca], b"another")
    other_key = Forgery(device, world.ca, key=rsa_key(2))
    as_signature = Forgery(device, world.ca)
    as_signature.digest_algorithm = writer.sequence(writer.oid("1.2.840.113549.1.1.11"), writer.NULL)
    no_certificate = Forgery(device, world.ca)
    no_certificate.certificates = [world.ca.der]
    twice = Forgery(device, world.ca)

    assert found(no_content_type) == ["content-type-attribute-missing"]
    assert found(other_content.message()) == ["message-digest-wrong"]
    assert found(other_key.message()) == ["signature-wrong"]
    assert found(as_signature.message()) == ["digest-is-signature-algorithm"]
    assert found(no_certificate.message()) == ["signer-certificate-missing"]
    assert found(twice.message(twice.signer_info(), twice.signer_info())) == ["several-signers"]
    assert found(Forgery(device, world.ca).repeat(oids.TRANSACTION_ID).message()) == ["attribute-repeated"]


def test_faults_of_a_reply_s_envelope_are_told(world: World) -> None:
    """What Apple and OpenSSL 3 cannot open."""
    device = Device()
    recipient = [device.certificate()]
    leaf = self_signed("leaf", device.key).der
    oaep = encrypt(recipient, degenerate([leaf]), key_transport=KeyTransport(SHA256, SHA256))
    des = encrypt(recipient, degenerate([leaf]), DES_CBC)
    two = encrypt(recipient, degenerate([world.ca.der, leaf]))
    none = encrypt(recipient, degenerate([]))
    opener = Opener(NOW, device.key)

    def reply(envelope: bytes) -> bytes:
        forgery = Forgery(device, world.ca, envelope).put(oids.MESSAGE_TYPE, writer.printable_string("3"))
        forgery.put(oids.PKI_STATUS, writer.printable_string("0"))
        return forgery.put(oids.RECIPIENT_NONCE, writer.octet_string(bytes(16))).message()

    assert found(reply(oaep), opener) == ["oaep-reply"]
    assert found(reply(des), opener) == ["des-reply"]
    assert found(reply(two), opener) == ["reply-not-leaf-alone"]
    assert found(reply(none), opener) == ["success-without-certificate"]
    assert found(reply(none), Opener(NOW, rsa_key(3))) == ["envelope-not-opened"]
    assert found(reply(none), Opener(NOW, None, world.ca)) == ["recipient-not-signer"]


def test_a_refusal_says_why(world: World) -> None:
    """IOS never reads failInfo, so that whoever looks has to find it here."""
    device = Device()

    def reply(outcome: Outcome) -> bytes:
        return codec.encode_cert_rep(
            outcome,
            Transaction("t1", NONCE),
            world.ca,
            world.key,
            recipient=device.certificate(),
            digest=device.digest,
            cipher=device.cipher,
        )

    refused, pending = reply(Failure(FailInfo.BAD_REQUEST, "no such challenge")), reply(Pending())

    (refusal,) = verdicts(look(refused), KNOWN)
    assert (refusal.finding.id, refusal.note.detail) == ("refused", "2 (badRequest): no such challenge")
    assert found(pending, least="info") == ["pending"]


def test_ber_is_read_and_said_to_be(world: World) -> None:
    """Jscep sends nothing else, and it hurts nobody but servers that cannot read it."""
    device = Device()
    message = loosen(device.message(world.ca), device.certificate().der)

    top = look(message, Opener(NOW, world.key))

    assert values(top, "CSR") == ["CN=ipad-17"]
    assert values(top, "verdict") == ["the signature holds"]
    assert set(found(message, least="info")) == {
        "indefinite-length",
        "constructed-string",
        "non-minimal-length",
        # Their order is that of DER, whose lengths are other ones.
        "unsorted-attributes",
    }


def test_weak_algorithms_are_told(world: World) -> None:
    """With evidence they can be switched off."""
    message = Device(digest=SHA1, cipher=DES_CBC).message(world.ca)

    assert found(message) == ["weak-digest", "weak-cipher"]


def test_envelopes_open_with_gcm_and_with_passwords(world: World) -> None:
    """Whatever our own server writes can be looked into."""
    gcm = encrypt([world.ca], Device().csr(), AES_256_GCM)
    sealed = encrypt_with_password(SECRET, degenerate([world.ca.der]))

    assert values(look(gcm, Opener(NOW, world.key)), "CSR") == ["CN=ipad-17"]
    assert values(look(sealed, Opener(NOW, password=SECRET)), "certificate") == ["CN=Test CA"]
    assert "envelope-not-opened" in found(sealed, Opener(NOW, password="wrong"))
    assert found(sealed, Opener(NOW, world.key)) == ["recipient-other"]


def test_a_private_key_is_not_shown(world: World) -> None:
    """It was pasted by mistake, and what is shown is copied on."""
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        top = look(world.key.private_bytes(Encoding.PEM, form, NoEncryption()))

        assert [note.finding for node in top.walk() for note in node.notes] == ["private-key"]
        assert len(list(top.walk())) == 3


def test_a_challenge_password_is_not_shown_where_its_csr_is_broken() -> None:
    """Then no reader knows what it is, and it is one all the same."""
    csr = bytearray(Device().csr())
    csr[4:5] = b"\x31"

    top = look(bytes(csr))

    assert SECRET not in str([node.value for node in top.walk()])
    assert all(node.secret for node in top.walk() if SECRET.encode() in bytes(node.octets or b""))


def test_base64_in_any_state_is_read(world: World) -> None:
    """It comes out of logs, addresses, mails and terminals."""
    message = Device().message(world.ca)
    text = base64.b64encode(message).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    cut = f"> {lines[:900]}\u0020*"

    for data in (text, lines, quote(text, safe=""), text.translate(str.maketrans("+/", "-_")).rstrip("=")):
        assert values(look(data.encode()), "transactionID") == ["t1"]
    assert values(look(f"-----BEGIN PKCS7-----\n{lines}\n-----END PKCS7-----\n".encode()), "verdict")
    assert {"base64-damaged", "damaged-encoding"} <= set(found(cut.encode()))


def test_a_blank_that_was_a_plus_is_one_again(world: World) -> None:
    """The commonest damage: a + in a query or a form is a blank. Lines that became one are none of it."""
    message = Device().message(world.ca)
    text = base64.b64encode(message).decode()
    in_pieces = " ".join(text[at : at + 76] for at in range(0, len(text), 76))
    plus = next(
        text for _ in range(50) if "+" in (text := base64.b64encode(Device().message(world.ca)).decode())
    )

    for length in range(3):
        lost = base64.b64encode(base64.b64decode(plus) + bytes(length)).decode().replace("+", " ")
        top = look(lost.encode())
        assert values(top, "transactionID") == ["t1"]
        assert "blanks where a + was" in str([node.notes for node in top.walk()])
    assert found(in_pieces.encode()) == found(message)


def test_http_requests_are_read(world: World) -> None:
    """As a proxy or a packet capture has them."""
    message = Device().message(world.ca)
    text = base64.b64encode(message).decode()
    get = f"GET /scep?operation=PKIOperation&message={text} HTTP/1.1\r\nHost: ca\r\n\r\n".encode()
    post = (
        b"POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: ca\r\nAuthorization: Basic abc\r\n\r\n"
        + message
    )
    size = f"{len(message):x}".encode()
    chunked = (
        b"POST /scep HTTP/1.1\r\nHost: ca\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n%b\r\n0\r\n\r\n"
        % (
            size,
            message,
        )
    )
    kept = b"POST /scep HTTP/1.1\nHost: ca\nTransfer-Encoding: chunked\n\n%b\n%b\n%b\n%b\n0\n\n" % (
        *(b"a", message[:10]),
        *(f"{len(message) - 10:x}".encode(), message[10:]),
    )
    empty = b"POST /scep?operation=PKIOperation HTTP/1.1\r\nContent-Type: application/x-pki-message\r\n\r\n"

    for request in (get, post, chunked, kept):
        assert values(look(request), "transactionID") == ["t1"]
    assert found(get.replace(b"%2B", b"+").replace(b"+", b"%20"), least="info") == ["repaired-plus"]
    assert found(post, least="info") == ["media-type"]
    assert values(look(post), "Authorization") == ["(not shown)"]
    assert found(chunked, least="info") == ["media-type", "post-without-operation"]
    assert found(empty, least="info") == ["post-body-empty", "http-host-missing"]


def test_http_responses_are_read(world: World) -> None:
    """The media type is what iOS compares letter by letter."""
    kind, body = codec.encode_ca_certificates((world.ca,))

    def answer(kind: str, body: bytes, status: str = "200 OK", more: str = "") -> bytes:
        return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}\r\n".encode() + body

    reply = world.respond(Device().message(world.ca))
    assert found(answer(kind, body)) == []
    assert found(answer(f"{kind}; charset=UTF-8", body)) == ["http-media-type"]
    assert found(answer(kind, base64.b64encode(body))) == ["ca-not-der"]
    assert found(answer("application/x-pki-message", reply)) == []
    assert found(answer("text/html", b"<html>Not Found</html>", "404 Not Found")) == [
        "http-error",
        "html-body",
    ]
    assert found(answer("text/plain", b"", "302 Found", "Location: https://ca/\r\n")) == ["http-redirect"]


def test_an_answer_that_came_as_text_is_said_to_be_what_it_is(world: World) -> None:
    """Whoever looks for a fault of GetCACert where the reply is wrong looks in the wrong place."""
    reply = world.respond(Device().message(world.ca))
    pem = b"-----BEGIN PKCS7-----\n" + base64.encodebytes(reply) + b"-----END PKCS7-----\n"
    ca = world.ca.der

    def told(kind: str, body: bytes) -> list[tuple[str, str]]:
        top = look(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body)
        return [(one.finding.id, one.note.detail) for one in verdicts(top, KNOWN)]

    for kind in ("application/x-pki-message", "text/plain"):
        assert told(kind, pem) == [("reply-not-der", "it is PEM")]
        assert told(kind, base64.b64encode(reply)) == [("reply-not-der", "it is base64")]
        for text in (reply.hex(), reply.hex(" ").upper(), reply.hex("\n", 32)):
            assert told(kind, text.encode()) == [("reply-not-der", "it is hexadecimal")]
    assert told("application/x-x509-ca-cert", ca.hex().encode()) == [("ca-not-der", "it is hexadecimal")]
    assert told("text/plain", base64.b64encode(ca)) == [("ca-not-der", "it is base64")]
    capabilities = base64.b64encode(encode_capabilities(("AES", "SHA-256", "POSTPKIOperation")))
    assert told("text/plain", capabilities)[0] == (
        "caps-no-digest",
        "no line is a capability: it is base64",
    )
    # A certificate where a reply was asked for is no answer to GetCACert.
    asked = heard_of(world, Device().message(world.ca))
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + base64.b64encode(ca)
    exchange = make_line(replace(asked, reply=answer), "abcdef-1")
    assert "ca-not-der" not in found(exchange)
    assert "reply-not-der" in found(exchange)


def test_capabilities_are_read_as_clients_read_them() -> None:
    """RFC 8894 3.5.2: a keyword a line; iOS compares whole lines."""
    good = (
        "AES",
        "DES3",
        "POSTPKIOperation",
        "Renewal",
        "SHA-1",
        "SHA-256",
        "SHA-384",
        "SHA-512",
        "SCEPStandard",
    )

    assert found(encode_capabilities(good), least="info") == []
    assert found(b"SCEPStandard\n") == ["caps-no-digest", "caps-no-post", "caps-no-aes", "caps-no-sha384"]
    assert found(encode_capabilities(good).replace(b"\n", b" \n")) == ["caps-blanks"]
    (marked,) = verdicts(look(b"\xef\xbb\xbf" + encode_capabilities(good)), KNOWN)
    assert (marked.finding.id, "byte order mark" in marked.note.detail) == ("caps-blanks", True)
    (json_,) = verdicts(look(b'{"capabilities": ["AES"]}'), KNOWN)
    assert (json_.finding.id, json_.note.detail) == ("html-body", "it is JSON")
    assert found(encode_capabilities(good).replace(b"POSTPKI", b"PostPKI")) == ["caps-case"]


def test_the_ca_s_certificate_is_held_to_what_clients_ask(world: World) -> None:
    """A bundle without an RA is what Apple says -67731 of."""
    assert found(world.ca.der) == []
    assert found(degenerate([world.ca.der])) == ["ra-missing"]
    assert "ca-expired" in found(world.ca.der, Opener(NOW.replace(year=2046)))


def test_a_next_ca_a_crl_and_a_csr_are_known(world: World) -> None:
    """Everything that goes over the line has a name."""
    next_ca = codec.encode_next_ca_certificates((world.ca,), world.ca, world.key, NOW)

    assert values(look(next_ca), "next CA")
    assert found(next_ca) == ["ra-missing"] or found(next_ca) == []
    assert values(look(Device().csr()), "CSR") == ["CN=ipad-17"]
    assert found(Device().csr(None), least="info") == ["csr-no-challenge"]


@pytest.mark.parametrize("share", range(1, 20))
def test_what_breaks_off_shows_how_far_it_is_right(world: World, share: int) -> None:
    """And says nothing false about what is not there."""
    message = Device().message(world.ca)

    cut = message[: len(message) * share // 20]
    top = look(cut)
    shown = {node.name: node.value for node in top.walk()}

    assert found(cut) == ["damaged-encoding"]
    assert shown["certificates"] in ("", "(it breaks off before)")
    assert shown["signerInfos"] in ("1", "(it breaks off before)")
    assert "(missing)" not in shown.values()


def test_a_wrong_key_is_told_whose_it_should_be(world: World) -> None:
    """Of a reply that is the device's; which server's words fit neither."""
    device = Device()
    reply = world.respond(device.message(world.ca))

    (verdict,) = verdicts(look(reply, Opener(NOW, world.key, guessed=True)), KNOWN)

    assert (verdict.finding.id, verdict.finding.severity) == ("key-other", "info")
    assert verdict.note.detail.startswith("the reply is for serial ")
    assert verdict.note.detail.endswith(" of CN=ipad-17")
    sealed = encrypt_with_password("secret", degenerate([world.ca.der]))
    assert found(sealed, Opener(NOW, password="wrong", guessed=True)) == ["recipient-other"]
    # Whose key it is is known: then it is the message that is wrong.
    assert found(reply, Opener(NOW, world.key)) == ["envelope-not-opened"]


def test_what_no_key_opens_is_a_fault_whosever_key_was_given(world: World) -> None:
    """That it may be another key explains nothing there."""
    device = Device()
    envelope = encrypt([device.certificate()], degenerate([world.ca.der]), AES_256_GCM)
    unknown = envelope.replace(writer.oid(AES_256_GCM.oid), writer.oid("2.16.840.1.101.3.4.1.99"))

    assert found(unknown, Opener(NOW, device.key, guessed=True)) == ["envelope-not-opened"]


def test_one_key_opens_one_half_of_a_recording(world: World, tmp_path: Path) -> None:
    """The CA's opens the request, and that it opens no reply is as it should be; the device's the reverse."""
    device = Device()
    heard = heard_of(world, device.message(world.ca))
    for name, private, public in (
        ("ca", world.key, world.ca),
        ("device", device.key, device.certificate()),
        ("stranger", rsa_key(3), self_signed("stranger", rsa_key(3))),
    ):
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(pem)
        (tmp_path / f"{name}.pem").write_bytes(encode_pem(public))
    (tmp_path / "recording").write_bytes(make_line(heard, "abcdef-1"))

    for name in ("ca", "device"):
        key, certificate = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
        for options in (("--key", key), ("--cert", certificate), ("--key", key, "--cert", certificate)):
            done = run("inspect", tmp_path / "recording", *options)
            assert done.code == 0, done.out
            assert ("key-other" in done.out) == ("--key" in options)
            assert "recipient-refound" not in done.out
    done = run("inspect", tmp_path / "recording", "--key", tmp_path / "stranger.key")
    assert (done.code, "gives up" in done.out) == (0, False)
    assert "info: The envelope is for another key or password than was given here" in done.out
    done = run("inspect", tmp_path / "recording", "--cert", tmp_path / "stranger.pem")
    assert done.code == 1
    assert "recipient-not-signer" in done.out


def test_control_characters_never_reach_the_terminal(world: World, tmp_path: Path) -> None:
    """A subject may hold what clears the screen or writes another verdict."""
    evil = writer.sequence(writer.integer(1), writer.encode(tags.UTF8_STRING, b"\x1b[2J\r\nviolation: none"))
    (tmp_path / "evil").write_bytes(evil)

    done = run("inspect", tmp_path / "evil")

    assert "\x1b" not in done.out
    assert "\r" not in done.out
    assert "\nviolation" not in done.out


def test_the_verb_tells_people_and_machines_the_same(world: World, tmp_path: Path) -> None:
    """Exit code 1 for what a client insists on, and JSON that names place, clients and cure."""
    (tmp_path / "reply.der").write_bytes(forge_like(world, Device()))

    words, machine = run("inspect", tmp_path / "reply.der"), run("inspect", "--json", tmp_path / "reply.der")

    assert (words.code, machine.code) == (1, 1)
    assert words.out.startswith("violation: The signed attributes hold no messageType (there are ")
    assert f"  iOS, iPadOS: {IOS}\n" in words.out
    told = json.loads(machine.out)
    assert told["findings"][0]["id"] == "message-type-missing"
    assert told["findings"][0]["clients"]["ios"] == IOS
    assert told["findings"][0]["leads_to"][0] == "windows-attribute"
    assert told["tree"]["parts"][0]["name"] == "CertRep"


def test_the_verb_opens_with_a_key_and_shows_octets(world: World, tmp_path: Path) -> None:
    """Offsets are what one goes to the hexadecimal editor with."""
    (tmp_path / "message").write_bytes(Device().message(world.ca))
    key = world.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)

    done = run("inspect", tmp_path / "message", "--key", tmp_path / "key.pem", "--hex")

    assert done.code == 0, done.err
    assert "CSR: CN=ipad-17 @0 +" in done.out
    assert "subject: CN=ipad-17 @11 +20 3012311030" in done.out
    assert SECRET not in done.out
    assert SECRET.encode().hex() not in done.out


def test_the_verb_refuses_in_one_line(tmp_path: Path) -> None:
    """What cannot be read, and what is too much."""
    huge = tmp_path / "huge"
    huge.write_bytes(bytes(4 * 1024 * 1024 + 1))

    for done, said in (
        (run("inspect", huge), "is longer than 4 MiB"),
        (run("inspect", "-", "--key", huge), "longer than any private key"),
        (run("inspect", "-", "--cert", huge), "longer than any chain of certificates"),
        (run("inspect", "-", "--password-file", huge), "longer than 64 KiB, too long for a password"),
        (run("doctor", "http://127.0.0.1:1/scep", "--challenge", huge), "too long for a challenge password"),
        (run("inspect", tmp_path / "absent"), "absent"),
        (run("inspect", "-", "--password-file", "-"), "standard input can be either"),
    ):
        assert (done.code, done.out) == (2, "")
        assert said in done.err
        assert done.err.count("\n") == 1


@pytest.mark.parametrize("octets", [b"", b" \r\n", b"hello there", b"PK\x03\x04\x14\x00\x08\x00"])
def test_what_is_nothing_of_scep_is_not_in_order(octets: bytes) -> None:
    """Whoever has kept the wrong bytes looks no further where they are said to be sound."""
    assert found(octets) == ["nothing-of-scep"]
