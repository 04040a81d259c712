"""RA mode: a registration authority opens and signs the messages, and the CA's key only issues."""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.ca_folder import CaFolder
from app.data_folder import DataFolder, write_private
from app.registration import LOOK, RegistrationAuthority, make_registration
from ca.algorithms.keys import PrivateKey
from ca.errors import FailInfo, OperationNotOffered
from ca.issuing.authority import Authority
from ca.issuing.key_store import KeyUnusable, encode_private_key
from ca.issuing.registration import (
    OVERLAP,
    RA_VALIDITY,
    SETTLING,
    check_ra,
    is_renewal_due,
    make_ra_certificate,
    order_certificates,
)
from ca.issuing.root import CaUnusable, encode_pem, make_ca_certificate
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Failure, MessageType, Outcome, Success
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.chain import check_chain
from ca.x509.extensions import KeyUsageBit, read_key_purposes
from ca.x509.name import Name
from tests.backing_up import run_sql, sqlite_of
from tests.command_line import did, run, serving
from tests.world import NOW, Device, World, captured_log, certificate_of, rsa_key

EC_KEYS = {"ec:p256": ec.SECP256R1(), "ec:p384": ec.SECP384R1(), "ec:p521": ec.SECP521R1()}
# RFC 5758 3.2: the digest is as strong as the curve.
SIGNATURES = {
    "ec:p256": "1.2.840.10045.4.3.2",
    "ec:p384": "1.2.840.10045.4.3.3",
    "ec:p521": "1.2.840.10045.4.3.4",
    "rsa": "1.2.840.113549.1.1.11",
}


def authority_of(key: PrivateKey, subject: str = "CN=Test CA,O=Example", years: int = 10) -> Authority:
    """A CA behind an RA, made at NOW."""
    made = make_ca_certificate(Name.from_text(subject), key, years, NOW, behind_ra=True)
    return Authority(Certificate.load(made), key)


@pytest.fixture
def folder(tmp_path: Path) -> CaFolder:
    """Room for the CA's files."""
    return CaFolder(tmp_path)


class RaWorld(World):
    """A world in RA mode; its clock begins when the RA was made."""

    def __init__(self, folder: CaFolder, key: PrivateKey) -> None:
        super().__init__()
        self.authority = authority_of(key)
        self.ca = self.authority.certificate
        self.identities = RegistrationAuthority(folder, self.authority, NOW)
        self.responder = replace(
            self.responder,
            authority=self.authority,
            identity=self.identities,
            policy=replace(self.responder.policy, issuer=self.ca),
            chain=(self.ca.der,),
        )

    @property
    def shown(self) -> Certificate:
        """The RA certificate that GetCACert shows."""
        return self.identities.at(self.now)[0].certificate

    def ask(self, device: Device, ra: Certificate, transaction_id: str = "t1") -> Outcome:
        """Enrol with *ra*, which must also have signed the reply."""
        message = device.message(ra, transaction_id=transaction_id)
        return device.read(self.respond(message), ra, transaction_id)


@pytest.fixture(params=["rsa", "ec:p256", "ec:p384", "ec:p521"])
def world(request: pytest.FixtureRequest, folder: CaFolder) -> Iterator[RaWorld]:
    """A CA of each kind of key, behind an RA."""
    kind: str = request.param
    key = rsa_key(0) if kind == "rsa" else ec.generate_private_key(EC_KEYS[kind])
    world = RaWorld(folder, key)
    yield world
    world.store.close()


@pytest.fixture
def rsa_world(folder: CaFolder) -> Iterator[RaWorld]:
    """A CA with an RSA key, behind an RA."""
    world = RaWorld(folder, rsa_key(0))
    yield world
    world.store.close()


@pytest.mark.proves("RA-02", "RA-03", "RA-05")
def test_the_ca_issues_what_the_ra_was_asked_for(world: RaWorld, device: Device) -> None:
    """RA-01, RA-02, RA-05: the RA opens and signs, and its name is nowhere in the certificate."""
    issued = certificate_of(world.ask(device, world.shown))

    made = x509.load_der_x509_certificate(issued.der)
    key = world.authority.key
    kind = f"ec:p{key.curve.key_size}" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa"
    assert made.signature_algorithm_oid.dotted_string == SIGNATURES[kind]
    assert issued.issuer_der == world.ca.subject_der
    check_chain(issued, world.ca, NOW)


@pytest.mark.proves("X-14", "RA-02", "R-2.1.2-a")
def test_an_ra_certificate_is_what_clients_look_for(world: RaWorld) -> None:
    """RFC 8894 2.1.2, X-14: both bits, the purpose that Windows wants, and no CA (Apple, NDES)."""
    ra = world.shown

    assert str(ra.subject) == "CN=Test CA RA,O=Example"
    assert ra.key_usage == frozenset({KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment})
    assert read_key_purposes(ra.extensions[oids.EXTENDED_KEY_USAGE].value) == ("1.3.6.1.4.1.311.20.2.1",)
    assert not ra.is_ca
    assert isinstance(ra.public_key(2048), rsa.RSAPublicKey)
    check_chain(ra, world.ca, NOW)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("O=Example", "CN=SCEP RA,O=Example"),
        (f"CN={'x' * 62}", "CN=SCEP RA"),
        (f"CN={'x' * 61}", f"CN={'x' * 61} RA"),
        ("O=Example,CN=Ca", "CN=Ca RA,O=Example"),
    ],
)
def test_the_ra_is_named_after_its_ca(subject: str, expected: str) -> None:
    """RFC 5280 appendix A.1: a common name ends at 64 characters; and RA-02: it is not the CA's."""
    made = make_ra_certificate(authority_of(rsa_key(0), subject), rsa_key(5), NOW)

    assert str(made.subject) == expected


@pytest.mark.proves("RA-04", "N-089")
def test_an_envelope_to_the_ca_is_not_opened(rsa_world: RaWorld, device: Device) -> None:
    """RA-04, N-089: the CA's key does not stand where strangers' messages arrive."""
    to_the_ca = rsa_world.respond(device.message(rsa_world.ca))
    garbled = rsa_world.respond(device.message(rsa_world.shown, b"no CSR"))

    refusal = device.read(to_the_ca, rsa_world.shown)
    assert refusal == device.read(garbled, rsa_world.shown)
    assert isinstance(refusal, Failure)
    assert refusal.fail_info is FailInfo.BAD_REQUEST


@pytest.mark.proves("S-06")
def test_nothing_but_issuing_touches_the_ca_key(
    rsa_world: RaWorld, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-06: with the CA's key away, messages are opened, refused and answered again all the same."""
    first = certificate_of(rsa_world.ask(device, rsa_world.shown))
    monkeypatch.delattr(rsa_world.authority, "key")

    again = certificate_of(rsa_world.ask(device, rsa_world.shown))
    poll = device.message(rsa_world.shown, message_type=MessageType.CERT_POLL)
    polled = certificate_of(device.read(rsa_world.respond(poll), rsa_world.shown))
    refused = rsa_world.respond(device.message(rsa_world.shown, device.csr("wrong"), transaction_id="t2"))

    assert first.der == again.der == polled.der
    assert isinstance(device.read(refused, rsa_world.shown, "t2"), Failure)
    with pytest.raises(AttributeError):
        rsa_world.ask(Device("other", key=rsa_key(2)), rsa_world.shown, "t3")


@pytest.mark.proves("L-14")
def test_the_chain_that_goes_along_has_no_ra_in_it(rsa_world: RaWorld, device: Device) -> None:
    """RFC 8894 3.4: a profile may send what is above the certificate; the RA is above nothing."""
    rsa_world.profile = replace(rsa_world.profile, chain_in_reply=True)

    outcome = rsa_world.ask(device, rsa_world.shown)

    assert isinstance(outcome, Success)
    assert outcome.chain == (rsa_world.ca.der,)


@pytest.mark.proves("N-121")
def test_the_ra_s_own_certificate_renews_nothing(rsa_world: RaWorld) -> None:
    """N-121: it is of this CA, and no device's."""
    identity = rsa_world.identities.at(NOW)[0]
    device = Device("Test CA RA", key=rsa_key(1), signer=identity.certificate, signer_key=identity.key)
    message = device.message(rsa_world.shown, device.csr(None), message_type=MessageType.RENEWAL_REQ)

    outcome = device.read(rsa_world.respond(message), rsa_world.shown)

    assert isinstance(outcome, Failure)
    assert rsa_world.issued() == []


DUE = NOW + RA_VALIDITY - OVERLAP


@pytest.mark.proves("RA-08")
def test_a_new_ra_certificate_is_made_in_time_and_shown_once_it_has_settled(rsa_world: RaWorld) -> None:
    """RA-08: every process has it long before the first client can have seen it."""
    first = rsa_world.shown

    seen = {}
    for name, moment in {
        "before": DUE - LOOK,
        "made": DUE,
        "settling": DUE + SETTLING - timedelta(minutes=10),
        "settled": DUE + SETTLING,
        "ended": NOW + RA_VALIDITY + timedelta(seconds=1),
    }.items():
        seen[name] = [one.certificate for one in rsa_world.identities.at(moment)]

    second = seen["made"][-1]
    assert second.der != first.der
    assert seen["before"] == [first]
    assert seen["made"] == seen["settling"] == [first, second]
    assert seen["settled"] == [second, first]
    assert seen["ended"] == [second]
    assert second.not_valid_after == DUE + RA_VALIDITY


@pytest.mark.proves("RA-05", "RA-08")
@pytest.mark.parametrize("moment", [DUE, DUE + SETTLING], ids=["new one made", "new one shown"])
@pytest.mark.parametrize("which", [0, 1])
def test_either_ra_certificate_is_answered_by_itself(
    rsa_world: RaWorld, device: Device, moment: datetime, which: int
) -> None:
    """RA-08: a client that holds either believes that one, and no other, as the signer of the reply."""
    rsa_world.now = moment
    rsa_world.identities.at(moment)
    ra = rsa_world.identities.at(moment)[which].certificate
    device.signing_time = moment

    certificate_of(rsa_world.ask(device, ra))


def test_an_ra_certificate_that_has_ended_opens_nothing(rsa_world: RaWorld, device: Device) -> None:
    """A key need not be kept for ever because somebody once encrypted to it."""
    first = rsa_world.shown
    rsa_world.now = NOW + RA_VALIDITY + timedelta(days=1)
    rsa_world.identities.at(rsa_world.now)

    outcome = device.read(rsa_world.respond(device.message(first)), rsa_world.shown)

    assert isinstance(outcome, Failure)
    assert rsa_world.issued() == []


def test_a_broken_envelope_is_refused_while_there_are_two_ra_certificates(
    rsa_world: RaWorld, device: Device
) -> None:
    """Whom it is for cannot be said then, and the one that is shown answers."""
    rsa_world.now = DUE + SETTLING
    rsa_world.identities.at(DUE)
    rsa_world.now = DUE + SETTLING + LOOK
    shown = rsa_world.shown
    message = device.message(rsa_world.ca)

    assert len(rsa_world.identities.at(rsa_world.now)) == 2
    assert isinstance(device.read(rsa_world.respond(message), shown), Failure)


def test_a_new_ca_has_its_own_ra_at_once(folder: CaFolder) -> None:
    """RA-02: an RA certificate of another CA chains to nothing that is shown; it still opens."""
    old = RegistrationAuthority(folder, authority_of(rsa_key(0)), NOW).at(NOW)[0]
    moment = NOW + timedelta(days=1)

    new, *others = RegistrationAuthority(folder, authority_of(rsa_key(3)), moment).at(moment)

    assert new.certificate.spki != old.certificate.spki
    assert [one.certificate.der for one in others] == [old.certificate.der]


def test_an_ra_that_could_not_last_longer_is_not_renewed() -> None:
    """It ends with its CA, and another would too."""
    authority = authority_of(rsa_key(0), years=1)
    made = make_ra_certificate(authority, rsa_key(5), NOW)

    assert made.not_valid_after == authority.not_after
    assert not is_renewal_due(made, authority.certificate, authority.not_after)
    assert is_renewal_due(None, authority.certificate, NOW)


def test_a_clock_that_goes_back_makes_no_ra(folder: CaFolder) -> None:
    """A host without a battery starts years too early, and finds the right time a minute later."""
    authority = authority_of(rsa_key(0))
    RegistrationAuthority(folder, authority, NOW)
    early = NOW - timedelta(days=5000)

    identities = RegistrationAuthority(folder, authority, early)

    assert len(identities.at(early + LOOK)) == 1
    assert folder.ra_numbers() == [1]


def test_a_clock_that_was_years_ahead_leaves_no_gap(rsa_world: RaWorld) -> None:
    """What it made is not valid for years, and what there is ends before."""
    for ahead in (timedelta(days=3000), timedelta(0), RA_VALIDITY - OVERLAP, timedelta(days=800)):
        rsa_world.now = NOW + ahead + SETTLING
        # Twice, for what is made is shown once it has settled.
        _ = rsa_world.shown
        rsa_world.now += SETTLING

        shown = rsa_world.shown

        assert shown.not_valid_before <= rsa_world.now < shown.not_valid_after


def test_a_process_whose_clock_was_ahead_finds_what_another_made(folder: CaFolder) -> None:
    """It looks every minute, also after its clock was set back."""
    authority = authority_of(rsa_key(0))
    one = RegistrationAuthority(folder, authority, NOW)
    one.at(NOW + timedelta(days=300))
    due = NOW + RA_VALIDITY - OVERLAP + LOOK
    RegistrationAuthority(folder, authority, due)

    assert [len(one.at(NOW + timedelta(days=300))), len(one.at(NOW + timedelta(days=299)))] == [1, 2]


def test_when_all_have_ended_the_newest_has_to_do() -> None:
    """A server whose folder could not be written for years says something all the same."""
    authority = authority_of(rsa_key(0))
    made = [make_ra_certificate(authority, rsa_key(5), NOW + timedelta(days=days)) for days in (9, 0)]

    assert order_certificates(made, authority.certificate, NOW + 2 * RA_VALIDITY) == made[:1]


def test_processes_that_start_at_once_make_one_ra(folder: CaFolder) -> None:
    """Several workers and the command line find that it is due at one moment."""
    authority, barrier = authority_of(rsa_key(0)), Barrier(6)
    found: list[bytes] = []

    def start() -> None:
        barrier.wait()
        found.append(RegistrationAuthority(folder, authority, NOW).at(NOW)[0].certificate.der)

    threads = [Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 6
    assert len(set(found)) == 1
    assert folder.ra_numbers() == [1]


def test_one_process_finds_what_another_made(folder: CaFolder) -> None:
    """Each looks once a minute, and a new certificate settles for an hour."""
    authority = authority_of(rsa_key(0))
    one, other = (RegistrationAuthority(folder, authority, NOW) for _ in range(2))

    made = one.at(DUE)[-1].certificate

    assert other.at(DUE + LOOK)[-1].certificate.der == made.der
    assert folder.ra_numbers() == [2, 1]


def test_a_key_that_was_left_alone_gets_its_certificate(folder: CaFolder) -> None:
    """A process that was killed between the two files costs nothing."""
    write_private(folder.ra_key(1), encode_private_key(rsa_key(5)))

    identity = RegistrationAuthority(folder, authority_of(rsa_key(0)), NOW).at(NOW)[0]

    assert identity.key.private_numbers() == rsa_key(5).private_numbers()


def test_a_key_that_opens_nothing_any_more_is_removed(folder: CaFolder) -> None:
    """A month after its end, at the next start: it can only be stolen by then."""
    authority = authority_of(rsa_key(0))
    RegistrationAuthority(folder, authority, NOW)
    long_after = NOW + RA_VALIDITY + timedelta(days=31)
    RegistrationAuthority(folder, authority, long_after)

    RegistrationAuthority(folder, authority, long_after)

    assert folder.ra_numbers() == [2]
    assert not folder.ra_key(1).exists()


def test_a_renewal_that_fails_is_logged_and_the_ra_goes_on(
    folder: CaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full for a day must not end a service; there are three months to mend it."""
    authority = authority_of(rsa_key(0))
    identities = RegistrationAuthority(folder, authority, NOW)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, captured_log("app.registration") as lines:
        patched.setattr("app.registration.write_private", full)
        during = identities.at(DUE)
    after = identities.at(DUE + LOOK)

    assert len(during) == 1
    assert "cannot be renewed" in lines[0]
    assert len(after) == 2


SPOILT: dict[str, tuple[str, bytes, type[Exception], str]] = {
    "another key": ("ra-1.key", encode_private_key(rsa_key(6)), CaUnusable, "does not belong"),
    "an EC key": (
        "ra-1.key",
        encode_private_key(ec.generate_private_key(ec.SECP256R1())),
        CaUnusable,
        "not RSA",
    ),
    "no key": ("ra-1.key", b"", KeyUnusable, "cannot be read"),
    "no certificate": ("ra-1.pem", b"", CaUnusable, "not a PEM certificate"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_file_of_the_ra_that_is_of_no_use_is_named(folder: CaFolder, case: str) -> None:
    """Made anew in silence it would hide what was lost."""
    spoilt, content, kind, words = SPOILT[case]
    authority = authority_of(rsa_key(0))
    RegistrationAuthority(folder, authority, NOW)
    (folder.path / spoilt).write_bytes(content)

    with pytest.raises(kind) as refusal:
        RegistrationAuthority(folder, authority, NOW)

    assert str(refusal.value).startswith(f"{folder.path / spoilt}: ")
    assert words in str(refusal.value)


def test_a_ca_that_has_ended_certifies_no_ra() -> None:
    """RFC 5280 6.1.3: a chain with an ended CA in it holds nowhere."""
    authority = authority_of(rsa_key(0), years=1)

    with pytest.raises(OperationNotOffered):
        make_ra_certificate(authority, rsa_key(5), authority.not_after)


def test_check_ra_returns_the_key_that_fits() -> None:
    """It is an RSA key from there on."""
    made = make_ra_certificate(authority_of(rsa_key(0)), rsa_key(5), NOW)

    assert check_ra(made, rsa_key(5)) is rsa_key(5)


INITS = {
    "rsa": ("--ra",),
    "rsa:3072": ("--ra", "--key-type", "rsa:3072"),
    "ec:p256": ("--key-type", "ec:p256"),
    "ec:p384": ("--ra", "--key-type", "ec:p384"),
}


@pytest.mark.proves("RA-01", "RA-03", "RA-05")
@pytest.mark.parametrize("options", INITS.values(), ids=INITS.keys())
def test_our_client_enrols_with_what_init_made(tmp_path: Path, options: tuple[str, ...]) -> None:
    """RFC 8894 4.2.1.2: the RA and its issuer in one bundle, by several workers at once."""
    data, out = tmp_path / "data", tmp_path / "out"
    did("init", "--data", data, "--subject", "CN=Pilot CA", *options)
    shown = json.loads(did("ca", "show", "--json", "--data", data))
    listen = ("--listen", "127.0.0.1:0", "--workers", "2")

    with serving("--data", data, *listen, log=tmp_path / "log") as service:
        challenge = did("challenge", "new", "--data", data)
        asking = ("--subject", "CN=ipad-17", "--challenge", "-", "--fingerprint", shown["sha256"])
        did("enroll", service.url, *asking, "--out", out, stdin=challenge)
        media_type, body = service.get("/scep?operation=GetCACert")
        _, bare = service.get("/ca.cer")

    assert media_type == "application/x-x509-ca-ra-cert"
    ra, ca = decode_ca_certificates(body)
    assert (ra.fingerprint(), ca.fingerprint()) == (shown["ra"][0]["sha256"], shown["sha256"])
    assert bare == ca.der
    assert shown["ra"][0]["key_usage"] == ["digitalSignature", "keyEncipherment"]
    assert shown["key_usage"] == ["cRLSign", "keyCertSign"]
    issued = x509.load_pem_x509_certificate((out / "cert.pem").read_bytes())
    assert issued.issuer.rfc4514_string() == "CN=Pilot CA"
    issued.verify_directly_issued_by(x509.load_der_x509_certificate(ca.der))
    assert service.code == 0
    if os.name != "nt":
        keys = [data / "ca" / "ca.key", data / "ca" / "ra-1.key"]
        assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


@pytest.mark.proves("RA-08")
def test_a_start_renews_what_is_due_and_shows_the_old_one_meanwhile(tmp_path: Path) -> None:
    """RA-08, with real processes: requests to either are answered, whichever worker they reach."""
    data = DataFolder(tmp_path / "data")
    did("init", "--data", data.path, "--ra")
    _replace_ra(data, datetime.now(UTC) - RA_VALIDITY + timedelta(days=30))

    with serving(
        "--data", data.path, "--listen", "127.0.0.1:0", "--workers", "2", log=tmp_path / "log"
    ) as service:
        shown = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])[0]
        challenge = did("challenge", "new", "--data", data.path)
        asking = ("--subject", "CN=ipad-17", "--challenge", "-", "--out", tmp_path / "out")
        did("enroll", service.url, *asking, stdin=challenge)

    files = data.current_ca
    first, second = (
        x509.load_pem_x509_certificate(files.ra_certificate(number).read_bytes()) for number in (1, 2)
    )
    assert shown.serial_number == first.serial_number
    assert second.not_valid_after_utc > first.not_valid_after_utc + timedelta(days=600)
    listed = json.loads(did("ca", "show", "--json", "--data", data.path))["ra"]
    assert [int(one["serial"], 16) for one in listed] == [first.serial_number, second.serial_number]
    assert "former or coming" in did("ca", "show", "--data", data.path)


def test_a_lost_ra_key_is_named(tmp_path: Path) -> None:
    """Clients hold its certificate: that it is gone must be said, not covered up."""
    did("init", "--data", tmp_path, "--ra")
    DataFolder(tmp_path).current_ca.ra_key(1).unlink()

    done = run("serve", "--data", tmp_path, "--listen", "127.0.0.1:0")

    assert done.code == 2
    assert "ra-1.key" in done.err
    assert "Traceback" not in done.err


def test_a_lost_ra_of_an_ec_ca_is_made_anew(tmp_path: Path) -> None:
    """With both files gone there is nothing that could be brought back but from a backup."""
    did("init", "--data", tmp_path / "data", "--key-type", "ec:p256")
    folder = DataFolder(tmp_path / "data")
    folder.current_ca.ra_key(1).unlink()
    folder.current_ca.ra_certificate(1).unlink()

    with serving("--data", folder.path, "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        bundle = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])

    assert len(bundle) == 2


def test_a_lost_ra_certificate_is_made_anew_for_its_key(tmp_path: Path) -> None:
    """Half an RA is no reason to let the CA's key answer strangers; and the key opens what it did."""
    did("init", "--data", tmp_path / "data", "--ra")
    folder = DataFolder(tmp_path / "data")
    lost = x509.load_pem_x509_certificate(folder.current_ca.ra_certificate(1).read_bytes())
    folder.current_ca.ra_certificate(1).unlink()

    with serving("--data", folder.path, "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        ra, _ = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])

    assert x509.load_der_x509_certificate(ra.der).public_key() == lost.public_key()
    assert "new RA certificate" in service.log


def _replace_ra(folder: DataFolder, made_at: datetime) -> None:
    """Put CA and RA certificates in place as they would be had they been made at *made_at*."""
    key = rsa_key(0)
    ca = Certificate.load(make_ca_certificate(Name.from_text("CN=Old CA"), key, 10, made_at, behind_ra=True))
    # The database takes the CA that it is opened with for the one that it was made for.
    run_sql(sqlite_of(folder.path), "DELETE FROM authority")
    folder.ca_key.write_bytes(encode_private_key(key))
    folder.ca_certificate.write_bytes(encode_pem(ca))
    ra_key, ra_certificate = make_registration(Authority(ca, key), made_at)
    folder.current_ca.ra_key(1).write_bytes(ra_key)
    folder.current_ca.ra_certificate(1).write_bytes(ra_certificate)
