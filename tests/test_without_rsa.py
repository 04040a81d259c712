"""Clients without an RSA key: their replies come under the challenge password (RFC 8894 3.1)."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.client.client import Identity
from app.client.csr import make_csr, make_identity
from ca.algorithms import ciphers
from ca.algorithms.ciphers import AES_128_CBC, AES_128_GCM, Cipher
from ca.algorithms.digests import SHA512
from ca.algorithms.keys import PrivateKey
from ca.algorithms.password import ITERATIONS, sealing_key
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import FailInfo, InvalidReply
from ca.issuing.key_store import generate_key
from ca.pkcs7 import EnvelopedData, SignedData, degenerate, encrypt_with_password, sign
from ca.scep import codec
from ca.scep.codec import attributes, encode_cert_rep
from ca.scep.messages import Failure, MessageType, Outcome, Password, Pending, PkiStatus, Success, Transaction
from ca.scep.oids import MESSAGE_TYPE, PKI_STATUS, RECIPIENT_NONCE, SENDER_NONCE, TRANSACTION_ID
from ca.x509.certificate import Certificate
from tests.command_line import did, run, serving
from tests.interop import peers
from tests.waiting import by_hand, desk
from tests.world import NONCE, NOW, SECRET, Device, World, captured_log, certificate_of, name, rsa_key

KINDS = ("ec:p256", "ec:p384", "ed25519")
ANSWER = Transaction("t1", NONCE)


@dataclass
class Modern:
    """A client whose key signs and cannot decrypt."""

    key: PrivateKey = field(default_factory=lambda: generate_key("ec:p256"))
    cipher: Cipher = AES_128_CBC
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        self.identity = make_identity(name("modern"), self.key)

    def csr(self, challenge: str = SECRET) -> bytes:
        return make_csr(name("modern"), (), self.key, challenge)

    def message(
        self, world: World, payload: bytes, message_type: MessageType = MessageType.PKCS_REQ
    ) -> bytes:
        certificate, key = self.identity.certificate, self.identity.key
        return codec.encode_request(
            message_type, payload, ANSWER, certificate, key, world.ca, cipher=self.cipher, signing_time=NOW
        )

    def read(self, world: World, reply: bytes, challenge: str = SECRET) -> Outcome:
        spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        expected = codec.Expectation(ANSWER, (world.ca,), spki, challenge_password=challenge)
        return codec.decode_cert_rep(
            reply, expected, self.identity.certificate, self.identity.key, Deviations()
        )

    def ask(
        self, world: World, challenge: str = SECRET, message_type: MessageType = MessageType.PKCS_REQ
    ) -> Outcome:
        """Send a request with that challenge password and read the reply by it."""
        reply = world.respond(self.message(world, self.csr(challenge), message_type))
        return self.read(world, reply, challenge)


@pytest.fixture
def client() -> Modern:
    """A client with a key on P-256."""
    return Modern()


def refused(world: World, outcome: Outcome, fail_info: FailInfo) -> Failure:
    assert isinstance(outcome, Failure)
    assert outcome.fail_info is fail_info
    assert world.issued() == []
    return outcome


@pytest.mark.proves("R-3.1-c", "C-14")
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_without_rsa_enrols_under_its_challenge_password(world: World, kind: str) -> None:
    """R-3.1-c, C-14: ECDSA (RFC 5754 3.3) and Ed25519 (RFC 8419) sign, and a password decrypts."""
    client = Modern(generate_key(kind))

    issued = certificate_of(client.ask(world))

    assert [one.serial for one in world.issued()] == [f"{issued.serial_number:x}"]


def test_ed25519_signs_over_sha_512(world: World) -> None:
    """RFC 8419 3.1: where there are signed attributes, whatever digest was asked for."""
    client = Modern(generate_key("ed25519"))

    signed = SignedData.load(client.message(world, client.csr()))

    assert signed.signer_info.digest is SHA512
    assert signed.verify().der == client.identity.certificate.der


@pytest.mark.proves("R-3.1-c")
@pytest.mark.parametrize("message_type", [MessageType.PKCS_REQ, MessageType.RENEWAL_REQ])
def test_without_a_challenge_password_nothing_is_issued(
    world: World, client: Modern, message_type: MessageType
) -> None:
    """R-3.1-c: nobody could read the reply, and a certificate that nobody gets would stand for years."""
    outcome = refused(world, client.ask(world, "", message_type), FailInfo.BAD_ALG)

    assert "challenge password" in outcome.text


def test_a_wrong_challenge_password_is_refused_as_everywhere(world: World, client: Modern) -> None:
    """RFC 8894 2.4: that it could open the reply does not make it a good one."""
    refused(world, client.ask(world, "wrong"), FailInfo.BAD_REQUEST)


@pytest.mark.proves("N-080")
def test_a_lost_reply_is_sent_again(client: Modern) -> None:
    """RFC 8894 7.4: the password is in the request, and is spent once."""
    world = World(uses=1)
    message = client.message(world, client.csr())

    first, again = (client.read(world, world.respond(message)) for _ in range(2))

    assert first == again
    assert world.uses_left() == [0]
    world.store.close()


def test_what_takes_long_is_done_elsewhere(world: World, client: Modern, device: Device) -> None:
    """Once the password was found good, and for nobody else: others of the round wait for it otherwise."""
    done: list[object] = []

    def elsewhere(work: Callable[[], object]) -> None:
        done.append(work())

    world.responder = replace(world.responder, elsewhere=elsewhere)
    world.enrol(device)
    client.ask(world, "open sesam")
    before = list(done)

    issued = client.ask(world)

    assert isinstance(issued, Success)
    assert before == []
    assert done == [sealing_key(SECRET)]


def test_a_poll_is_told_to_send_the_request_again(world: World, client: Modern) -> None:
    """RFC 8894 3.3.3: a CertPoll carries no password; the request does, and gets the same answer."""
    first = client.ask(world)

    poll = world.respond(client.message(world, b"", MessageType.CERT_POLL))
    outcome = client.read(world, poll)

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_ALG
    assert "again" in outcome.text
    assert client.ask(world) == first
    assert isinstance(first, Success)


@pytest.mark.parametrize("message_type", [MessageType.GET_CERT, MessageType.GET_CRL])
def test_a_query_is_told_to_come_with_another_key(
    world: World, client: Modern, message_type: MessageType
) -> None:
    """RFC 8894 3.1: it has neither a password nor anything to send again."""
    outcome = client.read(world, world.respond(client.message(world, b"", message_type)))

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_ALG
    assert outcome.text.endswith("ask with an RSA key")


@pytest.mark.parametrize("kind", KINDS)
def test_who_was_pending_goes_on_with_his_key(kind: str) -> None:
    """RFC 8894 5.2: the same request made again, in another process, is known and costs nothing."""
    world, key = by_hand(World(uses=1)), generate_key(kind)
    waiting = Modern(key).ask(world)
    desk(world).approve(1)

    certificate = certificate_of(Modern(key).ask(world))

    assert waiting == Pending()
    assert [one.der for one in world.issued()] == [certificate.der]
    world.store.close()


def renewing(world: World, client: Modern) -> Certificate:
    """Let *client* enrol and sign with what it got; the certificate is due at once."""
    world.profile = replace(world.profile, renewal_days=0)
    old = certificate_of(client.ask(world))
    client.identity = Identity(old, client.key)
    return old


@pytest.mark.proves("R-3.1-c")
@pytest.mark.parametrize("message_type", [MessageType.PKCS_REQ, MessageType.RENEWAL_REQ])
def test_a_renewal_needs_a_challenge_password_too(
    world: World, client: Modern, message_type: MessageType
) -> None:
    """R-3.1-c: the old certificate authorises it, but only a password can seal the reply."""
    old = renewing(world, client)
    world.add_challenge("once more", uses=1)

    without = client.ask(world, "", message_type)
    wrong = client.ask(world, "wrong", message_type)
    issued = certificate_of(client.ask(world, "once more", message_type))

    assert isinstance(without, Failure)
    assert without.fail_info is FailInfo.BAD_ALG
    assert isinstance(wrong, Failure)
    assert wrong.fail_info is FailInfo.BAD_REQUEST
    (renewed,) = [one for one in world.issued() if one.serial == f"{issued.serial_number:x}"]
    assert renewed.renewed_from == f"{old.serial_number:x}"
    assert sorted(map(str, world.uses_left())) == ["0", "None"]


@pytest.mark.proves("N-081")
def test_a_lost_renewal_is_sent_again(world: World, client: Modern) -> None:
    """RFC 8894 7.4: by the same password, though it is spent by now."""
    renewing(world, client)
    world.add_challenge("once more", uses=1)
    message = client.message(world, client.csr("once more"), MessageType.RENEWAL_REQ)

    first, again = (client.read(world, world.respond(message), "once more") for _ in range(2))

    assert first == again
    assert len(world.issued()) == 2


@pytest.mark.parametrize("signer", ["self-signed", "another device's"])
@pytest.mark.parametrize("answered", [False, True], ids=["before its answer", "after it"])
def test_a_captured_request_that_is_signed_anew_gives_nothing_to_guess_at(
    world: World, device: Device, client: Modern, answered: bool, signer: str
) -> None:
    """RFC 8894 7.3: under the password of a request that was captured, its reply would be a way to it."""
    captured = SignedData.load(device.message(world.ca)).data
    if answered:
        certificate_of(world.enrol(device))
    if signer == "another device's":
        world.add_challenge("mine", uses=1)
        client.identity = Identity(certificate_of(client.ask(world, "mine")), client.key)
    before = world.issued()

    reply = world.respond(resigned(client, captured))

    outcome = client.read(world, reply)
    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_ALG
    assert world.issued() == before


def resigned(client: Modern, envelope: bytes) -> bytes:
    """A PKCSReq of *client* around an envelope that it could not open."""
    signed = {
        MESSAGE_TYPE: attributes.text(MessageType.PKCS_REQ),
        TRANSACTION_ID: attributes.text(ANSWER.transaction_id),
        SENDER_NONCE: writer.octet_string(ANSWER.sender_nonce),
    }
    identity = client.identity
    return sign(identity.certificate, identity.key, envelope, attributes=signed, signing_time=NOW)


def test_a_new_key_is_certified_by_the_old_one(world: World, client: Modern) -> None:
    """RFC 8894 2.3: a renewal is signed with the old key, whatever key it asks for."""
    old = renewing(world, client)
    client.key = generate_key("ec:p384")

    assert certificate_of(client.ask(world, SECRET, MessageType.RENEWAL_REQ)).spki != old.spki


def test_an_rsa_client_may_have_an_ec_key_certified_without_a_password(world: World) -> None:
    """RFC 8894 2.3: the reply goes to who signed, and an RSA certificate of ours renews by itself."""
    key = rsa_key(1)
    client = Modern(key)
    old = renewing(world, client)
    client.key = generate_key("ec:p256")

    assert certificate_of(client.ask(world, "")).spki != old.spki


def test_no_log_holds_the_challenge_password(world: World, client: Modern) -> None:
    """Nor does what a traceback would show."""
    with captured_log("ca.responder") as lines:
        client.ask(world)

    expected = codec.Expectation(ANSWER, (), b"", challenge_password=SECRET)
    assert SECRET not in "".join([*lines, repr(Password(SECRET)), repr(expected)])


def openssl(*arguments: str, stdin: bytes) -> bytes:
    peers.require(peers.OPENSSL)
    done = subprocess.run(["openssl", "cms", *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.proves("C-14")
@pytest.mark.parametrize("cipher", [one for one in ciphers.CIPHERS if one is not ciphers.DES_CBC])
def test_openssl_opens_what_we_seal(world: World, cipher: Cipher) -> None:
    """RFC 5652 6.2.4, RFC 3211, RFC 8018: an independent reader, for each cipher that is mirrored."""
    client = Modern(cipher=cipher)

    reply = world.respond(client.message(world, client.csr()))

    envelope = SignedData.load(reply).data
    assert EnvelopedData.load(envelope).cipher is cipher
    opening = ("-decrypt", "-inform", "DER", "-binary", "-pwri_password", SECRET)
    inside = SignedData.load(openssl(*opening, stdin=envelope))
    assert [f"{one.serial_number:x}" for one in inside.certificates] == [world.issued()[0].serial]


@pytest.mark.proves("C-14")
@pytest.mark.parametrize("password", ["open sesame", "Geräte-Kennwort 東京"])
@pytest.mark.parametrize("cipher", ["-des3", "-aes128", "-aes192", "-aes256"])
def test_our_client_opens_what_openssl_sealed(
    world: World, client: Modern, cipher: str, password: str
) -> None:
    """C-14: 2048 iterations, a salt of 8 octets and no PRF are what OpenSSL writes."""
    issued = certificate_of(client.ask(world))
    sealing = ("-encrypt", "-outform", "DER", "-binary", cipher, "-pwri_password", password)
    envelope = openssl(*sealing, stdin=degenerate([issued.der]))

    outcome = client.read(world, cert_rep(world, envelope), password)

    assert certificate_of(outcome).der == issued.der


def test_a_reply_under_another_password_is_no_reply(world: World, client: Modern) -> None:
    """The CA vouches for it all the same, so it is told as unsound and not as a refusal."""
    message = client.message(world, client.csr())

    with pytest.raises(InvalidReply):
        client.read(world, world.respond(message), "another")


def test_a_reply_to_a_certificate_opens_under_no_password(world: World, client: Modern) -> None:
    """A server that encrypts to an RSA key that we do not have has answered somebody else."""
    to_the_ca = encode_cert_rep(
        Success(world.ca.der),
        ANSWER,
        world.ca,
        world.key,
        recipient=world.ca,
        digest=SHA512,
        cipher=AES_128_CBC,
    )

    with pytest.raises(InvalidReply, match="not sealed with a password"):
        client.read(world, to_the_ca)


def test_replies_under_one_password_share_nothing_but_its_derivation(world: World) -> None:
    """A fleet's password is derived once in a process; keys and IVs are fresh (NIST SP 800-132)."""
    one, other = (encrypt_with_password(SECRET, b"the same", AES_128_GCM) for _ in range(2))

    assert one != other
    assert ITERATIONS >= 600_000
    assert {EnvelopedData.load(der).decrypt_with_password(SECRET) for der in (one, other)} == {b"the same"}


def cert_rep(world: World, envelope: bytes) -> bytes:
    """A CertRep SUCCESS around an envelope that somebody else made."""
    signed = {
        MESSAGE_TYPE: attributes.text(MessageType.CERT_REP),
        PKI_STATUS: attributes.text(PkiStatus.SUCCESS),
        TRANSACTION_ID: attributes.text(ANSWER.transaction_id),
        SENDER_NONCE: writer.octet_string(bytes(16)),
        RECIPIENT_NONCE: writer.octet_string(ANSWER.sender_nonce),
    }
    return sign(world.ca, world.key, envelope, attributes=signed)


@pytest.mark.proves("R-3.1-c")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [(), ("--key-type", "ec:p384")], ids=["RSA CA", "EC CA"])
def test_the_command_line_enrols_and_renews_without_rsa(
    tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    """With an EC CA the RA's certificate is the only RSA one there is."""
    data, first, second = tmp_path / "data", tmp_path / "first", tmp_path / "second"
    did("init", "--data", data, *options)
    data.joinpath("scepbox.toml").write_text("[profiles.default]\nrenewal_days = 0\n")

    with serving("--data", data, "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        asking = ("enroll", service.url, "--challenge", "-")
        challenges = [did("challenge", "new", "--data", data) for _ in range(2)]
        did(*asking, "--subject", "CN=modern", "--key-type", kind, "--out", first, stdin=challenges[0])
        renewing = ("--renew", first / "cert.pem", "--key", first / "key.pem", "--out", second)
        bare = run("enroll", service.url, *renewing)
        did(*asking, *renewing, "--rekey", "--key-type", kind, stdin=challenges[1])

    one, other = (
        x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes()) for folder in (first, second)
    )
    assert one.subject == other.subject
    assert one.public_key() != other.public_key()
    assert (bare.code, bare.err.count("\n")) == (2, 1)
    assert "--challenge" in bare.err


def test_a_key_that_is_there_is_certified(tmp_path: Path) -> None:
    """By --key, as openssl wrote it."""
    key = ec.generate_private_key(ec.SECP521R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    (tmp_path / "key.pem").write_bytes(pem)
    did("init", "--data", tmp_path / "data")

    with serving("--data", tmp_path / "data", "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        asking = ("--subject", "CN=modern", "--challenge", "-", "--key", tmp_path / "key.pem")
        challenge = did("challenge", "new", "--data", tmp_path / "data")
        did("enroll", service.url, *asking, "--out", tmp_path, stdin=challenge)

    issued = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    assert issued.public_key() == key.public_key()
