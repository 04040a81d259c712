"""Stores and keys in front of others, for tests that come between or look on."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from app.http.round_keys import RoundKey
from ca.ports import Repository, Store

T = TypeVar("T")


class StoreBefore(Store):
    """Passes everything on to *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def transact(self, work: Callable[[Repository], T]) -> T:
        return self._store.transact(work)

    def read(self, work: Callable[[Repository], T]) -> T:
        return self._store.read(work)

    @property
    def one_at_a_time(self) -> bool:
        return self._store.one_at_a_time

    def glance(self, work: Callable[[Repository], T]) -> T:
        return self._store.glance(work)


class Watched(StoreBefore):
    """A store, and whether a transaction was open at each use of a key."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._open = False
        self.used: list[bool] = []
        self.transactions = 0

    def transact(self, work: Callable[[Repository], T]) -> T:
        return self._store.transact(partial(self._inside, work))

    def read(self, work: Callable[[Repository], T]) -> T:
        return self._store.read(partial(self._inside, work))

    def _inside(self, work: Callable[[Repository], T], repository: Repository) -> T:
        self._open, self.transactions = True, self.transactions + 1
        try:
            return work(repository)
        finally:
            self._open = False

    def note(self) -> None:
        self.used.append(self._open)


class Noting(RoundKey):
    """The key itself, which tells of each use. In the round it is the inner one."""

    def __init__(self, key: rsa.RSAPrivateKey, note: Callable[[], None]) -> None:
        super().__init__(key)
        self._note = note

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:
        self._note()
        return self._key.decrypt(ciphertext, padding)

    def sign(self, data: bytes, padding: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        self._note()
        return self._key.sign(data, padding, algorithm)
