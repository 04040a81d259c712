"""What a device once said is said again without any secret of it, and answered the same."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from app.client.csr import make_identity
from app.client.trust import assign_roles
from app.diagnosis.attributes import Role
from app.diagnosis.inspection import inspect
from app.diagnosis.opener import Opener
from app.recorder import replay
from app.recorder.http_octets import HttpOctets
from app.recorder.recording import Asked, Recording, Wish
from app.recorder.rekeying import CannotReplay, make_key, rekey
from app.recorder.replay import Verdict, address_for, needs_ca
from ca.algorithms.ciphers import DES_CBC
from ca.algorithms.digests import MD5, SHA1
from ca.algorithms.key_transport import KeyTransport
from ca.algorithms.keys import key_label
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm, MalformedMessage
from ca.issuing.key_store import generate_key
from ca.pkcs7 import encrypt
from ca.pkcs7 import oids as cms
from ca.profiles import Profile
from ca.scep import codec, oids
from ca.scep.codec import Form, ReadMessage, rewrite
from ca.scep.messages import MessageType
from ca.x509.certificate import Certificate
from tests.forging import Forgery
from tests.recording import REPLY, heard_of, recorded
from tests.world import NOW, PEER, SECRET, Device, World, der, name, rsa_key, self_signed

WINDOWS = KeyTransport(SHA1, SHA1)
Build = Callable[[World], bytes]


def device(**differs: object) -> Device:
    return Device(**differs)  # type: ignore[arg-type]


def spent(world: World) -> bytes:
    world.enrol(Device("ipad-16", rsa_key(2)), transaction_id="t0")
    return Device().message(world.ca)


def altered(world: World) -> bytes:
    message = Device().message(world.ca)
    return message[:-1] + bytes([message[-1] ^ 1])


def another_digest(world: World) -> bytes:
    return Forgery(Device(), world.ca).put(cms.MESSAGE_DIGEST, writer.octet_string(bytes(32))).message()


def of_type(number: str) -> Build:
    return lambda world: (
        Forgery(Device(), world.ca).put(oids.MESSAGE_TYPE, writer.printable_string(number)).message()
    )


def with_wishes(world: World) -> bytes:
    one = Device()
    names = x509.SubjectAlternativeName([x509.DNSName("host.example")])
    ca = x509.BasicConstraints(ca=True, path_length=None)
    return one.message(world.ca, one.csr("open sesame", names, ca))


def elsewhere(_: World) -> bytes:
    return Device().message(self_signed("Other CA", rsa_key(3)))


def renewal_of_nothing(world: World) -> bytes:
    """Signed under a certificate that another CA issued."""
    key = rsa_key(1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("ipad-17"))
        .issuer_name(name("Another CA"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=7))
    )
    signer = Certificate.load(der(builder.sign(rsa_key(3), hashes.SHA256())))
    return device(signer=signer).message(world.ca, message_type=MessageType.RENEWAL_REQ)


# What is refused, and the same again for a server that never saw the device.
REFUSED: dict[str, Build] = {
    "a spent password": spent,
    "an unknown password": lambda world: Device().message(world.ca, Device().csr("other")),
    "no password": lambda world: Device().message(world.ca, Device().csr(None)),
    "an altered signature": altered,
    "an altered content": another_digest,
    "MD5": lambda world: device(digest=MD5).message(world.ca),
    "PSS, SHA-1, DES and OAEP": lambda world: device(
        digest=SHA1, cipher=DES_CBC, key_transport=WINDOWS
    ).message(world.ca, Device().csr("other"), pss=True),
    "a CA by request, the password good": with_wishes,
    "an unknown messageType": of_type("99"),
    "no messageType": lambda world: Forgery(Device(), world.ca).drop(oids.MESSAGE_TYPE).message(),
    "no envelope": lambda world: Forgery(Device(), world.ca, b"nothing of CMS").message(),
    "no content": lambda world: Forgery(Device(), world.ca, None).message(),
    "an envelope for somebody else": elsewhere,
    "a poll": lambda world: Device().message(
        world.ca,
        writer.sequence(world.ca.subject_der, world.ca.subject_der),
        message_type=MessageType.CERT_POLL,
    ),
    "a query": lambda world: Device().message(
        world.ca,
        codec.encode_issuer_and_serial_number(world.ca.subject_der, 7),
        message_type=MessageType.GET_CERT,
    ),
    "a renewal of nothing": renewal_of_nothing,
}


def say_again(one: Recording, world: World) -> Verdict:
    """Send it to another server by hand, as ``replay`` does by HTTP."""
    roles = assign_roles((world.ca,), None, world.now)
    http = HttpOctets.read(one.request_octets)
    message = rekey(one, http.message, roles, SECRET if one.rule == "WishRefused" else "")
    again = HttpOctets.read(http.request_to("http://127.0.0.1:1/scep/", message))
    assert again.message != http.message
    body = world.responder.respond(again.message, world.profile, PEER, Deviations())
    return Verdict.read(REPLY % (codec.PKI_MESSAGE.encode(), len(body), body))


@pytest.mark.uses(1)
@pytest.mark.parametrize("build", REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_the_same_at_a_server_that_never_saw_the_device(world: World, build: Build) -> None:
    """A fault that was met in the field becomes a test, and stays mended."""
    one = recorded(heard_of(world, build(world)))
    fresh = World()
    then = Verdict.read(one.reply_octets)

    now = say_again(one, fresh)

    assert one.is_refusal
    assert (now, now.pki_status) == (then, "FAILURE")
    fresh.store.close()


def test_the_message_keeps_its_form_under_other_keys(world: World) -> None:
    """Digest, cipher, key transport, messageType, transactionID and the length of the nonce."""
    sender = device(digest=SHA1, cipher=DES_CBC, key_transport=WINDOWS)
    body = sender.message(world.ca, nonce=bytes(8), transaction_id="T-1")
    other = Device("other", rsa_key(2))

    again = ReadMessage.load(body).again(b"payload" * 9, other.certificate(), other.key, world.ca)

    deviations = Deviations()
    signed = codec.load(again, deviations)
    transaction = codec.decode_transaction(signed, Profile().crypto)
    message = codec.decode_pki_message(signed, transaction, Profile().crypto)
    assert (transaction.transaction_id, len(transaction.sender_nonce)) == ("T-1", 8)
    assert transaction.sender_nonce != bytes(8)
    assert (message.digest, message.message_type) == (SHA1, MessageType.PKCS_REQ)
    assert message.signer.der == other.certificate().der
    assert codec.open_envelope(message.content, world.key, None) == b"payload" * 9
    assert {"weak-digest", "nonce-length"} <= set(deviations.kinds())


@pytest.mark.parametrize("outer", [Form.DER, Form.STREAMED])
@pytest.mark.parametrize("inner", Form)
def test_the_ber_of_other_libraries_is_kept(world: World, device: Device, outer: Form, inner: Form) -> None:
    """Many a server reads none of it, and that is what is tried."""
    content = rewrite(encrypt([world.ca], device.csr()), inner)
    body = rewrite(Forgery(device, world.ca, content).message(), outer)

    again = ReadMessage.load(body).again(device.csr(), device.certificate(), device.key, world.ca)

    assert findings(again) == findings(body)
    assert world.responder.respond(again, world.profile, PEER, Deviations())


def findings(message: bytes) -> set[str]:
    """What ``inspect`` sees of BER in a message."""
    top = inspect(message, Opener(NOW), Role.REQUEST)
    return {note.finding for node in top.walk() for note in node.notes}


def test_what_is_odd_and_not_made_again_is_told(world: World) -> None:
    """Of that, the verdict says nothing."""
    forgery = Forgery(Device(), world.ca)
    forgery.sent_unsorted = True
    one = recorded(heard_of(world, forgery.message()))
    roles = assign_roles((world.ca,), None, world.now)

    done = replay.replay(one, "http://127.0.0.1:1/scep", roles)

    assert done.made_again
    assert done.lost == ("unsorted-attributes",)


def test_what_is_odd_about_a_message_is_no_reason_not_to_make_it_again(world: World, device: Device) -> None:
    """No nonce, a messageType that is a number, a signature that nobody can check."""
    odd = Forgery(device, world.ca).drop(oids.SENDER_NONCE).put(oids.MESSAGE_TYPE, writer.integer(19))
    odd.signature_algorithm = writer.sequence(writer.oid("1.2.3.4"))
    before = ReadMessage.load(odd.message())

    again = before.again(b"payload", device.certificate(), device.key, world.ca)

    assert before.message_type is MessageType.PKCS_REQ
    signed = codec.load(again, Deviations())
    assert oids.SENDER_NONCE not in signed.attributes
    assert signed.attributes[oids.MESSAGE_TYPE][0].integer() == 19
    assert signed.verify().der == device.certificate().der


def test_what_cannot_be_made_again_is_said(world: World, device: Device) -> None:
    """Rather than something else be sent."""
    unknown = Forgery(device, world.ca)
    unknown.digest_algorithm = writer.sequence(writer.oid("1.2.3.4"))
    one = recorded(heard_of(world, device.message(world.ca)))
    roles = assign_roles((world.ca,), None, world.now)

    with pytest.raises(BadAlgorithm):
        ReadMessage.load(unknown.message()).again(b"x", device.certificate(), device.key, world.ca)
    # Nothing can be encrypted to who has no RSA key.
    elliptic = make_identity(name("EC"), generate_key("ec:p256"))
    sound = ReadMessage.load(device.message(world.ca))
    with pytest.raises(BadAlgorithm):
        sound.again(b"x", device.certificate(), device.key, elliptic.certificate)
    with pytest.raises(MalformedMessage):
        ReadMessage.load(b"0\x00")
    for wrong, why in (
        ({"cut": True}, "longer than is kept"),
        ({"request": ""}, "not in it"),
        ({"asked": Asked(key="dsa:1024")}, "dsa:1024"),
        ({"asked": Asked(key="rsa:99999")}, "rsa:99999"),
        ({"asked": Asked(key="rsa:2048", sans=("ip:nowhere",))}, "cannot be made again"),
        ({"asked": Asked(key="rsa:2048", wishes=(Wish(oid="x", value="00"),))}, "cannot be made again"),
    ):
        with pytest.raises(CannotReplay, match=why):
            replay.replay(one.model_copy(update=wrong), "http://127.0.0.1:1/scep", roles)


@pytest.mark.parametrize("label", ["ed25519", "ec:p384", "rsa:1024"])
def test_the_key_is_of_the_same_kind(label: str) -> None:
    """Which is what many a refusal is about."""
    assert key_label(make_key(label).public_key()) == label


def test_a_server_that_is_not_there_gives_no_verdict(world: World) -> None:
    """And what is no message goes as it came, without asking for the CA."""
    one = recorded(heard_of(world, b"no message"))

    done = replay.replay(one, "http://127.0.0.1:1/scep", None)

    assert not needs_ca(one)
    assert not done.is_same
    assert not done.made_again
    assert (done.today, str(done.today)) == (Verdict(0), "no answer")
    assert str(done.recorded) == "HTTP 400"
    assert done.sent.trouble
    assert done.sent.request.endswith(b"\r\n\r\nno message")


def test_a_signer_that_cannot_be_read_is_as_good_as_none(world: World, device: Device) -> None:
    """Its key is then made up."""
    forgery = Forgery(device, world.ca)
    forgery.certificates = []
    broken = Forgery(device, world.ca)
    broken.certificates = [writer.sequence(b"")]

    for message in (forgery.message(), broken.message()):
        assert ReadMessage.load(message).signer is None
        one = recorded(heard_of(world, message))
        roles = assign_roles((world.ca,), None, world.now)
        assert rekey(replace_asked(one), message, roles, "")


def replace_asked(one: Recording) -> Recording:
    return one.model_copy(update={"asked": None, "subject": ""})


GET = (
    b"GET /scep/vpn/x?operation=PKIOperation&message=%s HTTP/1.0\r\n"
    b"Host: old\r\nCookie: (redacted)\r\nA: b\r\n\r\n"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"%2B%2F%3D", b"%2B%2F8%3D"), (b"A+", b"+/8="), (b"A-_", b"-_8=")],
)
def test_a_get_keeps_its_path_its_headers_and_its_dialect_of_base64(before: bytes, after: bytes) -> None:
    """Each of the three has its own troubles on the way."""
    again = HttpOctets.read(GET % before).request_to("http://[::1]:8080", b"\xfb\xff")

    line, host, *rest = again.split(b"\r\n")
    assert line == b"GET /scep/vpn/x?operation=PKIOperation&message=" + after + b" HTTP/1.0"
    assert (host, rest) == (b"Host: [::1]:8080", [b"A: b", b"Connection: close", b"", b""])


def test_the_path_of_the_address_counts_where_it_has_one(world: World, device: Device) -> None:
    """Another server has another one; the certificates are asked for where the message goes."""
    one = recorded(replace(heard_of(world, device.message(world.ca)), request_head=GET % b"AAAA"))
    for url, asked in (
        ("http://ca.example/other?x=y", "http://ca.example/other?x=y"),
        ("http://ca.example/", "http://ca.example/scep/vpn/x"),
        ("http://ca.example", "http://ca.example/scep/vpn/x"),
    ):
        assert address_for(one, url) == asked
    again = HttpOctets.read(GET % b"AAAA").request_to("https://u@ca.example/other", b"")

    assert again.startswith(
        b"GET /other?operation=PKIOperation&message=AAAA HTTP/1.0\r\nHost: ca.example\r\n"
    )
    token = HttpOctets.read(GET % b"AAAA").request_to("https://ca.example/other?x=y", b"")
    assert token.startswith(b"GET /other?x=y&operation=PKIOperation&message=AAAA HTTP/1.0\r\n")
    assert HttpOctets.read(GET % b"%GG").message == b""
    assert HttpOctets.read(b"GET / HTTP/1.1").message == b""
    post = HttpOctets.read(b"POST /scep HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").request_to(
        "http://h/", b""
    )
    assert b"\r\nContent-Length: 0\r\n" in post


def test_a_verdict_is_read_of_whatever_came(world: World, device: Device) -> None:
    """A server may answer anything."""
    granted = heard_of(world, device.message(world.ca)).reply
    assert Verdict.read(granted) == Verdict(200, codec.PKI_MESSAGE, "SUCCESS")
    head, body = granted.split(b"\r\n\r\n", 1)
    chunked = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    in_chunks = chunked + b"\r\n\r\n1\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (body[:1], len(body) - 1, body[1:])
    assert Verdict.read(in_chunks) == Verdict.read(granted)
    assert Verdict.read(b"") == Verdict(0)
    assert Verdict.read(b"nonsense") == Verdict(0)
    html = b"HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\n\r\n<html>"
    assert Verdict.read(html) == Verdict(500, "text/html")
    assert replace(Verdict(200), pki_status="PENDING") != Verdict(200)
