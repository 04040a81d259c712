"""The readers of what strangers send, each as one function of bytes that lets only faults out.

A value or a refusal of its own kind is the right answer to any bytes; anything else is a fault.
"""

import base64
import contextlib
import gzip
import json
import quopri
from collections.abc import Callable, Iterator
from functools import cache
from urllib.parse import quote_from_bytes

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.ocsp import OCSPRequestBuilder, load_der_ocsp_response
from waitress.adjustments import Adjustments

from app.client import Identity
from app.client.raw import RawAnswer
from app.diagnosis.base64_text import decode_loosely, find_blocks, is_base64
from app.diagnosis.capabilities_text import is_capabilities, put_capabilities
from app.diagnosis.compressed import decompress, is_compressed
from app.diagnosis.explain import explain
from app.diagnosis.extension_words import extension_words
from app.diagnosis.hex_text import read_hex
from app.diagnosis.http_message import is_http, put_http, put_request_line
from app.diagnosis.inspection import inspect, verdicts
from app.diagnosis.knowledge import knowledge
from app.diagnosis.log_line import find_requests
from app.diagnosis.node import PLACES, Node
from app.diagnosis.opener import Opener
from app.diagnosis.pasted_text import from_utf16, take_off
from app.diagnosis.tlv import Tlv, Walk
from app.http.ocsp import decode_path
from app.http.parser import RequestParser
from app.http.query import decode_message, parse_query
from app.personas import PERSONAS, Stage, judge
from app.personas.material import Material
from app.personas.observing import Expected, observe_ca, observe_reply
from app.recorder.recording import FORMAT, NoRecording, read_recording
from app.recorder.redaction import redact
from app.recorder.words import Names, at_time, what_happened, what_was_asked
from ca.algorithms.digests import SHA1, SHA256
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.password import KeyDerivation, KeyWrap
from ca.asn1 import Asn1Error, Element, read, tags, writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm, FailInfo, InvalidReply, MalformedMessage, ScepError
from ca.issuing.content import certificate_content
from ca.issuing.crl import sign_crl
from ca.issuing.status import RevocationStatus
from ca.ocsp.responder import OcspResponder, OcspResponders
from ca.ocsp.signer import make_signer
from ca.pkcs7 import EnvelopedData, SignedData, degenerate, encrypt, sign
from ca.pkcs7.password_recipient import PasswordRecipient
from ca.profiles import Profile
from ca.scep import codec, oids
from ca.scep.capabilities import parse_capabilities
from ca.scep.codec import ReadMessage
from ca.scep.codec.attributes import text
from ca.scep.codec.queries import decode_issuer_and_serial_number
from ca.scep.messages import Failure, MessageType, Pending, PkiMessage, PkiStatus, Success, Transaction
from ca.x509 import oids as x509_oids
from ca.x509.certificate import Certificate, key_identifier
from ca.x509.general_names import read_general_names
from ca.x509.name import Name
from ca.x509.request import UnprovenRequest
from tests.forging import Forgery, loosen
from tests.world import NONCE, NOW, SECRET, Device, World, rsa_key, self_signed, spki

_EXTENSIONS = (
    *(x509_oids.KEY_USAGE, x509_oids.EXTENDED_KEY_USAGE, x509_oids.SUBJECT_ALT_NAME),
    *(x509_oids.BASIC_CONSTRAINTS, x509_oids.SUBJECT_KEY_IDENTIFIER, x509_oids.AUTHORITY_KEY_IDENTIFIER),
    *(x509_oids.CRL_NUMBER, x509_oids.CRL_DISTRIBUTION_POINTS, x509_oids.AUTHORITY_INFORMATION_ACCESS),
)
# So many iterations of PBKDF2 take no time.
CHEAP = 100


@cache
def world() -> World:
    """One CA for all; its one challenge is never spent."""
    return World()


@cache
def device() -> Device:
    """The client of the valid messages."""
    return Device()


def responder(data: bytes) -> None:
    """A pkiMessage: the whole road, to a CertRep that a client can read."""
    try:
        reply = world().respond(data)
    except MalformedMessage:
        return
    codec.load(reply, Deviations())


def pki_message(data: bytes) -> None:
    """The outer layer by itself, at the level that lets most in."""
    try:
        signed = codec.load(data, Deviations())
        transaction = codec.decode_transaction(signed, CryptoLevel.LEGACY)
        codec.decode_pki_message(signed, transaction, CryptoLevel.LEGACY)
    except (MalformedMessage, ScepError):
        pass


def envelope(data: bytes) -> None:
    """An envelope in a message that is signed well: the client holds the pen."""
    try:
        opened = EnvelopedData.load(data)
        opened.decrypt(world().key, world().ca, CryptoLevel.LEGACY)
    except ScepError:
        pass


def payload(data: bytes) -> None:
    """What was inside an envelope, under each messageType."""
    content = encrypt([world().ca], data or b"\0")
    for message_type in MessageType:
        message = PkiMessage(
            Transaction("t1", NONCE),
            message_type,
            device().certificate(),
            device().digest,
            content,
            NOW,
            Deviations(),
        )
        with contextlib.suppress(ScepError):
            codec.decode_request(message, world().key, world().ca, CryptoLevel.LEGACY)


def csr(data: bytes) -> None:
    """A CSR, read to its end whether it is proven or not, and weighed."""
    deviations = Deviations()
    try:
        request = UnprovenRequest(data, deviations)
        request.is_proven()
        certificate_content(request.read(CryptoLevel.LEGACY, deviations), Profile())
    except (Asn1Error, ScepError):
        pass


def certificate(data: bytes) -> None:
    """A certificate of a stranger, and everything that is asked of it."""
    try:
        one = Certificate.load(data)
        one.note_oddities(Deviations())
        _ = one.subject, one.subject_alt_names, one.is_ca, one.key_usage, one.subject_key_identifier
        _ = one.not_valid_before, one.not_valid_after, one.is_self_issued, one.fingerprint()
        one.public_key()
    except (Asn1Error, ScepError):
        pass


def names(data: bytes) -> None:
    """A Name and GeneralNames, whose text goes into logs and tables, and a Name's back into a Name."""
    with contextlib.suppress(Asn1Error):
        str(read_general_names(data)).encode("utf-8")
    try:
        name = Name.load(data)
    except Asn1Error:
        return
    words = str(name)
    words.encode("utf-8")
    if all(part.value for part in name.attributes()) and not Name.from_text(words).matches(name):
        raise AssertionError(words)


def asn1(data: bytes) -> None:
    """Every element, by every way of reading one."""
    with contextlib.suppress(Asn1Error):
        _walk(read(data, "fuzz", Deviations()))


def _walk(element: Element) -> None:
    for ask in (element.integer, element.boolean, element.oid, element.octets, element.bits, element.time):
        with contextlib.suppress(Asn1Error):
            ask()
    if element.tag & 0x20:
        for child in element.children():
            _walk(child)


def cert_rep(data: bytes) -> None:
    """A server's reply, as our client reads it."""
    expected = codec.Expectation(Transaction("t1", NONCE), (world().ca,), spki(device().key))
    with contextlib.suppress(InvalidReply):
        codec.decode_cert_rep(data, expected, device().certificate(), device().key, Deviations())


def ca_certificates(data: bytes) -> None:
    """A server's answer to GetCACert."""
    with contextlib.suppress(InvalidReply):
        codec.decode_ca_certificates(data)


def query(data: bytes) -> None:
    """A query string, its message, and a list of capabilities."""
    parse_capabilities(data)
    try:
        found = parse_query(data.decode("latin-1"))
        decode_message(found.message or "", Deviations())
    except MalformedMessage:
        pass


def issuer_and_serial(data: bytes) -> None:
    """What a GetCert or GetCRL names; what can be read, put into a well signed message: the whole road."""
    try:
        decode_issuer_and_serial_number(data, Deviations())
    except Asn1Error:
        # All of these take one road, which is dear and tells nothing new.
        return
    for message_type in (MessageType.GET_CERT, MessageType.GET_CRL):
        message = device().message(world().ca, data or b"\0", message_type=message_type)
        codec.load(world().respond(message), Deviations())


def ocsp_request(data: bytes) -> None:
    """An OCSP request: an answer that another implementation reads, whatever it is."""
    load_der_ocsp_response(_ocsp().respond(data).der)


@cache
def _ocsp() -> OcspResponders:
    authority = world().responder.authority
    status = RevocationStatus(authority, world().store, lambda: NOW)
    signer = make_signer(authority, NOW)
    return OcspResponders([OcspResponder(status, lambda _: signer)])


def ocsp_path(data: bytes) -> None:
    """A request in the path of a GET, as the server hands it on."""
    decode_path(data.decode("latin-1"))


def reply_content(data: bytes) -> None:
    """What is inside the envelope of a reply, which is signed well: certificates or a CRL for our client."""
    try:
        SignedData.load(data)
    except (Asn1Error, MalformedMessage, ScepError):
        # All of these take one road, which is dear and tells nothing new.
        return
    content = encrypt([device().certificate()], data or b"\0")
    attributes = {
        oids.MESSAGE_TYPE: text(MessageType.CERT_REP),
        oids.TRANSACTION_ID: text("t1"),
        oids.SENDER_NONCE: writer.octet_string(NONCE),
        oids.RECIPIENT_NONCE: writer.octet_string(NONCE),
        oids.PKI_STATUS: text(PkiStatus.SUCCESS),
    }
    reply = sign(world().ca, world().key, content, attributes=attributes)
    cert_rep(reply)
    expected = codec.Expectation(Transaction("t1", NONCE), (world().ca,))
    with contextlib.suppress(InvalidReply):
        codec.decode_crl_rep(reply, expected, device().certificate(), device().key, Deviations())


def password(data: bytes) -> None:
    """A PasswordRecipientInfo. One that derives its key for long would be read no other way than these."""
    try:
        element = read(data, "fuzz", Deviations())
        if _iterations(element) <= CHEAP:
            PasswordRecipient(element).unwrap(SECRET, 16, CryptoLevel.LEGACY)
    except (Asn1Error, ScepError):
        pass


def _iterations(element: Element) -> int:
    with contextlib.suppress(Asn1Error, ScepError):
        return KeyDerivation.read(element.parts(3, 4)[1]).iterations
    return 0


def http_request(data: bytes) -> None:
    """The head of an HTTP request, in two pieces; a refusal is one line."""
    parser = RequestParser(Adjustments(max_request_body_size=1001, max_request_header_size=2000))
    for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
        while piece and not parser.completed:
            piece = piece[parser.received(piece) :]
    if parser.error:
        if parser.error.line.count(b"\n") != 1:
            raise AssertionError(parser.error.line)
    elif parser.completed and not parser.empty:
        with contextlib.suppress(MalformedMessage):
            parse_query(parser.query)


def inspection(data: bytes) -> None:
    """Anything at all, taken apart and told, with a key that opens what is for it."""
    top = inspect(data, Opener(NOW, world().key, world().ca))
    verdicts(top, knowledge())
    if not {node.place for node in top.walk()} <= {"", *PLACES}:
        raise AssertionError("a place that nobody knows")


def walk(data: bytes) -> None:
    """Any octets as BER, as far as they can be followed."""
    for one in _all_of(Walk(data).top):
        if not one.start <= one.begin <= max(one.stop, one.begin) or one.end > len(data) + 2:
            raise AssertionError(one)


def _all_of(one: Tlv) -> Iterator[Tlv]:
    yield one
    for child in one.children:
        yield from _all_of(child)


def wrapping(data: bytes) -> None:
    """What is around a message in a file: PEM, base64 with damage, HTTP, lists of capabilities, and mails."""
    top = Node("input", "")
    is_base64(data)
    decode_loosely(data)
    find_blocks(data)
    if is_http(data):
        put_http(top, data, lambda *_: None)
    read_hex(data)
    from_utf16(data)
    take_off(data, is_http=is_http(data))
    if is_compressed(data):
        decompress(data)
    for line in find_requests(data):
        put_request_line(top, line, lambda *_: None)
    if is_capabilities(data):
        put_capabilities(top, data)
    if not {node.place for node in top.walk()} <= {"", *PLACES}:
        raise AssertionError("a place that nobody knows")


def recording(data: bytes) -> None:
    """A line of a segment, or an exported file: read, and told to a person."""
    try:
        one = read_recording(data)
    except NoRecording as error:
        if not str(error).isprintable():
            raise AssertionError(error) from error
        return
    what_was_asked(one)
    told = f"{at_time(one)} {Names([one]).of(one)} {what_happened(one)}"
    if not told.isprintable():
        raise AssertionError(told)


def redaction(data: bytes) -> None:
    """The head of a request as it is kept: nothing is left in it to be taken out."""
    once = redact(data)
    if redact(once) != once:
        raise AssertionError(once)


def observation(data: bytes) -> None:
    """A server's answer, as a persona looks at it, whatever it was asked for."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-pki-message\r\n\r\n"
    answer = RawAnswer("HTTP/1.1", 200, "OK", (), data, head + data, 0)
    identity = Identity(device().certificate(), device().key)
    material = Material(b"", spki(device().key), identity, "t1")
    observe_ca(answer)
    found = observe_reply(answer, Expected(material, NONCE, device().cipher, (world().ca,), takes_first=True))
    for persona in PERSONAS.values():
        for verdict in judge(persona, Stage.CERT_REP, found.observations):
            if not verdict.detail.isprintable():
                raise AssertionError(verdict)


def explanation(data: bytes) -> None:
    """Any text, looked up."""
    explain(data.decode("utf-8", "replace"), knowledge())


def extension(data: bytes) -> None:
    """The value of an extension of a kind that is known, by the first octet, told in words."""
    extension_words(_EXTENSIONS[data[0] % len(_EXTENSIONS)] if data else "1.2.3", data[1:])


def rekeying(data: bytes) -> None:
    """A recorded message, made again under another key."""
    key, certificate = device().key, device().certificate()
    try:
        again = ReadMessage.load(data).again(b"payload", certificate, key, world().ca)
    except (MalformedMessage, Asn1Error, BadAlgorithm, ValueError):
        # As a replay says that it cannot be made again.
        return
    ReadMessage.load(again)


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (
        *(responder, pki_message, envelope, payload, csr, certificate, names),
        *(asn1, cert_rep, ca_certificates, query, issuer_and_serial, ocsp_request, ocsp_path),
        *(reply_content, password, http_request, inspection, observation, explanation),
        *(walk, wrapping, recording, redaction, extension, rekeying),
    )
}


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """Valid inputs to begin with."""
    ca = world().ca
    message = device().message(ca)
    content = codec.load(message, Deviations()).data
    match target:
        case "responder" | "pki_message" | "asn1":
            return message, device().message(ca, pss=True), _with_attributes_nobody_reads(ca)
        case "envelope":
            return (content,)
        case "csr" | "payload":
            return (device().csr(),)
        case "certificate":
            return ca.der, device().certificate().der
        case "names":
            return (ca.subject_der,)
        case "cert_rep" | "observation":
            return tuple(
                _reply(outcome) for outcome in (Success(_issued()), Pending(), Failure(FailInfo.BAD_REQUEST))
            )
        case "issuer_and_serial":
            return (codec.encode_issuer_and_serial_number(ca.subject_der, 5),)
        case "ocsp_request":
            return tuple(_ocsp_request(nonce) for nonce in (None, NONCE))
        case "reply_content":
            return degenerate([_issued()]), degenerate([], [_crl()])
        case "password":
            return (_password_recipient(),)
        case "http_request":
            head = b"GET /scep?operation=GetCACaps HTTP/1.1\r\nHost: ca.example\r\n\r\n"
            post = b"POST /scep HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
            chunked = b"POST /scep HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n"
            return head, post, chunked
        case "inspection":
            http = (
                b"GET /scep?operation=PKIOperation&message="
                + base64.b64encode(message)
                + b" HTTP/1.0\r\n\r\n"
            )
            ber = loosen(message, device().certificate().der)
            bundle = degenerate([ca.der, _issued()], [_crl()])
            return (
                message,
                http,
                ber,
                bundle,
                device().csr(),
                _reply(Failure(FailInfo.BAD_REQUEST)),
                b"AES \nDES3\n",
                *_pasted(message),
            )
        case "walk" | "rekeying":
            return message, loosen(message, device().certificate().der)
        case "extension":
            found = [
                one.value for der in (ca.der, _issued()) for one in Certificate.load(der).extensions.values()
            ]
            return tuple(bytes([number]) + value for number in range(len(_EXTENSIONS)) for value in found)
        case "wrapping":
            armoured = base64.encodebytes(content)
            pem = b"-----BEGIN CERTIFICATE-----\n" + armoured + b"-----END CERTIFICATE-----\n"
            chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            request = b"GET /scep?operation=GetCACaps HTTP/1.0\r\n\r\n"
            return pem, armoured, request, chunked, b"AES \nDES3\n", *_pasted(content)
        case "recording":
            told = {"id": "abc-1", "remote": "192.0.2.7", "operation": "PKIOperation", "outcome": "refused"}
            more = {
                "message": "PKCSReq",
                "subject": "CN=ipad-17",
                "reason": "no",
                "findings": [{"id": "refused"}],
            }
            begun = {"format": FORMAT, "at": "2026-01-02T03:04:05Z", "status": 200, **told}
            return tuple(json.dumps(one).encode() for one in (begun, {**begun, **more, "request": "QUJD"}))
        case "redaction":
            line = b"GET /scep?operation=GetCACert&key=abc HTTP/1.1\r\n"
            return line, line + b"Authorization: Basic abc\r\n def\r\nHost: ca\r\n\r\n"
        case "explanation":
            return b"-67731", b"0x8010002c", b"sscep: wrong (or missing) MIME content type"
        case "ocsp_path":
            return (base64.b64encode(_ocsp_request(None)),)
        case "ca_certificates":
            return tuple(codec.encode_ca_certificates(some)[1] for some in ((ca,), (ca, ca)))
    return b"operation=PKIOperation&message=MIIB%2B%2F%3D", b"AES\r\nSCEPStandard\n"


def _pasted(message: bytes) -> tuple[bytes, ...]:
    """The same as people paste it: out of a mail, an editor, a dump, a log, and compressed."""
    lines = base64.encodebytes(message)
    address = b"http://ca.example/scep?operation=PKIOperation&message=" + quote_from_bytes(lines).encode()
    rows = (f"{at:08x}  {message[at : at + 16].hex(' ')}  |0..|\n" for at in range(0, len(message), 16))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    return (
        b"".join(b"> " + line for line in lines.splitlines(keepends=True)),
        quopri.encodestring(address),
        address.decode("ascii").encode("utf-16"),
        message.hex(":").encode(),
        "".join(rows).encode(),
        b'192.0.2.7 - - [x] "GET ' + address[17:] + b' HTTP/1.0" 200 1\n',
        head + gzip.compress(message, mtime=0),
    )


def _with_attributes_nobody_reads(ca: Certificate) -> bytes:
    """A message whose signature holds, until a bit is bent and its other attributes are looked into."""
    forgery = Forgery(device(), ca)
    forgery.put("1.2.3.4", b"\x24\x80\x04\x01a\x04\x01b\0\0", b"\x30\x03\x02\x10\x00")
    forgery.put("1.2.3.5", b"\x30\x80\x31\x80\x25\x01\xff" + b"\0\0" * 2)
    return forgery.message()


def _ocsp_request(nonce: bytes | None) -> bytes:
    """One of another implementation."""
    digests = SHA1.of(world().ca.subject_der), key_identifier(world().ca.spki)
    builder = OCSPRequestBuilder().add_certificate_by_hash(*digests, 5, hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def _password_recipient() -> bytes:
    """One whose key is derived at once."""
    derivation, wrap = KeyDerivation(NONCE, 2, SHA256), KeyWrap.new()
    kek = derivation.derive(SECRET, wrap.cipher.key_octets)
    parts = derivation.identifier(), wrap.identifier(), writer.octet_string(wrap.wrap(kek, NONCE))
    return writer.encode(tags.CONTEXT_3_CONSTRUCTED, writer.integer(0) + b"".join(parts))


def _crl() -> bytes:
    return sign_crl(world().responder.authority, b"", 1, NOW, NOW)


def _issued() -> bytes:
    return self_signed("ipad-17", rsa_key(1)).der


def _reply(outcome: Success | Pending | Failure) -> bytes:
    return codec.encode_cert_rep(
        outcome,
        Transaction("t1", NONCE),
        world().ca,
        world().key,
        recipient=device().certificate(),
        digest=device().digest,
        cipher=device().cipher,
    )
