"""How each thing is asked in the soak, and what its reply has to be."""

import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.messages import Target
from benchmarks.soaking.desk import REASON, Desk
from benchmarks.soaking.device import Device
from benchmarks.soaking.kinds import Kind
from benchmarks.soaking.revocation import check_crl, check_ocsp
from benchmarks.soaking.wire import GUESSER, Wrong, exchange, insist
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Failure, MessageType, Pending, Transaction

# So many devices are known at a time, and so many requests wait for approval.
_KNOWN, _WAITING = 500, 20
# A revocation has to show by then.
_SHOWN_SECONDS = 5.0


@dataclass
class _Request:
    """A request that waits for the administrator; *granted* once there is a decision."""

    device: Device
    granted: bool | None = None


@dataclass
class Fleet:
    """Devices, and who looks after them. Any thread may call; nobody else has what one has taken.

    *by_hand* is where every request waits for approval.
    """

    target: Target
    by_hand: Target
    desk: Desk
    keys: list[rsa.RSAPrivateKey]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _devices: list[Device] = field(default_factory=list)
    _waiting: deque[_Request] = field(default_factory=deque)
    _decided: deque[_Request] = field(default_factory=deque)
    _revoked: deque[tuple[float, x509.Certificate]] = field(default_factory=lambda: deque(maxlen=50))

    def act(self, kind: Kind) -> float:
        """Do one thing and check what comes of it; the seconds between request and reply.

        Raises:
            Wrong: It is not what it has to be.

        """
        actions: dict[Kind, Callable[[], float]] = {
            Kind.ENROL: self._enrol,
            Kind.RENEW: self._renew,
            Kind.HOLD: self._hold,
            Kind.POLL: self._poll,
            Kind.GET_CA: self._get_ca,
            Kind.CRL: lambda: check_crl(self.target, self._shown()),
            Kind.OCSP_POST: lambda: self._ocsp(post=True),
            Kind.OCSP_GET: lambda: self._ocsp(post=False),
            Kind.GUESS: self._guess,
            Kind.DAMAGED: self._damaged,
            Kind.DECIDE: self._decide,
            Kind.REVOKE: self._revoke,
        }
        return actions[kind]()

    def _enrol(self) -> float:
        device = self._new(self.target)
        outcome, seconds = device.enrol(self.target.challenge)
        device.take(outcome)
        self._keep(device)
        return seconds

    def _renew(self) -> float:
        device = self._take()
        before = device.serial
        outcome, seconds = device.renew()
        device.take(outcome)
        if device.serial == before:
            raise Wrong("the renewal brought the same certificate")
        self._keep(device)
        return seconds

    def _hold(self) -> float:
        device = self._new(self.by_hand)
        outcome, seconds = device.enrol("")
        if not isinstance(outcome, Pending):
            raise Wrong(f"not held: {outcome}")
        self._waiting.append(_Request(device))
        return seconds

    def _poll(self) -> float:
        """Ask for a request that was decided on, if there is one, else for the one that waits longest."""
        request = self._first(self._decided, self._waiting)
        if request is None:
            return self._hold()
        outcome, seconds = request.device.poll()
        match request.granted, outcome:
            case None, Pending():
                self._waiting.append(request)
            case True, _:
                request.device.take(outcome)
            case False, Failure(text=text) if REASON in text:
                pass
            case granted, _:
                raise Wrong(f"{outcome} though the decision was {granted}")
        return seconds

    def _get_ca(self) -> float:
        path = f"{self.target.path}?operation=GetCACert"
        reply = insist(exchange(self.target.address, path), "application/x-x509-ca-cert")
        if decode_ca_certificates(reply.body)[0].der != self.target.ca.der:
            raise Wrong("another CA certificate")
        return reply.seconds

    def _ocsp(self, *, post: bool) -> float:
        shown = self._shown()
        if shown and random.random() < 0.2:
            return check_ocsp(self.target, random.choice(shown), revoked=True, post=post)
        device = self._take()
        # Nobody revokes it meanwhile, as it is taken.
        try:
            return check_ocsp(self.target, device.certificate, revoked=False, post=post)
        finally:
            self._keep(device)

    def _guess(self) -> float:
        """From another address: who guesses has all passwords refused for a while, and nobody else has."""
        outcome, seconds = self._new(self.target).enrol(secrets.token_hex(8), GUESSER)
        if not isinstance(outcome, Failure):
            raise Wrong(f"a wrong challenge password, and not refused: {outcome}")
        return seconds

    def _damaged(self) -> float:
        """A message that was cut off; it names no transaction, and so has no CertRep."""
        device, transaction = (
            self._new(self.target),
            Transaction(secrets.token_hex(20), secrets.token_bytes(16)),
        )
        message = device.message(MessageType.PKCS_REQ, b"", transaction)
        path = f"{self.target.path}?operation=PKIOperation"
        reply = exchange(self.target.address, path, message[: len(message) // 2])
        if reply.status != 400:
            raise Wrong(f"a damaged message, and HTTP {reply.status}")
        return reply.seconds

    def _decide(self) -> float:
        """Of four requests that wait three are approved; nothing where few wait."""
        if len(self._waiting) < _WAITING or (request := self._first(self._waiting)) is None:
            return self._hold()
        started, grant = time.perf_counter(), random.random() < 0.75
        self.desk.decide(request.device.transaction_id, grant=grant)
        self._decided.append(replace(request, granted=grant))
        return time.perf_counter() - started

    def _revoke(self) -> float:
        device = self._take()
        started = time.perf_counter()
        self.desk.revoke(device.serial)
        self._revoked.append((time.monotonic(), device.certificate))
        return time.perf_counter() - started

    def _new(self, target: Target) -> Device:
        return Device(target, random.choice(self.keys))

    def _keep(self, device: Device) -> None:
        with self._lock:
            if len(self._devices) < _KNOWN:
                self._devices.append(device)

    def _take(self) -> Device:
        """One of those known, at random; a new one where there is none."""
        with self._lock:
            if self._devices:
                return self._devices.pop(random.randrange(len(self._devices)))
        device = self._new(self.target)
        device.take(device.enrol(self.target.challenge)[0])
        return device

    @staticmethod
    def _first(*queues: deque[_Request]) -> _Request | None:
        for queue in queues:
            with suppress(IndexError):
                return queue.popleft()
        return None

    def _shown(self) -> list[x509.Certificate]:
        """Those that were revoked long enough ago for everybody to know."""
        latest = time.monotonic() - _SHOWN_SECONDS
        return [certificate for at, certificate in list(self._revoked) if at < latest]
