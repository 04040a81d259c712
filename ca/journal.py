"""What is remembered of an exchange: one log line, one record. Never a challenge, a key or a CSR body."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime

from ca.deviations import Deviations
from ca.errors import ScepError
from ca.ports import Peer, RequestRecord, StoredCertificate
from ca.profiles import Profile
from ca.scep.messages import Transaction

_BARE = re.compile(r"[\w.:/+=@*,-]+", re.ASCII)


@dataclass(slots=True)
class Exchange:
    """One PKIOperation from the moment its transaction is known, filled in along the road."""

    profile: Profile
    peer: Peer
    received_at: datetime
    transaction: Transaction
    deviations: Deviations
    message_type: str = "unknown"
    subject: str = ""
    status: str = "refused"
    serial: str | None = None
    renewal_of: str | None = None
    challenge_id: int | None = None
    fail_info: str | None = None
    reason: str = ""
    detail: str = ""
    dropped: tuple[str, ...] = ()
    keys: tuple[bytes, bytes] = field(default=(b"", b""))
    # Whether another CA of this server has granted the very request already.
    granted_before: bool = False
    # The CA that the message is for, where that is not the one of today.
    other_ca: str = ""

    def anew(self) -> "Exchange":
        """The exchange without what an undone attempt noted (see :meth:`ca.ports.Store.transact`)."""
        self.status, self.serial, self.renewal_of, self.challenge_id = "refused", None, None, None
        self.dropped, self.keys, self.granted_before = (), (b"", b""), False
        return self

    def issued(self, certificate: StoredCertificate, *, status: str = "issued") -> None:
        """Note the certificate that the exchange ends with."""
        self.status = status
        self.serial = certificate.serial
        self.subject = certificate.subject

    def held(self, subject: str) -> None:
        """Note that a person decides, now or at an earlier arrival of the same request."""
        self.status = "pending"
        self.subject = subject

    def refused(self, refusal: ScepError) -> None:
        """Note why it ends without one."""
        self.status = "refused"
        self.fail_info = refusal.fail_info.label
        self.reason = str(refusal)
        self.detail = refusal.detail

    def record(self) -> RequestRecord:
        """The record to keep."""
        return RequestRecord(
            received_at=self.received_at,
            peer=self.peer,
            transaction_id=self.transaction.transaction_id,
            message_type=self.message_type,
            profile=self.profile.name,
            status=self.status,
            subject=self.subject,
            serial=self.serial,
            renewal_of=self.renewal_of,
            request_key=self.keys[0],
            transaction_key=self.keys[1],
            challenge_id=self.challenge_id,
            fail_info=self.fail_info,
            reason=f"{self.reason} ({self.detail})" if self.detail else self.reason,
            deviations=tuple(self.deviations.kinds()),
        )

    def line(self, milliseconds: float) -> str:
        """The log line: what happened, to whom, why, and what was odd about it."""
        return log_line(
            message=self.message_type,
            outcome=self.status,
            fail_info=self.fail_info,
            reason=self.reason,
            detail=self.detail,
            profile=self.profile.name,
            transaction_id=self.transaction.transaction_id,
            subject=self.subject,
            serial=self.serial,
            renewed_from=self.renewal_of,
            other_ca=self.other_ca,
            challenge=self.challenge_id,
            dropped=",".join(self.dropped),
            deviations=",".join(self.deviations.kinds()),
            peer=self.peer.remote,
            client=self.peer.client,
            ms=f"{milliseconds:.1f}",
        )


def log_line(**fields: object) -> str:
    """``key=value`` pairs, empty ones left out; what could break the line is quoted and escaped."""
    return " ".join(
        f"{key}={_quoted(str(value))}" for key, value in fields.items() if value not in ("", None)
    )


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else json.dumps(text)
