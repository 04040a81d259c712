"""An answer taken apart by ``inspect``, and what of it the doctor goes on with."""

from datetime import datetime
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric import rsa

from app.diagnosis.attributes import Role
from app.diagnosis.inspection import inspect
from app.diagnosis.node import Node
from app.diagnosis.opener import Opener
from app.doctor.seen import Exchange
from ca.asn1 import Asn1Error
from ca.scep.messages import PkiStatus
from ca.x509.certificate import Certificate


class Answer:
    """The response of *exchange* as a tree; whatever is missing is empty or None."""

    def __init__(self, exchange: Exchange, now: datetime) -> None:
        self.exchange = exchange
        self._now = now

    @cached_property
    def tree(self) -> Node:
        """What ``inspect`` shows of the whole response, the envelope opened."""
        asked = self.exchange.asked
        key = asked.signer.key if asked and isinstance(asked.signer.key, rsa.RSAPrivateKey) else None
        opener = Opener(self._now, key, asked.signer.certificate if asked else None)
        answer = self.exchange.answer
        return inspect(answer.raw if answer else b"", opener, Role.ANSWER)

    @property
    def is_reply(self) -> bool:
        """Whether it is a CertRep with a status that the RFC has: the server took the message."""
        return self.status is not None

    @property
    def status(self) -> PkiStatus | None:
        """Its pkiStatus."""
        text = self.attribute("pkiStatus")[:1]
        return PkiStatus(text) if text in set(PkiStatus) else None

    @property
    def why(self) -> str:
        """What a refusal says: failInfo and failInfoText, or the HTTP status and the first line."""
        if self.is_reply:
            return ": ".join(filter(None, (self.attribute("failInfo"), self.attribute("failInfoText"))))
        answer = self.exchange.answer
        return answer.said if answer else self.exchange.sent.trouble

    def attribute(self, name: str) -> str:
        """The value of a signed attribute as it is shown: octets in hexadecimal."""
        fields = next((node for node in self.tree.walk() if node.place == "signedAttrs"), None)
        return next((one.value for one in fields.children if one.name == name), "") if fields else ""

    @cached_property
    def issued(self) -> tuple[Certificate, ...]:
        """The certificates in the opened envelope, as they stand there."""
        opened = next((node for node in self.tree.walk() if node.name == "opened"), None)
        return certificates_in(opened) if opened else ()


def certificates_in(node: Node) -> tuple[Certificate, ...]:
    """All certificates inside *node* that can be read, in order."""
    found = []
    for one in node.walk():
        if one.place == "certificate" and one.octets is not None:
            try:
                found.append(Certificate.load(bytes(one.octets)))
            except Asn1Error:
                continue
    return tuple(found)
