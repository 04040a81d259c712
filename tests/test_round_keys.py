"""The SCEP key in a round of requests: all come to where they need it, and then all use it."""

from copy import copy, deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.doctor.asking import impersonate
from app.http.round_keys import RoundIdentities, RoundKey
from app.http.rounds import Rounds
from ca.asn1 import writer
from ca.identity import ScepIdentity
from ca.scep import codec
from ca.scep.messages import MessageType
from tests.watching import Noting, Watched
from tests.world import Device, World, certificate_of, rsa_key

T = TypeVar("T")
KINDS = (MessageType.PKCS_REQ, MessageType.CERT_POLL, MessageType.GET_CERT, MessageType.GET_CRL)
OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)


def test_a_round_uses_its_key_together() -> None:
    """What is done before and after is done in a row, and not fetched from memory for each anew."""
    rounds, key = Rounds(), rsa_key(0)
    notes: list[str] = []
    shared = RoundKey(Noting(key, lambda: notes.append("used")))
    sealed = key.public_key().encrypt(b"content key", OAEP)

    def ask() -> None:
        notes.append("came")
        assert shared.decrypt(sealed, OAEP) == b"content key"
        notes.append("went")

    for _ in range(3):
        rounds.add(ask)
    rounds.run()

    assert notes == ["came"] * 3 + ["used"] * 3 + ["went"] * 3


def test_who_cannot_be_helped_steps_aside_like_the_others() -> None:
    """Else the order of the answers would tell whose envelope did not open (RFC 3218)."""
    rounds, key = Rounds(), rsa_key(0)
    notes: list[str] = []
    shared = RoundKey(Noting(key, lambda: notes.append("used")))
    sealed = key.public_key().encrypt(b"content key", OAEP)

    def ask(octets: bytes) -> None:
        try:
            shared.decrypt(octets, OAEP)
            notes.append("opened")
        except ValueError:
            notes.append("not opened")

    for octets in (bytes(256), sealed):
        rounds.add(partial(ask, octets))
    rounds.run()

    assert notes == ["used", "used", "not opened", "opened"]


def test_it_signs_as_the_key_does() -> None:
    """PKCS #1 v1.5 is the same each time."""
    key = rsa_key(0)
    scheme, digest = padding.PKCS1v15(), SHA256()

    assert RoundKey(key).sign(b"reply", scheme, digest) == key.sign(b"reply", scheme, digest)


def test_it_is_the_key_in_everything_else() -> None:
    """Whoever asks for its size, or writes it down, gets the same."""
    key = rsa_key(0)
    shared, form = RoundKey(key), (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    assert shared.key_size == key.key_size
    assert shared.public_key() == key.public_key()
    assert shared.private_numbers() == key.private_numbers()
    assert shared.private_bytes(*form) == key.private_bytes(*form)
    assert copy(shared) is shared is deepcopy(shared)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)
@pytest.mark.parametrize("opens", [True, False], ids=["opens", "does not open"])
def test_no_transaction_is_open_where_the_key_is_used(world: World, kind: MessageType, opens: bool) -> None:
    """Who steps aside with one open has the next of the round wait for it: in the same thread, for ever."""
    issued, device = certificate_of(world.enrol(Device())), Device("ipad-18", rsa_key(2))
    named = codec.encode_issuer_and_serial_number(world.ca.subject_der, issued.serial_number)
    asked = writer.sequence(world.ca.subject_der, device.certificate().subject_der)
    payload = {MessageType.PKCS_REQ: device.csr(), MessageType.CERT_POLL: asked}.get(kind, named)
    store = Watched(world.store)
    identity = RoundIdentities(ScepIdentity(world.ca, Noting(world.key, store.note)))
    world.responder = replace(world.responder, identity=identity, store=store)
    recipient = world.ca if opens else impersonate(world.ca, rsa_key(3))

    world.respond(device.message(recipient, payload, message_type=kind, transaction_id="t2"))

    assert store.transactions
    assert store.used == [False, False]


def test_identities_are_wrapped_once_and_follow_a_renewal(world: World) -> None:
    """A registration authority's change with time."""
    first, second = ScepIdentity(world.ca, rsa_key(0)), ScepIdentity(world.ca, rsa_key(1))
    there = [first]

    class Changing:
        def at(self, _: datetime) -> tuple[ScepIdentity, ...]:
            return tuple(there)

    identities, now = RoundIdentities(Changing()), datetime.now(UTC)
    before = identities.at(now)
    assert identities.at(now) is before
    there.insert(0, second)

    after = identities.at(now)

    assert [one.key.public_key() for one in before] == [first.key.public_key()]
    assert [one.key.public_key() for one in after] == [one.key.public_key() for one in (second, first)]
