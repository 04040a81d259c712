"""What a server of tests/faults answers, octet by octet, and what ``inspect`` finds in it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.client.raw import RawAnswer, exchange
from app.diagnosis.inspection import inspect, verdicts
from app.diagnosis.knowledge import knowledge
from app.diagnosis.opener import Opener
from ca.x509.certificate import Certificate
from tests.faults.server import Running
from tests.world import Device, rsa_key, self_signed, spki

_POST = "POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: ca\r\nConnection: close\r\n"


def new_device() -> Device:
    """One whose signer's certificate has another subject than its CSR, as that of an iPhone has."""
    return Device(signer=self_signed("3F2504E0-4F89-11D3-9A0C-0305E82C3301", rsa_key(1)), signing_time=None)


@dataclass(frozen=True, slots=True)
class Asking:
    """A device at a server."""

    server: Running
    device: Device = field(default_factory=new_device)

    def answer(self, what: str) -> RawAnswer:
        """The answer to "GetCACaps" or "GetCACert", or the one that is a "SUCCESS" or a "FAILURE"."""
        if what.startswith("Get"):
            head = f"GET /scep?operation={what} HTTP/1.1\r\nHost: ca\r\nConnection: close\r\n\r\n"
            answer = exchange(self.server.url, head.encode(), what).answer
        else:
            challenge = self.server.challenge if what == "SUCCESS" else "wrong"
            request = self.device.csr(challenge)
            answer = self.send(self.device.message(Certificate.load(self.server.ca), request))
        assert answer is not None, what
        return answer

    def send(self, message: bytes) -> RawAnswer | None:
        """What is answered to a pkiMessage; None where nothing is."""
        kind = f"Content-Type: application/x-pki-message\r\nContent-Length: {len(message)}\r\n\r\n"
        return exchange(self.server.url, (_POST + kind).encode() + message, "PKIOperation").answer

    def found(self, answer: RawAnswer) -> list[str]:
        """What ``inspect`` finds in it, the worst first."""
        key, signer = self.device.key, self.device.certificate()
        opener = Opener(datetime.now(UTC), key, signer, certified=spki(key))
        return [one.finding.id for one in verdicts(inspect(answer.raw, opener), knowledge())]
