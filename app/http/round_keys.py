"""The server's keys as the requests of a round use them: all together, one after the other.

A private-key operation takes as long as half of everything else that an enrolment needs, and what ran before
it has to come from memory again when it is over. So all of a round go on to where they need the key, then
all use it, and what comes next they do in a row again: it is fetched once for all of them.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding

from app.http.rounds import let_others_catch_up
from ca.algorithms.keys import PrivateKey
from ca.identity import Identities, ScepIdentity


class RoundIdentities:
    """Those of *identities*, with their keys as a round uses them (see :class:`ca.identity.Identities`)."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._last: tuple[tuple[ScepIdentity, ...], tuple[ScepIdentity, ...]] = (), ()

    def at(self, now: datetime) -> tuple[ScepIdentity, ...]:
        """Those that count at *now*, the one that GetCACert shows first."""
        there = self._identities.at(now)
        known, made = self._last
        if there != known:
            made = tuple(ScepIdentity(one.certificate, RoundKey(one.key)) for one in there)
            self._last = there, made
        return made


def round_key(key: PrivateKey) -> PrivateKey:
    """*key* as a round uses it; those of elliptic curves are so fast that nothing is gained."""
    return RoundKey(key) if isinstance(key, rsa.RSAPrivateKey) else key


class RoundKey(rsa.RSAPrivateKey):
    """An RSA key; whoever decrypts or signs with it steps aside before and after, whether or not he can.

    Not within a transaction (see :func:`app.http.rounds.staying`): the others would wait for it.
    """

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:
        """As the key itself does; in a round, after the others have come as far."""
        return _in_turn(lambda: self._key.decrypt(ciphertext, padding))

    def sign(self, data: bytes, padding: AsymmetricPadding, algorithm: Any) -> bytes:
        """As the key itself does; in a round, after the others have come as far."""
        return _in_turn(lambda: self._key.sign(data, padding, algorithm))

    @property
    def key_size(self) -> int:
        """The length of the modulus in bits."""
        return self._key.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public key."""
        return self._key.public_key()

    def private_numbers(self) -> rsa.RSAPrivateNumbers:
        """The numbers that it is made of."""
        return self._key.private_numbers()

    def private_bytes(self, *form: Any, **named_form: Any) -> bytes:
        """The key in writing."""
        return self._key.private_bytes(*form, **named_form)

    def __copy__(self) -> "RoundKey":
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> "RoundKey":
        return self


def _in_turn(work: Callable[[], bytes]) -> bytes:
    let_others_catch_up()
    try:
        return work()
    finally:
        let_others_catch_up()
