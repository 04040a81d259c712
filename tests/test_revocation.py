"""Revoking certificates and the list that says so: RFC 5280 5, by our own word and that of others."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from alembic import command
from alembic.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from app.store import Sharing, SqlStore, open_store
from app.store.database_file import make_file
from app.store.engine import open_engine
from app.store.migrate import MIGRATIONS
from ca.asn1 import read
from ca.deviations import Deviations
from ca.errors import FailInfo, StoreUnavailable
from ca.issuing.addresses import StatusAddresses
from ca.issuing.authority import Authority
from ca.issuing.crl import CRL_LIFETIME, current_crl, encode_entries, publish_crl, sign_crl
from ca.issuing.reasons import Reason
from ca.issuing.revocation import RevocationRefused, revoke
from ca.issuing.status import READ_AGAIN, WRITE_AGAIN, RevocationStatus
from ca.ports import Repository, Revocation, StoredCertificate, StoredCrl
from ca.scep.messages import Failure, MessageType, Success
from ca.x509.certificate import Certificate
from ca.x509.extensions import KeyUsageBit
from tests.databases import new_database
from tests.forging_csr import install
from tests.test_certificates import CA_NAMES, _ca
from tests.test_unit_ca_material import ca_certificate
from tests.waiting import names
from tests.watching import StoreBefore
from tests.world import NOW, Device, World, captured_log, certificate_of, rsa_key

T = TypeVar("T")
pytestmark = pytest.mark.databases


def issue(world: World, name: str = "ipad-17") -> StoredCertificate:
    """One more certificate of *world*."""
    issued = certificate_of(world.enrol(Device(name), transaction_id=name))
    (stored,) = [one for one in world.issued() if one.der == issued.der]
    return stored


def stored(world: World, serial: str) -> StoredCertificate:
    found = world.store.transact(lambda repository: repository.find_certificate(serial))
    assert found
    return found


def do_revoke(world: World, serial: str, reason: Reason = Reason.unspecified) -> None:
    authority = world.responder.authority
    world.store.transact(
        lambda repository: revoke(
            stored_in(repository.find_certificate(serial)),
            reason,
            [authority],
            repository,
            world.now,
            CRL_LIFETIME,
        )
    )


def stored_in(found: StoredCertificate | None) -> StoredCertificate:
    assert found
    return found


def kept(world: World) -> StoredCrl:
    authority = world.responder.authority
    return world.store.transact(lambda repository: current_crl(authority, repository, world.now))


def publish(world: World) -> StoredCrl:
    authority = world.responder.authority
    return world.store.transact(lambda repository: publish_crl(authority, repository, world.now))


def parsed(crl: StoredCrl) -> x509.CertificateRevocationList:
    """The CRL as another implementation reads it."""
    return x509.load_der_x509_crl(crl.der)


def serials(crl: StoredCrl) -> set[str]:
    return {f"{one.serial_number:x}" for one in parsed(crl)}


def lint(file: Path) -> None:
    """Let pkilint judge a CRL; it must find nothing to warn of."""
    linter = (sys.executable, "-m", "pkilint.bin.lint_crl", "lint", "-t", "CRL", "-p", "PKIX")
    done = subprocess.run(
        [*linter, "--severity", "WARNING", "--document-format", "DER", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.proves("X-12")
def test_a_crl_is_what_rfc_5280_asks_for(world: World, tmp_path: Path) -> None:
    """RFC 5280 5.1, 5.2: version 2, both dates, AKI and cRLNumber, signed by the CA (X-12)."""
    serial = issue(world).serial
    do_revoke(world, serial, Reason.keyCompromise)
    crl = parsed(kept(world))
    (entry,) = crl

    assert crl.is_signature_valid(world.key.public_key())
    assert (crl.last_update_utc, crl.next_update_utc) == (NOW, NOW + CRL_LIFETIME)
    assert {one.oid._name: one.critical for one in crl.extensions} == {
        "authorityKeyIdentifier": False,
        "cRLNumber": False,
    }
    aki = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert aki.key_identifier == world.ca.subject_key_identifier
    assert f"{entry.serial_number:x}" == serial
    assert entry.revocation_date_utc == NOW
    (reason,) = entry.extensions
    assert reason.value == x509.CRLReason(x509.ReasonFlags.key_compromise)
    (tmp_path / "crl.der").write_bytes(kept(world).der)
    lint(tmp_path / "crl.der")


@pytest.mark.proves("X-12")
def test_a_crl_of_nothing_has_no_list(world: World, tmp_path: Path) -> None:
    """RFC 5280 5.1.2.6: revokedCertificates is absent where there are none."""
    crl = kept(world)

    tbs = read(crl.der, "crl", Deviations()).sequence()[0].sequence()
    assert [part.tag for part in tbs] == [0x02, 0x30, 0x30, 0x17, 0x17, 0xA0]
    assert list(parsed(crl)) == []
    (tmp_path / "crl.der").write_bytes(crl.der)
    lint(tmp_path / "crl.der")


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.removeFromCRL])
def test_each_reason_is_told_by_its_number(world: World, reason: Reason, tmp_path: Path) -> None:
    """RFC 5280 5.3.1: all of them, and unspecified by saying nothing."""
    serial = issue(world).serial
    do_revoke(world, serial, reason)

    (entry,) = parsed(kept(world))
    found = [one.value.reason.value for one in entry.extensions if isinstance(one.value, x509.CRLReason)]
    assert found == ([] if reason is Reason.unspecified else [reason.name])
    assert stored(world, serial).reason == reason.name
    (tmp_path / "crl.der").write_bytes(kept(world).der)
    lint(tmp_path / "crl.der")


@pytest.mark.proves("X-02")
@pytest.mark.parametrize("ca_name", CA_NAMES.values(), ids=CA_NAMES.keys())
def test_the_issuer_of_a_crl_is_the_ca_byte_for_byte(world: World, ca_name: x509.Name) -> None:
    """RFC 5280 5.1.2.3: who looks for the CRL of an issuer compares these bytes (X-02)."""
    install(world, _ca(ca_name), rsa_key(0))

    tbs = read(kept(world).der, "crl", Deviations()).sequence()[0].sequence()
    assert tbs[2].raw == world.ca.subject_der


@pytest.mark.proves("X-12")
def test_numbers_only_grow(world: World) -> None:
    """RFC 5280 5.2.3: at each revocation, at each publishing, and with a clock that was set back."""
    numbers = [kept(world).number]
    for name in ("a", "b"):
        do_revoke(world, issue(world, name).serial)
        numbers.append(kept(world).number)
    world.now = NOW - timedelta(days=30)
    numbers.append(publish(world).number)

    assert numbers == sorted(set(numbers))


def test_a_database_from_a_backup_falls_behind_no_crl(world: World) -> None:
    """Its CRLs are forgotten, and numbers that relying parties have seen must not come again."""
    issued = [publish(world).number for _ in range(5)]
    world.store.close()
    world.store, world.now = open_store(new_database()), NOW + timedelta(hours=1)

    assert publish(world).number > max(issued)
    world.store.close()


@pytest.mark.proves("R-4.6-a")
def test_a_crl_is_made_anew_before_it_ends(world: World) -> None:
    """RFC 5280 5.1.2.5: from half of its time on, whoever asks gets another (R-4.6-a)."""
    first = kept(world)
    world.now = NOW + CRL_LIFETIME / 2 - timedelta(seconds=1)
    assert kept(world) == first
    world.now = NOW + CRL_LIFETIME / 2

    second = kept(world)
    assert second.number > first.number
    assert second.this_update == world.now
    world.now = NOW + CRL_LIFETIME * 3
    assert kept(world).this_update <= world.now < kept(world).next_update


def test_an_expired_certificate_stays_for_one_crl_more(world: World) -> None:
    """RFC 5280 3.3: an entry stays until a CRL later than the certificate's end had it."""
    one = issue(world)
    do_revoke(world, one.serial)
    world.now = one.not_after + timedelta(days=1)

    assert serials(publish(world)) == {one.serial}
    world.now += timedelta(days=1)
    assert serials(publish(world)) == set()


def test_a_certificate_revoked_after_its_end_is_listed_once(world: World) -> None:
    """Old signatures are judged by it."""
    one = issue(world)
    kept(world)
    world.now = one.not_after + timedelta(days=40)
    publish(world)
    world.now += timedelta(days=1)
    do_revoke(world, one.serial, Reason.keyCompromise)

    assert serials(kept(world)) == {one.serial}


def test_a_clock_that_was_years_ahead_does_no_harm(world: World) -> None:
    """What it dropped as expired comes back, and its CRL of the future does not stay."""
    one = issue(world)
    do_revoke(world, one.serial)
    world.now = NOW + timedelta(days=4000)
    publish(world)
    publish(world)
    world.now = NOW + timedelta(days=1)

    crl = kept(world)

    assert (crl.this_update, serials(crl)) == (world.now, {one.serial})
    world.now -= timedelta(minutes=1)
    assert kept(world) == crl


def test_revoking_twice_is_refused(world: World) -> None:
    """The first time and reason stand; nothing is signed for nothing."""
    serial = issue(world).serial
    do_revoke(world, serial, Reason.superseded)
    before = kept(world)
    world.now += timedelta(hours=1)

    for reason in (Reason.unspecified, Reason.superseded, Reason.certificateHold):
        with pytest.raises(RevocationRefused, match=r"revoked already \(2026-06-01 12:00 UTC, superseded\)"):
            do_revoke(world, serial, reason)
    assert kept(world) == before
    assert stored(world, serial).revoked_at == NOW


def test_that_the_key_was_stolen_may_be_known_later(world: World) -> None:
    """What was put out of use or replaced by another has a key as well; the time stands."""
    serial = issue(world).serial
    do_revoke(world, serial, Reason.superseded)
    world.now += timedelta(hours=1)

    do_revoke(world, serial, Reason.keyCompromise)

    assert (stored(world, serial).revoked_at, stored(world, serial).reason) == (NOW, "keyCompromise")
    (entry,) = x509.load_der_x509_crl(kept(world).der)
    told = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert told is x509.ReasonFlags.key_compromise
    with pytest.raises(RevocationRefused, match="revoked already"):
        do_revoke(world, serial, Reason.keyCompromise)


def test_a_hold_can_be_taken_back(world: World) -> None:
    """RFC 5280 5.3.1: certificateHold, and removeFromCRL, which is gone from a complete CRL."""
    serial = issue(world).serial
    do_revoke(world, serial, Reason.certificateHold)
    assert serials(kept(world)) == {serial}

    do_revoke(world, serial, Reason.removeFromCRL)

    assert serials(kept(world)) == set()
    assert (stored(world, serial).revoked_at, stored(world, serial).reason) == (None, None)
    do_revoke(world, serial, Reason.superseded)


def test_a_hold_becomes_final_from_its_beginning(world: World) -> None:
    """RFC 5280 5.3.1: the lost phone was stolen; signatures made since are as bad."""
    serial = issue(world).serial
    do_revoke(world, serial, Reason.certificateHold)
    world.now += timedelta(days=1)

    do_revoke(world, serial, Reason.keyCompromise)

    (entry,) = parsed(kept(world))
    assert entry.revocation_date_utc == NOW
    with pytest.raises(RevocationRefused, match="for good"):
        do_revoke(world, serial, Reason.removeFromCRL)


def test_what_is_not_on_hold_is_not_released(world: World) -> None:
    """RemoveFromCRL takes back a hold and nothing else."""
    with pytest.raises(RevocationRefused, match="not revoked"):
        do_revoke(world, issue(world).serial, Reason.removeFromCRL)


@pytest.mark.proves("N-075")
@pytest.mark.parametrize("message_type", [MessageType.RENEWAL_REQ, MessageType.PKCS_REQ])
def test_a_renewal_heeds_it_at_once(world: World, message_type: MessageType) -> None:
    """RFC 8894 2.3: whoever stole the key would renew himself out of the revocation (N-075)."""
    one = issue(world)
    world.now = one.not_after - timedelta(days=2)
    do_revoke(world, one.serial, Reason.keyCompromise)
    device = Device(signer=Certificate.load(one.der), signer_key=rsa_key(1), signing_time=world.now)

    message = device.message(world.ca, device.csr(None), transaction_id="t2", message_type=message_type)
    outcome = device.read(world.respond(message), world.ca, "t2")

    assert isinstance(outcome, Failure)
    assert outcome == Failure(FailInfo.BAD_REQUEST, "the certificate that signed this renewal is revoked")


@pytest.mark.parametrize("message_type", [MessageType.PKCS_REQ, MessageType.CERT_POLL])
def test_nobody_gets_it_again(message_type: MessageType) -> None:
    """RFC 8894 7.4: the same request has the same answer, as long as that is good."""
    world, device = World(uses=1), Device()
    one = issue(world)
    payload = device.csr() if message_type is MessageType.PKCS_REQ else names(world, device)
    again = device.message(world.ca, payload, transaction_id="ipad-17", message_type=message_type)
    before = device.read(world.respond(again), world.ca, "ipad-17")
    do_revoke(world, one.serial, Reason.keyCompromise)

    after = device.read(world.respond(again), world.ca, "ipad-17")

    assert before == Success(one.der)
    assert isinstance(after, Failure)
    assert [stored.serial for stored in world.issued()] == [one.serial]
    world.store.close()


def test_each_ca_lists_its_own(world: World) -> None:
    """A folder whose CA was made anew: serial numbers mean nothing under another key."""
    old = issue(world)
    do_revoke(world, old.serial)
    first = kept(world)
    install(world, ca_certificate(rsa_key(2), "Test CA", subject="Test CA"), rsa_key(2))

    assert serials(kept(world)) == set()
    assert kept(world).number > first.number
    with pytest.raises(RevocationRefused, match="another CA issued it"):
        do_revoke(world, old.serial, Reason.keyCompromise)


def test_a_ca_that_may_not_sign_crls_signs_none(world: World) -> None:
    """RFC 5280 4.2.1.3: without cRLSign there is nothing to fetch, and revoking works all the same."""
    install(
        world,
        ca_certificate(rsa_key(0), usage={KeyUsageBit.keyCertSign, KeyUsageBit.digitalSignature}),
        rsa_key(0),
    )
    before = kept(world)
    do_revoke(world, issue(world).serial)

    assert (before.der, kept(world).der) == (b"", b"")
    assert kept(world).number > before.number


def test_the_state_is_looked_at_twice_a_second(world: World) -> None:
    """A flood of questions costs two reads a second, and a revocation shows within one."""
    status = RevocationStatus(world.responder.authority, world.store, lambda: world.now)
    serial = issue(world).serial
    first = status.crl()
    do_revoke(world, serial)

    world.now += timedelta(seconds=0.4)
    assert status.crl() is first
    world.now += timedelta(seconds=0.2)
    assert serials(status.crl()) == {serial}
    world.now -= timedelta(hours=1)
    assert status.crl().number > first.number


def test_a_crl_that_is_good_goes_on_while_the_database_is_away(world: World) -> None:
    """Who checks certificates trusts it until its end, and is not to fail for our database."""
    store = _Away(world.store)
    status = RevocationStatus(world.responder.authority, store, lambda: world.now)
    with pytest.raises(StoreUnavailable, match="this process has seen no CRL since its start: away"):
        status.crl()
    store.is_away = False
    world.now += WRITE_AGAIN
    crl = status.crl()
    store.is_away = True

    world.now = crl.next_update - timedelta(seconds=1)
    assert status.crl() is crl
    world.now = crl.next_update
    with pytest.raises(StoreUnavailable):
        status.crl()


def test_a_crl_that_is_looked_for_in_time_is_there_when_the_database_is_not(world: World) -> None:
    """Whichever process made it, and whether or not this one was ever asked; none is made for that."""
    store = _Away(world.store)
    status = RevocationStatus(world.responder.authority, store, lambda: world.now)
    store.is_away = False
    status.look()
    with pytest.raises(StoreUnavailable, match="no CRL"):
        _while_away(store, status)
    first = kept(world)
    status.look()
    assert _while_away(store, status) == first

    do_revoke(world, issue(world).serial)
    status.look()

    assert _while_away(store, status) == kept(world) != first


def test_a_database_that_hangs_is_asked_now_and_then_alone(world: World) -> None:
    """Each question would keep everybody else of the process waiting, for as long as it is given."""
    store = _Away(world.store)
    status = RevocationStatus(world.responder.authority, store, lambda: world.now)
    store.is_away = False
    first = status.crl()
    world.now += timedelta(seconds=1)
    assert _while_away(store, status) is first
    serial = issue(world).serial
    do_revoke(world, serial)

    world.now += timedelta(seconds=1)
    assert status.crl() is first
    world.now += READ_AGAIN
    assert serials(status.crl()) == {serial}


def _while_away(store: "_Away", status: RevocationStatus) -> StoredCrl:
    store.is_away = True
    try:
        return status.crl()
    finally:
        store.is_away = False


class _Away(StoreBefore):
    """A store whose database cannot be reached."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store)
        self.is_away = True

    def transact(self, work: Callable[[Repository], T]) -> T:
        if self.is_away:
            raise StoreUnavailable("away")
        return self._store.transact(work)

    def read(self, work: Callable[[Repository], T]) -> T:
        if self.is_away:
            raise StoreUnavailable("away")
        return self._store.read(work)


def _addresses(world: World, addresses: StatusAddresses | None) -> x509.Extensions:
    world.responder = replace(world.responder, authority=Authority(world.ca, world.key, addresses))
    return x509.load_der_x509_certificate(issue(world).der).extensions


@pytest.mark.proves("R-2.7-a")
def test_certificates_say_where_their_status_is_told(world: World) -> None:
    """RFC 5280 4.2.1.13, 4.2.2.1: CRL, OCSP and the issuer's certificate, none of them critical (R-2.7-a)."""
    extensions = _addresses(
        world, StatusAddresses("http://ca.example/ocsp", "http://ca.example/ca.cer", "http://ca.example/crl")
    )

    points = extensions.get_extension_for_class(x509.CRLDistributionPoints)
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    assert [name.value for point in points.value for name in point.full_name or ()] == [
        "http://ca.example/crl"
    ]
    assert {one.access_method._name: one.access_location.value for one in access.value} == {
        "OCSP": "http://ca.example/ocsp",
        "caIssuers": "http://ca.example/ca.cer",
    }
    assert not points.critical
    assert not access.critical


def test_without_a_crl_there_is_no_distribution_point(world: World) -> None:
    """A CA without cRLSign has OCSP alone."""
    extensions = _addresses(world, StatusAddresses("http://a/ocsp", "http://a/ca.cer", None))

    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert extensions.get_extension_for_class(x509.AuthorityInformationAccess)


def test_no_address_is_guessed(world: World) -> None:
    """A certificate lives longer than an address that was only believed."""
    extensions = _addresses(world, None)

    assert {one.oid._name for one in extensions}.isdisjoint({"cRLDistributionPoints", "authorityInfoAccess"})


def test_openssl_refuses_what_is_revoked(world: World, tmp_path: Path) -> None:
    """``openssl verify -crl_check``: the one before and the one after."""
    one, other = issue(world), issue(world, "ipad-18")
    do_revoke(world, one.serial, Reason.cessationOfOperation)
    for name, der in (("one", one.der), ("other", other.der), ("ca", world.ca.der)):
        pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        (tmp_path / f"{name}.pem").write_bytes(pem)
    (tmp_path / "crl.pem").write_bytes(parsed(kept(world)).public_bytes(serialization.Encoding.PEM))
    verify = ("openssl", "verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem")
    at = ("-attime", str(int(NOW.timestamp()) + 60))

    done = {
        name: subprocess.run(
            [*verify, *at, f"{name}.pem"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        for name in ("one", "other")
    }

    assert done["other"].returncode == 0, done["other"].stderr
    assert done["one"].returncode != 0
    assert "certificate revoked" in done["one"].stderr


@pytest.mark.databases("sqlite")
def test_a_database_of_before_is_brought_along(tmp_path: Path) -> None:
    """The first start of a newer program makes what revocation needs."""
    url = f"sqlite:///{tmp_path}/scepbox.db"
    make_file(tmp_path / "scepbox.db")
    engine, config = open_engine(url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()

    world = World(url, uses=None)
    do_revoke(world, issue(world).serial)

    assert len(serials(kept(world))) == 1
    world.store.close()


def test_ten_thousand_are_listed_in_good_time(world: World) -> None:
    """A CRL is made while others wait to write."""
    many = (Revocation(f"{number + (1 << 120):x}", NOW, "superseded") for number in range(10_000))
    started = datetime.now()

    der = sign_crl(world.responder.authority, encode_entries(many), 1, NOW, NOW + CRL_LIFETIME)

    assert len(x509.load_der_x509_crl(der)) == 10_000
    assert (datetime.now() - started).total_seconds() < 3


def test_while_nothing_can_be_written_the_crl_goes_on_for_as_long_as_it_is_good(tmp_path: Path) -> None:
    """Whoever checks a certificate is answered; who asks for more than there is does not wait each time."""
    path = tmp_path / "held.db"
    world = World(f"sqlite:///{path.as_posix()}")
    store = open_store(f"sqlite:///{path.as_posix()}", Sharing(busy_seconds=0.1))
    status = RevocationStatus(world.responder.authority, store, lambda: world.now)
    first = status.crl()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with captured_log("ca.issuing.status") as lines:
            world.now = first.next_update - timedelta(seconds=1)
            answers = [status.crl() for _ in range(3)]
            world.now = first.next_update
            with pytest.raises(StoreUnavailable, match="a moment ago"):
                status.crl()
        other.execute("ROLLBACK")
    world.now += WRITE_AGAIN

    assert answers == [first] * 3
    assert len(lines) == 1
    assert "the next CRL cannot be kept" in lines[0]
    assert status.crl().number > first.number
    store.close()
    world.store.close()


def test_without_a_database_the_crl_that_is_known_goes_on(tmp_path: Path) -> None:
    """For as long as it is good, and no longer."""
    world = World(f"sqlite:///{(tmp_path / 'lost.db').as_posix()}")
    status = RevocationStatus(world.responder.authority, world.store, lambda: world.now)
    first = status.crl()
    world.store.close()
    (tmp_path / "lost.db").write_bytes(b"no database" * 1000)

    world.now += timedelta(days=1)

    assert status.crl() == first
    world.now = first.next_update
    with pytest.raises(StoreUnavailable):
        status.crl()
    world.store.close()
