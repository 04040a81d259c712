"""From one CA to the next: the envelope decides who issues, and what either issued goes on to count."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from app.ocsp_signer import OcspSignerFile
from ca.deviations import Deviations
from ca.errors import DecisionImpossible, FailInfo
from ca.issuing.authority import Authority
from ca.issuing.crl import CRL_LIFETIME
from ca.issuing.reasons import Reason
from ca.issuing.revocation import RevocationRefused, revoke
from ca.issuing.root import make_ca_certificate, successor_name
from ca.issuing.status import RevocationStatus
from ca.ocsp.responder import OcspResponder, OcspResponders
from ca.ports import Repository, StoredCertificate
from ca.scep import codec
from ca.scep.messages import (
    CrlSuccess,
    Failure,
    IssuerAndSerialNumber,
    MessageType,
    Outcome,
    Pending,
    Success,
    Transaction,
)
from ca.succession import UNDER_WAY
from ca.x509.certificate import Certificate
from ca.x509.chain import check_chain
from ca.x509.name import MAX_COMMON_NAME, Name
from tests.rolling import RollingWorld, days
from tests.test_ocsp import about, many, single
from tests.test_revocation import serials
from tests.waiting import desk, names_of, requests
from tests.world import NONCE, NOW, SECRET, Device, captured_log, certificate_of, rsa_key

RENEWAL = MessageType.RENEWAL_REQ
UNREADABLE = "the envelope cannot be read with this CA's key"


@pytest.fixture
def world() -> Iterator[RollingWorld]:
    """A CA 1 and a CA 2 that nobody knows yet, and a challenge password without limit."""
    world = RollingWorld()
    yield world
    world.store.close()


def issued_by(authority: Authority, certificate: Certificate) -> bool:
    """As OpenSSL sees it."""
    check_chain(certificate, authority.certificate, certificate.not_valid_before)
    return certificate.issuer_der == authority.certificate.subject_der


@pytest.mark.proves("R-5.1-a")
def test_the_next_ca_answers_who_writes_to_it(world: RollingWorld) -> None:
    """RFC 8894 5.1, A-17: it issues and signs the reply, and the CA of today goes on as before."""
    world.prepare()

    assert issued_by(world.second, world.get(world.second, "ahead"))
    assert issued_by(world.first, world.get(world.first, "as ever"))


@pytest.mark.proves("N-116")
def test_before_it_is_prepared_and_after_it_is_given_up_nobody_is_answered(world: RollingWorld) -> None:
    """RFC 8894 5.1: in the words for whatever else cannot be opened."""
    for is_aborted in (False, True):
        if is_aborted:
            world.abort()
        outcome = world.respond(Device().message(world.second.certificate))

        refusal = Device().read(outcome, world.first.certificate)
        assert refusal == Failure(FailInfo.BAD_REQUEST, UNREADABLE)


@pytest.mark.proves("R-5.1-a")
def test_an_enrolment_under_way_ends_with_the_ca_that_it_began_with(world: RollingWorld) -> None:
    """A device that fetched CA 1 a moment ago can make use of no other's certificate."""
    world.prepare()
    world.activate()

    assert issued_by(world.first, world.get(world.first, "under way"))
    assert issued_by(world.second, world.get(world.second, "new"))


def test_a_clock_that_was_ahead_at_the_change_gives_no_more_than_the_hour(world: RollingWorld) -> None:
    """It was set right a moment later, and the former CA would go on issuing until that time comes."""
    world.now = NOW + days(400)
    world.activate()
    world.now = NOW

    assert issued_by(world.second, world.get(world.first, "ipad-17"))


def test_who_writes_to_the_former_ca_later_gets_a_certificate_of_today(world: RollingWorld) -> None:
    """Signed by the former, which is the one that it believes; the same each time, and told in the log."""
    world.activate()
    world.now += UNDER_WAY

    with captured_log("ca.responder") as lines:
        late, again = (world.get(world.first, "late") for _ in range(2))
        world.get(world.second, "in time")

    assert ['other_ca="CN=Test CA"' in line for line in lines] == [True, True, False]
    assert issued_by(world.second, late)
    assert again.der == late.der


def test_a_former_ca_that_has_ended_is_not_written_to(world: RollingWorld) -> None:
    """Nobody can believe its signature any more."""
    world.activate()
    world.now = world.first.not_after + timedelta(seconds=1)

    reply = world.respond(Device().message(world.first.certificate))

    assert Device().read(reply, world.second.certificate) == Failure(FailInfo.BAD_REQUEST, UNREADABLE)


@pytest.mark.parametrize("days_before", [300, 3])
def test_a_certificate_of_the_former_ca_renews_with_the_new_one_at_any_time(
    world: RollingWorld, days_before: int
) -> None:
    """The window for renewals is against needless ones, and this one has a reason."""
    old = world.get(world.first, "ipad-17")
    world.now = old.not_valid_after - days(days_before)
    world.activate()
    device = Device("ipad-17", rsa_key(2), signer=old, signer_key=rsa_key(1))

    outcome = world.ask(world.second, device, device.csr(None), "t2", RENEWAL)

    assert issued_by(world.second, certificate_of(outcome))
    assert [one.renewed_from for one in world.issued() if one.renewed_from] == [f"{old.serial_number:x}"]


def test_it_moves_to_the_next_ca_before_the_change_too(world: RollingWorld) -> None:
    """RFC 8894 5.1: a device has its certificate of the next CA ready before the day."""
    old = world.get(world.first, "ipad-17")
    world.prepare()
    device = Device("ipad-17", rsa_key(1), signer=old)

    moved = certificate_of(world.ask(world.second, device, device.csr(None), "t2", RENEWAL))

    assert issued_by(world.second, moved)
    _assert_too_early(world.ask(world.first, device, device.csr(None), "t3", RENEWAL))


@pytest.mark.parametrize("is_activated", [False, True])
def test_nobody_goes_back_before_it_is_time(world: RollingWorld, is_activated: bool) -> None:
    """Who went to and fro would have certificates without end."""
    world.prepare()
    moved = world.get(world.second, "ipad-17")
    if is_activated:
        world.activate()
    device = Device("ipad-17", rsa_key(1), signer=moved)

    _assert_too_early(world.ask(world.first, device, device.csr(None), "t3", RENEWAL))


def _assert_too_early(outcome: Outcome) -> None:
    assert isinstance(outcome, Failure)
    assert "too early to renew" in outcome.text


def _revoke(world: RollingWorld, serial: str, *authorities: Authority) -> None:
    def work(repository: Repository) -> None:
        found = repository.find_certificate(serial)
        assert found
        revoke(found, Reason.keyCompromise, authorities, repository, world.now, CRL_LIFETIME)

    world.store.transact(work)


def stored(world: RollingWorld, certificate: Certificate) -> StoredCertificate:
    """What the store has of it."""
    (found,) = [one for one in world.issued() if one.der == certificate.der]
    return found


@pytest.mark.parametrize("change", ["activate", "abort"])
def test_a_revoked_certificate_of_another_ca_renews_nothing(world: RollingWorld, change: str) -> None:
    """Whichever CA it is of, and whatever became of that."""
    world.prepare()
    other, today = (world.first, world.second) if change == "activate" else (world.second, world.first)
    old = world.get(other, "ipad-17")
    getattr(world, change)()
    device = Device("ipad-17", rsa_key(1), signer=old)
    _revoke(world, stored(world, old).serial, world.first, world.second)

    outcome = world.ask(today, device, device.csr(None), "t2", RENEWAL)

    assert isinstance(outcome, Failure)
    assert "revoked" in outcome.text


def test_what_a_ca_issued_before_it_was_given_up_renews(world: RollingWorld) -> None:
    """Nothing is lost on abort: the device comes back to the CA of today with it."""
    world.prepare()
    old = world.get(world.second, "ipad-17")
    world.abort()
    device = Device("ipad-17", rsa_key(1), signer=old)

    outcome = world.ask(world.first, device, device.csr(None), "t2", RENEWAL)

    assert issued_by(world.first, certificate_of(outcome))


def test_a_certificate_of_a_stranger_renews_nothing(world: RollingWorld) -> None:
    """That there are several CAs makes nobody else one of them."""
    world.activate()
    old = world.get(world.first, "ipad-17")
    stranger = RollingWorld(second_name="CN=Stranger")
    device = Device("ipad-17", rsa_key(1), signer=stranger.get(stranger.first, "ipad-17"))
    stranger.store.close()

    outcome = world.ask(world.second, device, device.csr(None), "t2", RENEWAL)

    assert old.der != device.certificate().der
    assert isinstance(outcome, Failure)


@pytest.fixture
def strict() -> Iterator[RollingWorld]:
    """The same with a challenge password of one use."""
    world = RollingWorld(uses=1)
    yield world
    world.store.close()


def test_the_same_message_gets_the_same_answer_across_the_change(strict: RollingWorld) -> None:
    """RFC 8894 7.4: the reply was lost, and the device has nothing but what it sent."""
    strict.prepare()
    message = Device().message(strict.first.certificate)
    first = certificate_of(Device().read(strict.respond(message), strict.first.certificate))
    strict.activate()

    for later in (timedelta(0), 2 * UNDER_WAY):
        strict.now = NOW + later
        again = Device().read(strict.respond(message), strict.first.certificate)
        assert certificate_of(again).der == first.der
    assert strict.uses_left() == [0]


def test_what_one_ca_has_granted_the_other_grants_too(strict: RollingWorld) -> None:
    """A device whose reply was lost fetches the CA anew, and could make no use of CA 1's certificate."""
    strict.prepare()
    one = certificate_of(strict.ask(strict.first, Device()))
    two = certificate_of(strict.ask(strict.second, Device()))
    strict.activate()

    again = [certificate_of(strict.ask(ca, Device())) for ca in (strict.first, strict.second)]

    assert issued_by(strict.second, two)
    assert [one.der, two.der] == [certificate.der for certificate in again]
    assert len(strict.issued()) == 2
    assert strict.uses_left() == [0]


def test_what_was_revoked_is_granted_by_nobody(strict: RollingWorld) -> None:
    """Its challenge password is spent, and its certificate stands no more."""
    one = certificate_of(strict.ask(strict.first, Device()))
    _revoke(strict, stored(strict, one).serial, strict.first)
    strict.activate()

    assert isinstance(strict.ask(strict.second, Device()), Failure)
    assert len(strict.issued()) == 1


@pytest.mark.parametrize("asked", ["first", "second"])
def test_a_poll_finds_the_answer_of_the_ca_that_is_asked(world: RollingWorld, asked: str) -> None:
    """RFC 8894 3.3.3: transactionID and key are the same for both; the envelope tells them apart."""
    world.prepare()
    answers = {
        name: certificate_of(world.ask(ca, Device()))
        for name, ca in (("first", world.first), ("second", world.second))
    }
    world.activate()
    authority: Authority = getattr(world, asked)
    names = names_of(authority.certificate, Device())

    polled = world.ask(authority, Device(), names, message_type=MessageType.CERT_POLL)

    assert certificate_of(polled).der == answers[asked].der


def _poll(world: RollingWorld, authority: Authority, device: Device | None = None) -> Outcome:
    device = device or Device()
    names = names_of(authority.certificate, device)
    return world.ask(authority, device, names, message_type=MessageType.CERT_POLL)


def test_a_poll_that_goes_to_the_new_ca_gets_a_certificate_of_it(world: RollingWorld) -> None:
    """A client that fetches the CA anew between two polls (jscep does) holds no other CA's certificate."""
    one = world.get(world.first, "ipad-17", "t1")
    world.activate()

    polled = [certificate_of(_poll(world, world.second)) for _ in range(2)]

    assert issued_by(world.second, polled[0])
    assert polled[1].der == polled[0].der
    assert _of_the_holder(polled[0]) == _of_the_holder(one)
    assert polled[0].not_valid_after == one.not_valid_after
    assert certificate_of(_poll(world, world.first)).der == one.der
    assert certificate_of(world.ask(world.second, Device())).der == polled[0].der


def _of_the_holder(certificate: Certificate) -> list[bytes]:
    """Name, key, and the extensions that say what it is good for."""
    issuer_s = {"2.5.29.35", "2.5.29.31", "1.3.6.1.5.5.7.1.1"}
    extensions = [one.encode() for oid, one in certificate.extensions.items() if oid not in issuer_s]
    return [certificate.subject_der, certificate.spki, *sorted(extensions)]


def test_a_poll_of_the_new_ca_finds_nothing_of_before_that_a_person_refused(world: RollingWorld) -> None:
    """Who was rejected asked anew under the same transactionID, and that request was granted."""
    world.by_hand()
    world.ask(world.first, Device("misspelt"), Device("misspelt").csr(None))
    desk(world).reject(1, "misspelt")
    world.ask(world.first, Device(), Device().csr(None))
    world.approve(2)
    world.activate()

    assert issued_by(world.second, certificate_of(_poll(world, world.second)))


@pytest.mark.parametrize("message_type", [MessageType.PKCS_REQ, MessageType.CERT_POLL])
@pytest.mark.parametrize("waits_for", ["first", "second"])
def test_what_waits_gets_its_certificate_from_the_ca_that_was_asked_last(
    world: RollingWorld, waits_for: str, message_type: MessageType
) -> None:
    """Who comes back with another CA's certificate could do nothing with the first's."""
    world.by_hand()
    world.prepare()
    before: Authority = getattr(world, waits_for)
    now = world.first if before is world.second else world.second
    assert world.ask(before, Device(), Device().csr(None)) == Pending()

    if message_type is MessageType.CERT_POLL:
        assert _poll(world, now) == Pending()
    else:
        assert world.ask(now, Device(), Device().csr(None)) == Pending()
    approved = world.approve(1)

    assert issued_by(now, approved)
    assert certificate_of(_poll(world, now)).der == approved.der
    assert len(world.issued()) == 1
    (one,) = requests(world)
    assert one.status == "issued"


def test_polls_of_the_former_ca_leave_what_waits_with_it(world: RollingWorld) -> None:
    """StrongSwan polls for days with the CA file that it was given, and believes no other."""
    world.by_hand()
    world.ask(world.first, Device(), Device().csr(None))
    world.activate()
    world.now += 2 * UNDER_WAY

    assert _poll(world, world.first) == Pending()
    approved = world.approve(1)

    assert issued_by(world.first, approved)
    assert certificate_of(_poll(world, world.first)).der == approved.der


def test_a_transaction_id_in_use_with_one_ca_is_free_with_the_other(world: RollingWorld) -> None:
    """Sscep and strongSwan make it from the key, and could never enrol it with the next CA otherwise."""
    world.prepare()
    world.get(world.first, "ipad-17", "t1")

    assert isinstance(world.ask(world.first, Device("renamed")), Failure)
    assert issued_by(world.second, certificate_of(world.ask(world.second, Device("renamed"))))


HELD = {"for the CA of today": "first", "for the next CA": "second"}


@pytest.mark.parametrize("asked", HELD.values(), ids=HELD.keys())
def test_what_waited_through_the_change_ends_with_the_ca_that_was_asked(
    world: RollingWorld, asked: str
) -> None:
    """The device goes on polling with what it knows; a person approves a day later."""
    world.by_hand()
    world.prepare()
    authority: Authority = getattr(world, asked)
    assert world.ask(authority, Device(), Device().csr(None)) == Pending()
    world.activate()
    world.now += days(1)

    approved = world.approve(1)
    polled = world.ask(
        authority, Device(), names_of(authority.certificate, Device()), "t1", MessageType("20")
    )

    assert issued_by(authority, approved)
    assert certificate_of(polled).der == approved.der


def test_what_waited_for_a_ca_that_was_given_up_gets_a_certificate_of_today(world: RollingWorld) -> None:
    """Nothing is lost on abort."""
    world.by_hand()
    world.prepare()
    assert world.ask(world.second, Device(), Device().csr(None)) == Pending()
    world.abort()

    assert issued_by(world.first, world.approve(1))


def test_what_waits_is_one_request_whichever_ca_it_is_sent_to(world: RollingWorld) -> None:
    """Certmonger polls by sending it again, to whichever CA it fetched last; one decision is made."""
    world.by_hand()
    assert world.ask(world.first, Device(), Device().csr(None)) == Pending()
    world.activate()

    assert world.ask(world.second, Device(), Device().csr(None)) == Pending()
    assert len(requests(world)) == 1
    world.approve(1)
    assert issued_by(world.second, certificate_of(world.ask(world.second, Device(), Device().csr(None))))
    assert len(world.issued()) == 1


@pytest.mark.parametrize("is_revoked", [False, True])
def test_a_renewal_that_waited_through_the_change_is_approved(world: RollingWorld, is_revoked: bool) -> None:
    """It is signed by a certificate of the former CA, which counts, unless it is revoked."""
    old = world.get(world.first, "ipad-17")
    world.by_hand()
    world.now = old.not_valid_after - days(3)
    device = Device("ipad-17", rsa_key(1), signer=old)
    assert world.ask(world.first, device, device.csr(None), "t2", RENEWAL) == Pending()
    world.activate()

    if is_revoked:
        _revoke(world, stored(world, old).serial, world.first)
        with pytest.raises(DecisionImpossible, match="is revoked"):
            world.approve(2)
    else:
        assert issued_by(world.first, world.approve(2))


def _query(world: RollingWorld, of: Certificate, message_type: MessageType, door: Authority) -> Outcome:
    payload = codec.encode_issuer_and_serial_number(of.issuer_der, of.serial_number)
    device = Device()
    reply = world.respond(device.message(door.certificate, payload, message_type=message_type))
    named = IssuerAndSerialNumber(Name.load(of.issuer_der), of.serial_number)
    expected = codec.Expectation(Transaction("t1", NONCE), (door.certificate,), named=named)
    if message_type is MessageType.GET_CRL:
        read = codec.decode_crl_rep
        return read(reply, expected, device.certificate(), device.key, Deviations())
    return codec.decode_cert_rep(reply, expected, device.certificate(), device.key, Deviations())


@pytest.mark.parametrize("names", ["CN=Test CA G2", "CN=Test CA"], ids=["other name", "same name"])
@pytest.mark.parametrize("door", ["first", "second"])
def test_queries_find_what_either_ca_issued(names: str, door: str) -> None:
    """RFC 8894 3.3.4: the CA is named in the query; of two of one name the serial number tells."""
    world = RollingWorld(second_name=names)
    world.prepare()
    issued = {ca: world.get(ca, name) for ca, name in ((world.first, "one"), (world.second, "two"))}
    world.activate()

    for authority, certificate in issued.items():
        found = _query(world, certificate, MessageType.GET_CERT, getattr(world, door))
        crl = _query(world, certificate, MessageType.GET_CRL, getattr(world, door))

        assert found == Success(certificate.der)
        assert isinstance(crl, CrlSuccess)
        key = x509.load_der_x509_certificate(authority.certificate.der).public_key()
        assert x509.load_der_x509_crl(crl.crl).is_signature_valid(key)  # type: ignore[arg-type]
    world.store.close()


def test_a_query_about_no_certificate_of_a_name_gets_the_crl_of_who_is_asked() -> None:
    """GetCRL needs no certificate to be there (RFC 8894 3.3.4)."""
    world = RollingWorld(second_name="CN=Test CA")
    world.activate()
    unknown = Certificate.load(make_ca_certificate(Name.from_text("CN=Test CA"), rsa_key(3), 1, NOW))

    crl = _query(world, unknown, MessageType.GET_CRL, world.second)
    nobody = Certificate.load(make_ca_certificate(Name.from_text("CN=Nobody"), rsa_key(3), 1, NOW))
    refused = _query(world, nobody, MessageType.GET_CRL, world.second)

    assert isinstance(crl, CrlSuccess)
    key = rsa_key(7).public_key()
    assert x509.load_der_x509_crl(crl.crl).is_signature_valid(key)
    assert isinstance(refused, Failure)
    world.store.close()


@pytest.mark.parametrize("asked", ["first", "second"])
def test_the_chain_that_goes_along_is_that_of_who_issued(world: RollingWorld, asked: str) -> None:
    """RFC 8894 3.3.2.1, for a profile that wants it."""
    world.activate()
    world.profile = replace(world.profile, chain_in_reply=True)
    authority: Authority = getattr(world, asked)

    outcome = world.ask(authority, Device())

    assert isinstance(outcome, Success)
    assert outcome.chain == (authority.certificate.der,)


def test_a_revocation_is_on_the_crl_of_who_issued(world: RollingWorld) -> None:
    """RFC 5280 5: each CA has its own, the former's goes on."""
    one = stored(world, world.get(world.first, "one"))
    world.activate()
    two = stored(world, world.get(world.second, "two"))
    for each in (one, two):
        _revoke(world, each.serial, world.second, world.first)

    crls = [RevocationStatus(ca, world.store, lambda: world.now).crl() for ca in (world.first, world.second)]

    assert [serials(crl) for crl in crls] == [{one.serial}, {two.serial}]
    with pytest.raises(RevocationRefused, match="another CA"):
        _revoke(world, one.serial, world.second)


def test_ocsp_answers_for_each_ca_by_its_own_signer(world: RollingWorld) -> None:
    """RFC 6960 2.2: the issuer in the question tells which; the responder is certified by that one."""
    one = stored(world, world.get(world.first, "one"))
    world.activate()
    two = stored(world, world.get(world.second, "two"))
    _revoke(world, one.serial, world.second, world.first)
    responders = OcspResponders(
        [
            OcspResponder(
                RevocationStatus(ca, world.store, lambda: world.now), OcspSignerFile(None, ca).current
            )
            for ca in (world.second, world.first)
        ]
    )
    questions = [
        about(world, each.serial, issuer=ca.certificate.der)
        for each, ca in ((one, world.first), (two, world.second))
    ]

    answers = [ocsp.load_der_ocsp_response(responders.respond(each).der) for each in questions]
    both = ocsp.load_der_ocsp_response(responders.respond(many(*map(single, questions))).der)

    assert [answer.certificate_status.name for answer in answers] == ["REVOKED", "GOOD"]
    for answer, ca in zip(answers, (world.first, world.second), strict=True):
        check_chain(Certificate.load(_der(answer.certificates[0])), ca.certificate, world.now)
    assert [one.certificate_status.name for one in both.responses] == ["UNKNOWN", "GOOD"]


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


SUCCESSORS = {
    "CN=Example CA,O=Example": "CN=Example CA G2,O=Example",
    "CN=Example CA G2": "CN=Example CA G3",
    "CN=Example CA G9": "CN=Example CA G10",
    "O=Example": "CN=SCEP CA G2,O=Example",
    f"CN={'x' * MAX_COMMON_NAME}": "CN=SCEP CA G2",
    "CN=G2": "CN=G2 G2",
    "CN=Ünïcode\\, Inc.+OU=a": "CN=Ünïcode\\, Inc. G2+OU=a",
    "OU=1,CN=Taken": "OU=1,CN=Taken G4",
}


@pytest.mark.parametrize(("subject", "expected"), SUCCESSORS.items())
def test_the_next_ca_has_a_name_of_its_own(subject: str, expected: str) -> None:
    """MbedTLS knows the issuer of a CRL by the name alone, and would take one CA's for the other's."""
    taken = [Name.from_text(f"OU=1,CN=taken G{number}") for number in (2, 3)]

    named = successor_name(Name.from_text(subject), taken)

    assert named.matches(Name.from_text(expected)), str(named)


def test_a_challenge_of_one_use_is_one_enrolment_with_either_ca(strict: RollingWorld) -> None:
    """The other CA grants the very request again, and no other."""
    strict.prepare()
    strict.ask(strict.first, Device())

    other = Device("somebody-else", rsa_key(2))

    assert isinstance(strict.ask(strict.second, other, other.csr(SECRET), "t9"), Failure)
