"""A CA whose next one is prepared, made the CA of today, or given up, for tests through the Responder."""

from dataclasses import replace
from datetime import datetime, timedelta

from ca.identity import Identities, NoIdentity, ScepIdentity
from ca.issuing.authority import Authority
from ca.issuing.root import make_ca_certificate
from ca.scep.messages import MessageType, Outcome
from ca.succession import UNDER_WAY, OtherCa
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.waiting import by_hand, desk
from tests.world import NOW, Device, World, certificate_of, rsa_key


class RollingWorld(World):
    """A world with a CA 1, which is *first*, and a CA 2, which is *second*."""

    def __init__(self, uses: int | None = None, second_name: str = "CN=Test CA G2") -> None:
        super().__init__(uses=uses)
        self.first = Authority(self.ca, self.key)
        made = make_ca_certificate(Name.from_text(second_name), rsa_key(7), 10, NOW)
        self.second = Authority(Certificate.load(made), rsa_key(7))

    def prepare(self) -> None:
        """CA 2 is the next."""
        coming = self._other(self.second, self.second.not_after)
        self._place(self.first, replace(coming, is_next=True))

    def activate(self) -> None:
        """CA 2 is the CA of today from now on."""
        self._place(self.second, self._other(self.first, self.now + UNDER_WAY))

    def abort(self) -> None:
        """CA 2 is given up."""
        self._place(self.first, self._other(self.second, NOW, NoIdentity()))

    def _other(
        self, authority: Authority, issues_until: datetime, identity: Identities | None = None
    ) -> OtherCa:
        identity = identity or self._identity(authority)
        return OtherCa(authority, identity, (authority.certificate.der,), issues_until)

    def _identity(self, authority: Authority) -> ScepIdentity:
        return ScepIdentity(authority.certificate, rsa_key(0 if authority is self.first else 7))

    def _place(self, today: Authority, other: OtherCa) -> None:
        self.ca = today.certificate
        self.responder = replace(
            self.responder,
            authority=today,
            identity=self._identity(today),
            policy=replace(
                self.responder.policy, issuer=today.certificate, others=(other.authority.certificate,)
            ),
            chain=(today.certificate.der,),
            others=(other,),
        )

    def ask(
        self,
        authority: Authority,
        device: Device,
        payload: bytes | None = None,
        transaction_id: str = "t1",
        message_type: MessageType = MessageType.PKCS_REQ,
    ) -> Outcome:
        """Write to *authority*, and believe no other as the signer of the reply."""
        device.signing_time = self.now
        message = device.message(
            authority.certificate, payload, transaction_id=transaction_id, message_type=message_type
        )
        return device.read(self.respond(message), authority.certificate, transaction_id)

    def get(self, authority: Authority, name: str, transaction_id: str = "") -> Certificate:
        """Have *name* enrol with *authority*."""
        return certificate_of(self.ask(authority, Device(name), transaction_id=transaction_id or name))

    def approve(self, request_id: int) -> Certificate:
        """Have a person approve, beside the server."""
        desk_ = replace(desk(self), others=self.responder.others)
        return Certificate.load(desk_.approve(request_id).certificate.der)

    def by_hand(self) -> None:
        """From now on a person decides."""
        by_hand(self, challenge=False)


def days(count: float) -> timedelta:
    """So many days."""
    return timedelta(days=count)
