"""OCSP (RFC 6960, RFC 5019, RFC 9654): what is asked, what is answered, and by whom it is signed."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from bottle import Bottle
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.http.ocsp import OcspEndpoint
from app.ocsp_signer import OcspSignerFile
from ca.asn1 import read, writer
from ca.deviations import Deviations
from ca.errors import FailInfo, StoreUnavailable
from ca.issuing.authority import Authority
from ca.issuing.key_store import encode_private_key
from ca.issuing.reasons import Reason
from ca.issuing.root import encode_pem, make_ca_certificate
from ca.issuing.status import RevocationStatus
from ca.ocsp import oids
from ca.ocsp.request import MAX_CERTIFICATES, read_request
from ca.ocsp.responder import ANSWER_LIFETIME, OcspResponder, OcspResponders
from ca.ocsp.signer import RENEW_BEFORE, VALIDITY, make_signer
from ca.ports import StoredCertificate
from ca.scep.messages import Failure, MessageType
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension
from ca.x509.name import Name
from tests.forging_csr import install
from tests.test_revocation import do_revoke, issue
from tests.test_unit_ca_material import ca_certificate
from tests.world import Device, World, captured_log, rsa_key

MALFORMED, TRY_LATER, UNAUTHORIZED = (bytes((0x30, 3, 0x0A, 1, status)) for status in (1, 3, 6))
NONCE = bytes(range(20))
SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()


class Asked:
    """A world with an OCSP responder, and what it answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.use(world.responder.authority)

    def use(self, authority: Authority) -> None:
        """Answer for another CA."""
        self.signers = OcspSignerFile(None, authority)
        self.status = RevocationStatus(authority, self.world.store, lambda: self.world.now)
        self.responder = OcspResponders([OcspResponder(self.status, self.signers.current)])

    def der(self, request: bytes) -> bytes:
        return self.responder.respond(request).der

    def __call__(self, request: bytes) -> ocsp.OCSPResponse:
        return ocsp.load_der_ocsp_response(self.der(request))


@pytest.fixture
def asked(world: World) -> Asked:
    return Asked(world)


@pytest.fixture
def one(world: World) -> StoredCertificate:
    """A certificate that was issued."""
    return issue(world)


def about(
    world: World,
    serial: int | str,
    *,
    digest: hashes.HashAlgorithm = SHA1,
    nonce: bytes | None = None,
    issuer: bytes | None = None,
) -> bytes:
    """A request of another implementation."""
    ca = x509.load_der_x509_certificate(issuer or world.ca.der)
    name, key = hashes.Hash(digest), hashes.Hash(digest)
    name.update(ca.subject.public_bytes())
    key.update(read(world.ca.spki if issuer is None else _spki(ca), "", Deviations()).sequence()[1].bits())
    number = serial if isinstance(serial, int) else int(serial, 16)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        name.finalize(), key.finalize(), number, digest
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def single(request: bytes) -> bytes:
    """The Request inside a request."""
    return read(request, "", Deviations()).sequence()[0].sequence()[0].sequence()[0].raw


def many(*singles: bytes, extensions: bytes = b"", head: bytes = b"") -> bytes:
    """A request of several, with what else a test wants in it."""
    return writer.sequence(writer.sequence(head, writer.sequence(*singles), extensions))


def with_extension(request: bytes, oid: str, value: bytes, *, critical: bool = False) -> bytes:
    extensions = writer.explicit(2, writer.sequence(Extension(oid, critical, value).encode()))
    return many(single(request), extensions=extensions)


def with_nonce(request: bytes, nonce: bytes) -> bytes:
    return with_extension(request, oids.NONCE, writer.octet_string(nonce))


@pytest.mark.parametrize("digest", [SHA1, SHA256, hashes.SHA384(), hashes.SHA512()], ids=lambda one: one.name)
def test_good_revoked_and_unknown(
    world: World, asked: Asked, one: StoredCertificate, digest: hashes.HashAlgorithm
) -> None:
    """RFC 6960 2.2: the three states, whichever digests name the issuer (RFC 5019 2.1.1)."""
    good = asked(about(world, one.serial, digest=digest))
    do_revoke(world, one.serial, Reason.superseded)
    world.now += timedelta(seconds=1)
    revoked = asked(about(world, one.serial, digest=digest))
    unknown = asked(about(world, 5, digest=digest))

    status = ocsp.OCSPCertStatus
    assert [answer.certificate_status for answer in (good, revoked, unknown)] == [
        status.GOOD,
        status.REVOKED,
        status.UNKNOWN,
    ]
    assert revoked.revocation_time_utc == world.now - timedelta(seconds=1)
    assert revoked.revocation_reason is x509.ReasonFlags.superseded
    assert good.serial_number == int(one.serial, 16)
    assert good.this_update_utc == good.produced_at_utc == world.now - timedelta(seconds=1)
    assert good.next_update_utc == good.this_update_utc + ANSWER_LIFETIME


def test_a_reason_that_is_unspecified_is_not_said(world: World, asked: Asked, one: StoredCertificate) -> None:
    """RFC 6960 4.2.1, RFC 5280 5.3.1."""
    do_revoke(world, one.serial)

    assert asked(about(world, one.serial)).revocation_reason is None


def test_answers_are_signed_by_a_delegated_responder(
    world: World, asked: Asked, one: StoredCertificate
) -> None:
    """RFC 6960 4.2.2.2: issued by the CA, for OCSPSigning alone, with nocheck, named by its key."""
    answer = asked(about(world, one.serial))
    (certificate,) = answer.certificates
    key = certificate.public_key()
    extensions = certificate.extensions

    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), hashes.SHA256())
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(world.ca.der))
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert answer.responder_key_hash == identifier.digest
    # It is nobody's to renew or to fetch.
    assert [stored.serial for stored in world.issued()] == [one.serial]


@pytest.mark.parametrize("message_type", [MessageType.RENEWAL_REQ, MessageType.PKCS_REQ])
def test_the_responder_enrols_nobody(world: World, asked: Asked, message_type: MessageType) -> None:
    """RFC 8894 2.3: a certificate of this CA that is no client's renews nothing (N-121)."""
    signer = asked.signers.current(world.now)
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    device = Device("OCSP responder", key=signer.key, signer=signer.certificate)

    outcome = device.read(
        world.respond(device.message(world.ca, device.csr(None), message_type=message_type)), world.ca
    )

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert world.issued() == []


def test_an_ec_ca_has_an_ec_responder(world: World) -> None:
    """A key of the CA's type is one that its clients can compute with."""
    key = ec.generate_private_key(ec.SECP256R1())

    authority = Authority(ca_certificate(key), key)

    signer = make_signer(authority, world.now)

    assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
    assert signer.serves(authority, world.now)


@pytest.mark.parametrize("octets", [1, 16, 32, 33, 64, 128])
def test_a_nonce_comes_back(world: World, asked: Asked, one: StoredCertificate, octets: int) -> None:
    """RFC 9654 2.1: of 1 to 128 octets all; and such an answer is for one alone."""
    nonce = bytes(range(octets))
    request = about(world, one.serial, nonce=nonce)

    answer = asked.responder.respond(request)

    parsed = ocsp.load_der_ocsp_response(answer.der)
    assert parsed.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    assert answer.until is None


def test_without_a_nonce_there_is_none(world: World, asked: Asked, one: StoredCertificate) -> None:
    """RFC 5019 3.1."""
    assert len(asked(about(world, one.serial)).extensions) == 0


BROKEN: dict[str, Callable[[World], bytes]] = {
    "nothing": lambda _: b"",
    "no ASN.1": lambda _: b"hello",
    "a certificate": lambda world: world.ca.der,
    "bytes behind": lambda world: about(world, 5) + b"\0",
    "too long": lambda world: many(*[single(about(world, 5))] * 120),
    "too many": lambda world: many(*[single(about(world, 5))] * (MAX_CERTIFICATES + 1)),
    "none asked": lambda _: many(),
    "no list": lambda _: writer.sequence(writer.sequence(writer.explicit(0, writer.integer(0)))),
    "nothing but names": lambda _: writer.sequence(writer.sequence(writer.explicit(1, b"\x82\x01a"))),
    "version 2": lambda world: many(single(about(world, 5)), head=writer.explicit(0, writer.integer(1))),
    "an empty nonce": lambda world: with_nonce(about(world, 5), b""),
    "a nonce of 129 octets": lambda world: with_nonce(about(world, 5), bytes(129)),
    "a nonce that is none": lambda world: with_extension(about(world, 5), oids.NONCE, writer.integer(5)),
    "two nonces": lambda world: many(
        single(about(world, 5)),
        extensions=writer.explicit(
            2, writer.sequence(*[Extension(oids.NONCE, False, writer.octet_string(b"1")).encode()] * 2)
        ),
    ),
    "an unknown critical extension": lambda world: with_extension(
        about(world, 5), "1.2.3.4", b"\x05\x00", critical=True
    ),
    "an unknown critical single extension": lambda world: many(
        writer.sequence(
            single(about(world, 5))[2:],
            writer.explicit(0, writer.sequence(Extension("1.2.3.4", True, b"\x05\x00").encode())),
        )
    ),
    "a digest with parameters": lambda world: about(world, 5).replace(
        writer.oid("1.3.14.3.2.26") + writer.NULL, writer.oid("1.3.14.3.2.26") + b"\x04\x00"
    ),
    "a huge serial": lambda world: many(
        writer.sequence(
            writer.sequence(
                *(
                    part.raw
                    for part in read(single(about(world, 5)), "", Deviations()).sequence()[0].sequence()[:3]
                ),
                writer.integer(1 << 800),
            )
        )
    ),
}


@pytest.mark.parametrize("request_of", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_request_is_malformed(
    world: World, asked: Asked, request_of: Callable[[World], bytes]
) -> None:
    """RFC 6960 2.3: malformedRequest, unsigned; a nonce over 128 octets is one (RFC 9654 2.1)."""
    assert asked.der(request_of(world)) == MALFORMED


def test_what_need_not_be_understood_is_passed_over(
    world: World, asked: Asked, one: StoredCertificate
) -> None:
    """RFC 6960 4.1: version, requestor's name, signature, extensions that are not critical."""
    plain = about(world, one.serial)
    name = writer.explicit(1, writer.encode(0x82, b"client.example"))
    head = writer.explicit(0, writer.integer(0)) + name
    cert_id = read(single(plain), "", Deviations()).sequence()[0].raw
    extra = writer.explicit(0, writer.sequence(Extension("1.2.3.4", False, b"\x05\x00").encode()))
    whole = many(writer.sequence(cert_id, extra), head=head)
    signed = writer.sequence(
        read(whole, "", Deviations()).sequence()[0].raw, writer.explicit(0, writer.sequence(writer.NULL))
    )

    for request in (whole, signed, with_extension(plain, "1.2.3.4", b"\x05\x00")):
        assert asked(request).certificate_status is ocsp.OCSPCertStatus.GOOD


@pytest.mark.parametrize("null", [True, False])
def test_the_certificate_is_named_as_it_was_asked_for(
    world: World, asked: Asked, one: StoredCertificate, null: bool
) -> None:
    """Clients look for their own octets: NULL or no parameters, and DER in any case (RFC 6960 4.2.1)."""
    algorithm, *rest = read(single(about(world, one.serial)), "", Deviations()).sequence()[0].sequence()
    oid = algorithm.sequence()[0].raw
    named = (writer.sequence(oid, writer.NULL if null else b""), *(part.raw for part in rest))
    der = writer.sequence(*named)
    ber = b"\x30\x80" + b"".join(named) + b"\0\0"

    assert der in asked.der(many(writer.sequence(der)))
    assert der in asked.der(many(writer.sequence(ber)))


def _statuses(answer: bytes) -> list[int]:
    """The tags of the CertStatus of each single response."""
    response = read(answer, "", Deviations()).sequence()[1].only_child().sequence()[1].octets()
    data = read(response, "", Deviations()).sequence()[0].sequence()
    return [each.sequence()[1].tag for each in data[2].sequence()]


def test_several_are_answered_together(world: World, asked: Asked, one: StoredCertificate) -> None:
    """RFC 6960 4.1.1: in their order; one of another CA is not known here."""
    other = issue(world, "ipad-18")
    do_revoke(world, other.serial, Reason.keyCompromise)
    foreign = ca_certificate(rsa_key(3), "Foreign", subject="Foreign").der
    request = many(
        *map(
            single,
            (
                about(world, one.serial),
                about(world, other.serial),
                about(world, 5),
                about(world, one.serial, issuer=foreign),
            ),
        )
    )

    assert _statuses(asked.der(request)) == [0x80, 0xA1, 0x82, 0x82]


@pytest.mark.parametrize("digest", [SHA1, SHA256, hashes.MD5(), hashes.SHA224()], ids=lambda one: one.name)
def test_of_another_ca_nothing_is_said(
    world: World, asked: Asked, one: StoredCertificate, digest: hashes.HashAlgorithm
) -> None:
    """RFC 5019 2.2.3: unauthorized, which costs no signature. MD5 names nobody."""
    foreign = ca_certificate(rsa_key(3), "Foreign", subject="Foreign").der
    request = about(world, one.serial, issuer=foreign) if digest in (SHA1, SHA256) else None
    if request is None:
        plain = about(world, one.serial)
        oid = {"md5": "1.2.840.113549.2.5", "sha224": "2.16.840.1.101.3.4.2.4"}[digest.name]
        algorithm, *rest = read(single(plain), "", Deviations()).sequence()[0].sequence()
        assert algorithm
        parts = (writer.sequence(writer.oid(oid)), *(part.raw for part in rest))
        request = many(writer.sequence(writer.sequence(*parts)))

    assert asked.der(request) == UNAUTHORIZED


def test_the_same_name_with_another_key_is_another_ca(
    world: World, asked: Asked, one: StoredCertificate
) -> None:
    """A CA that was made anew says nothing about the old one's certificates."""
    new = ca_certificate(rsa_key(2), "Test CA", subject="Test CA")
    old_question = about(world, one.serial)
    install(world, new, rsa_key(2))
    asked.use(world.responder.authority)

    assert asked.der(old_question) == UNAUTHORIZED
    assert asked(about(world, one.serial)).certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_a_ca_that_has_ended_says_nothing(world: World, asked: Asked, one: StoredCertificate) -> None:
    """Nobody could verify it."""
    world.now = world.ca.not_valid_after + timedelta(days=1)

    assert asked.der(about(world, one.serial)) == UNAUTHORIZED


def test_an_answer_never_outlives_its_signer(world: World, asked: Asked, one: StoredCertificate) -> None:
    """A CA in its last minutes: everything ends with it."""
    world.now = world.ca.not_valid_after - timedelta(minutes=10)

    answer = asked(about(world, one.serial))

    assert answer.next_update_utc == world.ca.not_valid_after


def test_answers_without_nonce_are_kept(world: World, asked: Asked, one: StoredCertificate) -> None:
    """RFC 5019 2.2.4: the same octets, until half of their time is over."""
    request = about(world, one.serial)
    first = asked.der(request)
    world.now += timedelta(minutes=29)
    assert asked.der(request) == first

    world.now += timedelta(minutes=2)
    second = asked.der(request)
    assert second != first
    assert ocsp.load_der_ocsp_response(second).this_update_utc == world.now


def test_a_revocation_shows_within_a_second(world: World, asked: Asked, one: StoredCertificate) -> None:
    """Wherever it happened: the number of the newest CRL tells every process."""
    request = about(world, one.serial)
    assert asked(request).certificate_status is ocsp.OCSPCertStatus.GOOD
    assert asked(request).certificate_status is ocsp.OCSPCertStatus.GOOD
    do_revoke(world, one.serial, Reason.certificateHold)

    world.now += timedelta(seconds=1)
    assert asked(request).certificate_status is ocsp.OCSPCertStatus.REVOKED
    do_revoke(world, one.serial, Reason.removeFromCRL)
    world.now += timedelta(seconds=1)
    assert asked(request).certificate_status is ocsp.OCSPCertStatus.GOOD


def test_an_answer_that_a_revocation_overtook_is_not_kept(
    world: World, one: StoredCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process revokes in the midst: the answer would say good for half an hour."""
    other, asked, request = issue(world, "other"), Asked(world), about(world, one.serial)
    read_store, calls = world.store.read, []

    def interrupted(work: Callable[[Any], Any]) -> Any:
        found = read_store(work)
        calls.append(work)
        # The first asks for the CRL, the second looks the certificate up.
        if len(calls) == 2:
            do_revoke(world, one.serial)
            world.now += timedelta(seconds=1)
            asked.der(about(world, other.serial))
        return found

    monkeypatch.setattr(world.store, "read", interrupted)
    overtaken = asked(request)

    assert overtaken.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert asked(request).certificate_status is ocsp.OCSPCertStatus.REVOKED


@pytest.mark.parametrize("half", ["name", "key"])
def test_half_an_issuer_is_another(world: World, asked: Asked, one: StoredCertificate, half: str) -> None:
    """RFC 6960 4.1.1: a CA is its name and its key, and either may be another CA's as well."""
    right, wrong = read_request(about(world, one.serial)).certificates[0], bytes(20)
    name = wrong if half == "name" else right.issuer_name_hash
    key = wrong if half == "key" else right.issuer_key_hash
    request = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, right.serial_number, SHA1)

    assert asked.der(request.build().public_bytes(Encoding.DER)) == UNAUTHORIZED


def test_what_is_not_known_is_not_kept(world: World, asked: Asked, one: StoredCertificate) -> None:
    """It may be issued in a moment."""
    first = asked.responder.respond(about(world, 5))
    world.now += timedelta(seconds=10)

    assert asked.der(about(world, 5)) != first.der


def test_a_flood_of_questions_fills_no_memory(
    world: World, asked: Asked, one: StoredCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each order of the same certificates is a question of its own."""
    monkeypatch.setattr("ca.ocsp.responder.MAX_KEPT", 3)
    responder = OcspResponder(asked.status, asked.signers.current)
    question = single(about(world, one.serial))

    for count in range(1, 10):
        responder.answer(read_request(many(*[question] * count)))
        assert len(responder._kept) <= 3


def test_the_responder_is_kept_and_renewed(world: World, tmp_path: Path) -> None:
    """In one file, for its owner alone; another process takes what is there, until it is due."""
    path, authority = tmp_path / "ocsp.pem", world.responder.authority
    first = OcspSignerFile(path, authority).current(world.now)
    files = OcspSignerFile(path, authority), OcspSignerFile(path, authority)

    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600
    assert files[0].current(world.now).certificate.der == first.certificate.der
    almost = first.certificate.not_valid_after - RENEW_BEFORE
    assert files[0].current(almost - timedelta(seconds=1)).certificate.der == first.certificate.der
    second = files[0].current(almost)
    assert second.certificate.der != first.certificate.der
    assert second.certificate.not_valid_after == almost + VALIDITY
    assert files[1].current(almost).certificate.der == second.certificate.der
    assert [found.name for found in tmp_path.iterdir()] == ["ocsp.pem"]


@pytest.mark.parametrize("before_the_end", [timedelta(minutes=2), timedelta(days=5), timedelta(seconds=1)])
def test_the_last_responder_of_a_ca_serves_to_its_end(
    world: World, asked: Asked, before_the_end: timedelta
) -> None:
    """No other could end later: a new key for each question would keep everybody waiting."""
    end = world.responder.authority.not_after
    world.now = end - before_the_end
    answers = [asked(about(world, number)) for number in range(1, 6)]
    world.now = end - timedelta(seconds=1)
    answers.append(asked(about(world, 6)))
    world.now = end

    assert len({answer.certificates[0].serial_number for answer in answers}) == 1
    assert asked.der(about(world, 7)) == UNAUTHORIZED


def _good(path: Path, world: World) -> bytes:
    OcspSignerFile(path, world.responder.authority).current(world.now)
    return path.read_bytes()


SPOILT: dict[str, Callable[[bytes, World], bytes]] = {
    "junk": lambda _, __: b"junk",
    "the certificate alone": lambda pem, _: pem.partition(b"-----BEGIN PRIVATE")[0],
    "another key": lambda pem, _: pem.partition(b"-----BEGIN PRIVATE")[0] + encode_private_key(rsa_key(3)),
    "the CA's certificate": lambda _, world: encode_pem(world.ca) + encode_private_key(world.key),
    "another CA's": lambda _, world: _of_another_ca(world),
    "another CA's of the same name": lambda _, world: _of_another_ca(world, "CN=Test CA"),
    "a device's": lambda _, world: encode_pem(_of_a_device(world)) + encode_private_key(rsa_key(1)),
}


def _of_another_ca(world: World, subject: str = "CN=Other CA") -> bytes:
    other = Certificate.load(make_ca_certificate(Name.from_text(subject), rsa_key(3), 10, world.now))
    signer = make_signer(Authority(other, rsa_key(3)), world.now)
    return encode_pem(signer.certificate) + encode_private_key(signer.key)


def _of_a_device(world: World) -> Certificate:
    return Certificate.load(issue(world).der)


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_responder_that_is_of_no_use_is_replaced(
    world: World, tmp_path: Path, spoil: Callable[[bytes, World], bytes]
) -> None:
    """Clients would refuse what it signs."""
    path = tmp_path / "ocsp.pem"
    spoilt = spoil(_good(path, world), world)
    path.write_bytes(spoilt)

    signer = OcspSignerFile(path, world.responder.authority).current(world.now)

    assert signer.serves(world.responder.authority, world.now)
    assert path.read_bytes() == encode_pem(signer.certificate) + encode_private_key(signer.key)
    assert path.read_bytes() != spoilt


def test_a_clock_that_was_wrong_leaves_no_responder_of_the_future(world: World, tmp_path: Path) -> None:
    """What was made while the clock was ahead is refused by clients until its time comes."""
    path, authority = tmp_path / "ocsp.pem", world.responder.authority
    ahead = world.now + timedelta(days=400)
    running = OcspSignerFile(path, authority)
    assert running.current(ahead).certificate.not_valid_before > world.now

    for one in (running, OcspSignerFile(path, authority)):
        signer = one.current(world.now)

        assert signer.certificate.not_valid_before <= world.now < signer.certificate.not_valid_after


def test_a_folder_that_cannot_be_written_is_told(world: World, tmp_path: Path) -> None:
    """And the answers are signed all the same."""
    with captured_log("app.ocsp_signer") as lines:
        signer = OcspSignerFile(tmp_path / "gone" / "ocsp.pem", world.responder.authority).current(world.now)

    assert signer.serves(world.responder.authority, world.now)
    assert any('ocsp_signer="not kept"' in line for line in lines)
    assert not any("PRIVATE" in line for line in lines)


def _web(respond: Callable[[bytes], Any]) -> Bottle:
    web = Bottle()
    OcspEndpoint(respond).add_to(web)
    return web


def _call(
    web: Bottle, method: str, path: str, body: bytes = b"", **environment: str
) -> tuple[str, dict[str, str], bytes]:
    """What the application answers; *path* is as it stands in the request line."""
    found: list[Any] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        **environment,
    }
    chunks = web(environ, lambda status, headers, _=None: found.extend((status, dict(headers))))
    return found[0], found[1], b"".join(chunks)


def test_get_and_post_answer_the_same(world: World, asked: Asked, one: StoredCertificate) -> None:
    """RFC 6960 A.1: base64 in the path, however it is escaped, and with what libraries do to it."""
    web = _web(asked.responder.respond)
    # A serial that gives base64 with "+" and "/".
    request = next(
        found
        for digest in (SHA1, SHA256, hashes.SHA384(), hashes.SHA512())
        if {"+", "/"} <= set(base64.b64encode(found := about(world, one.serial, digest=digest)).decode())
    )
    text = base64.b64encode(request).decode()
    paths = {
        "escaped": quote(text, safe=""),
        "bare": text,
        "half": text.replace("+", "%2B"),
        "spaces": text.replace("+", "%20"),
        "url alphabet": text.replace("+", "-").replace("/", "_"),
        "no padding": text.rstrip("="),
        "lines": text[:40] + "%0A" + text[40:],
        "two slashes": "/" + text,
    }

    status, headers, posted = _call(web, "POST", "/ocsp", request)
    answers = {kind: _call(web, "GET", f"/ocsp/{path}")[2] for kind, path in paths.items()}

    assert status == "200 OK"
    assert headers["Content-Type"] == "application/ocsp-response"
    assert headers["Cache-Control"] == "no-store"
    assert ocsp.load_der_ocsp_response(posted).certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answers == dict.fromkeys(paths, posted)
    assert _call(web, "POST", "/ocsp/", request)[2] == posted


def test_caches_have_to_ask(world: World, asked: Asked, one: StoredCertificate) -> None:
    """RFC 5019 6.2, with an age of zero; what has a nonce is not for them."""
    web = _web(asked.responder.respond)
    plain = quote(base64.b64encode(about(world, one.serial)).decode(), safe="")
    with_one = quote(base64.b64encode(about(world, one.serial, nonce=NONCE)).decode(), safe="")

    _, headers, body = _call(web, "GET", f"/ocsp/{plain}")

    assert headers["Cache-Control"] == "public, no-transform, must-revalidate, max-age=0"
    assert headers["Last-Modified"] == "Mon, 01 Jun 2026 12:00:00 GMT"
    assert headers["Expires"] == "Mon, 01 Jun 2026 13:00:00 GMT"
    assert headers["Content-Length"] == str(len(body))
    assert _call(web, "GET", f"/ocsp/{with_one}")[1]["Cache-Control"] == "no-store"


def test_a_cache_that_asks_hears_that_nothing_changed(
    world: World, asked: Asked, one: StoredCertificate
) -> None:
    """RFC 9110 13.1.2: no body for who has this very answer, until the certificate is revoked."""
    web = _web(asked.responder.respond)
    path = "/ocsp/" + quote(base64.b64encode(about(world, one.serial)).decode(), safe="")
    etag = _call(web, "GET", path)[1]["Etag"]

    asked_again = _call(web, "GET", path, HTTP_IF_NONE_MATCH=f'"other", W/{etag}')
    world.now += timedelta(seconds=2)
    do_revoke(world, one.serial)
    revoked = _call(web, "GET", path, HTTP_IF_NONE_MATCH=etag)

    assert (asked_again[0], asked_again[2]) == ("304 Not Modified", b"")
    assert asked_again[1]["Etag"] == etag
    assert revoked[0] == "200 OK"
    assert ocsp.load_der_ocsp_response(revoked[2]).certificate_status is ocsp.OCSPCertStatus.REVOKED


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("POST", "/ocsp", b"", "200", MALFORMED),
        ("POST", "/ocsp", b"x" * 20_000, "200", MALFORMED),
        ("GET", "/ocsp/!!!", b"", "200", MALFORMED),
        ("GET", "/ocsp/A", b"", "200", MALFORMED),
        ("GET", "/ocsp/%C3%A4", b"", "200", MALFORMED),
        ("GET", "/ocsp/" + "A" * 50_000, b"", "200", MALFORMED),
        ("GET", "/ocsp", b"", "400", b"an OCSP request comes by POST, or in base64 behind /ocsp/\n"),
        ("PUT", "/ocsp", b"", "405", b"use GET or POST\n"),
    ],
)
def test_whatever_comes_gets_an_answer(
    asked: Asked, method: str, path: str, body: bytes, status: str, answer: bytes
) -> None:
    """RFC 6960 2.3, A.2: an OCSP status in a reply of HTTP 200."""
    found, _, given = _call(_web(asked.responder.respond), method, path, body)

    assert (found[:3], given) == (status, answer)


def test_a_store_that_is_away_means_later() -> None:
    """RFC 6960 2.3: tryLater."""

    def respond(_: bytes) -> Any:
        raise StoreUnavailable("locked")

    assert _call(_web(respond), "POST", "/ocsp", b"x")[2] == TRY_LATER


@pytest.mark.parametrize("state", ["good", "revoked", "nonce"])
def test_pkilint_finds_nothing(
    world: World, asked: Asked, one: StoredCertificate, state: str, tmp_path: Path
) -> None:
    """RFC 6960 as another judge reads it."""
    if state == "revoked":
        do_revoke(world, one.serial, Reason.keyCompromise)
    answer = asked.der(about(world, one.serial, nonce=NONCE if state == "nonce" else None))
    (tmp_path / "answer.der").write_bytes(answer)

    linter = (sys.executable, "-m", "pkilint.bin.lint_ocsp_response", "lint", "--severity", "WARNING")
    done = subprocess.run(
        [*linter, "--document-format", "DER", str(tmp_path / "answer.der")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
