"""What is remembered of an exchange: one log line, one record. Never a challenge, a key or a CSR body."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime

from ca.deviations import Deviations
from ca.errors import ChallengeReused, ScepError
from ca.laps import Laps, Stage
from ca.ports import AuditEntry, Notification, Peer, Repository, RequestRecord, StoredCertificate
from ca.profiles import Profile
from ca.scep.messages import EnrolmentRequest, MessageType, Transaction
from ca.tally import BREACH, REFUSED, RefusalTally

# A poll or a query is answered by what was decided before.
_DECIDED = {MessageType.PKCS_REQ.label: "enrol", MessageType.RENEWAL_REQ.label: "renew"}
_BARE = re.compile(r"[\w.:/+=@*,-]+", re.ASCII)


# Of one value: long enough for every honest one.
MAX_CHARACTERS = 500


@dataclass(slots=True)
class Exchange:
    """One PKIOperation from the moment its transaction is known, filled in along the road."""

    profile: Profile
    peer: Peer
    received_at: datetime
    transaction: Transaction
    deviations: Deviations
    laps: Laps
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
    # The certificate by which another CA of this server has granted the very request already.
    granted_before: StoredCertificate | None = None
    # The validator that allowed it, and what that noted.
    validator: str = ""
    note: str = ""
    # The CSR, where that validator is told what comes of it.
    announced: bytes = b""
    # What the linter objects to, and the serial numbers of what was revoked to make room.
    lint: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    # The CA that the message is for, where that is not the one of today.
    other_ca: str = ""
    # What decided it, as in the audit log.
    rule: str = ""
    is_breach: bool = False
    # What was asked, once that is proven; it holds the challenge password.
    request: EnrolmentRequest | None = field(default=None, repr=False)
    # How far it came: the last stage, or the one in which it was refused.
    stage: Stage = Stage.REPLY

    def anew(self) -> "Exchange":
        """The exchange without what an undone attempt noted (see :meth:`ca.ports.Store.transact`)."""
        self.status, self.serial, self.renewal_of, self.challenge_id = "refused", None, None, None
        self.dropped, self.keys, self.granted_before = (), (b"", b""), None
        self.rule, self.revoked = "", ()
        return self

    def add_note(self, text: str) -> None:
        """Add *text* to what the validator noted, once, however often the decision is made anew."""
        if text not in self.note:
            self.note = f"{self.note}; {text}" if self.note else text

    def issued(self, certificate: StoredCertificate, *, status: str = "issued") -> None:
        """Note the certificate that the exchange ends with."""
        self.status = status
        self.serial = certificate.serial
        self.subject = certificate.subject

    def held(self, subject: str) -> None:
        """Note that a person decides, now or at an earlier arrival of the same request."""
        self.status = "pending"
        self.subject = subject

    def superseded(self, serial: str) -> None:
        """Note a certificate that is revoked to make room for the one that is issued."""
        self.revoked = (*self.revoked, serial)

    def notification(self, certificate: bytes = b"") -> Notification:
        """What the validator that allowed it is told: the certificate, or why there is none."""
        return Notification(
            validator=self.validator,
            kind="issued" if certificate else "failed",
            profile=self.profile.name,
            transaction_id=self.transaction.transaction_id,
            csr=self.announced,
            certificate=certificate,
            reason="" if certificate else self.reason,
        )

    def refused(self, refusal: ScepError) -> None:
        """Note why it ends without one."""
        self.status = "refused"
        self.stage = self.laps.reached
        # That was undone with the rest.
        self.revoked = ()
        self.fail_info = refusal.fail_info.label
        self.reason = str(refusal)
        self.detail = refusal.detail
        self.rule = type(refusal).__name__
        self.is_breach = isinstance(refusal, ChallengeReused)

    @property
    def is_decision(self) -> bool:
        """Whether it is an entry of the audit log; one that was told before is none."""
        asked_anew = self.message_type in _DECIDED and self.status != "repeated"
        # A poll may have what one CA granted granted once more by another.
        return asked_anew or self.status == "issued"

    def audit(self) -> AuditEntry:
        """The entry for the audit log, of an enrolment that was just decided on."""
        outcome = {"pending": "held", "refused": BREACH if self.is_breach else REFUSED}
        return AuditEntry(
            at=self.received_at,
            actor=f"device {self.peer.remote}",
            action="renew" if self.renewal_of else _DECIDED.get(self.message_type, "answer"),
            target=self.subject,
            outcome=outcome.get(self.status, self.status),
            rule=self.rule,
            detail=log_line(
                serial=self.serial,
                profile=self.profile.name,
                transaction_id=self.transaction.transaction_id,
                fail_info=self.fail_info,
                reason=self.reason,
                detail=self.detail,
                note=self.note,
                lint=",".join(self.lint),
                revoked=",".join(self.revoked),
            ),
        )

    def write_audit(self, repository: Repository, tally: RefusalTally) -> None:
        """Write the decision on an enrolment into the audit log, in the transaction that makes it."""
        if self.is_decision:
            for entry in tally.admit(self.audit()):
                repository.add_audit(entry)

    def record(self) -> RequestRecord:
        """The record to keep."""
        return RequestRecord(
            received_at=self.received_at,
            peer=self.peer,
            transaction_id=self.transaction.transaction_id,
            message_type=self.message_type,
            profile=self.profile.name,
            status=self.status,
            # Of what was issued the whole, which a poll may name again.
            subject=cut(self.subject) if self.status == "refused" else self.subject,
            serial=self.serial,
            renewal_of=self.renewal_of,
            request_key=self.keys[0],
            transaction_key=self.keys[1],
            challenge_id=self.challenge_id,
            fail_info=self.fail_info,
            reason=cut(f"{self.reason} ({self.detail})" if self.detail else self.reason),
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
            validator=self.validator,
            note=self.note,
            lint=",".join(self.lint),
            revoked=",".join(self.revoked),
            dropped=",".join(self.dropped),
            deviations=",".join(self.deviations.kinds()),
            peer=self.peer.remote,
            client=self.peer.client,
            ms=f"{milliseconds:.1f}",
        )


def log_line(**fields: object) -> str:
    """``key=value`` pairs, empty ones left out; what could break the line is quoted and escaped.

    What is long is cut: a stranger may have written it.
    """
    return " ".join(
        f"{key}={_quoted(cut(str(value)))}" for key, value in fields.items() if value not in ("", None)
    )


def cut(text: str) -> str:
    """*text* as long as it may be where strangers' words are kept, with an ellipsis where it was longer."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}\u2026"


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else json.dumps(text)
