"""``webhook``: a service of the administrator's own that decides on requests, and is told what came of them.

The shape is that of step-ca's SCEPCHALLENGE and NOTIFYING webhooks, with more beside it.
"""

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.validators.exchange import Answer, Caller, Deadline, NoAnswer, Request
from app.validators.facts import facts, pem, rfc3339
from app.validators.notified import NotDelivered
from app.validators.redaction import Redaction
from app.validators.verdict import NoVerdict, read_statement
from ca.errors import ValidatorUnavailable
from ca.ports import Applicant, Notification, Verdict
from ca.x509 import oids
from ca.x509.name import Name

OK = 200
# What a notification of a refusal has in the place of step-ca's code: badRequest (RFC 8894 3.2.1.4).
_BAD_REQUEST = 2
# step-ca's names for the kinds of alternative names.
_KINDS = {"dns": "dnsNames", "email": "emailAddresses", "ip": "ipAddresses", "uri": "uris"}


@dataclass(frozen=True, slots=True)
class WebhookValidator:
    """Posts JSON to *url*, signed with *secret*, and to *notify_url* afterwards unless that is empty.

    *now* is the time in seconds since 1970, which the signature covers.
    """

    name: str
    url: str
    notify_url: str
    webhook_id: str
    secret: bytes = field(repr=False)
    caller: Caller = field(repr=False)
    timeout_seconds: float
    now: Callable[[], float] = time.time

    @property
    def wants_notifications(self) -> bool:
        """Whether there is an address for them."""
        return bool(self.notify_url)

    def decide(self, applicant: Applicant) -> Verdict:
        """Ask (see :class:`ca.ports.Validator`). Nothing but a well-formed verdict counts as one."""
        content = {
            "scepTransactionID": applicant.transaction_id,
            "scepChallenge": applicant.challenge_password or "",
            "provisionerName": applicant.profile,
            "x509CertificateRequest": _request(applicant),
            **facts(applicant),
        }
        try:
            deadline = Deadline.after(self.timeout_seconds, applicant.asked_at)
            answer = self._post(self.url, content, deadline)
            if answer.status != OK:
                raise NoAnswer(f"HTTP {answer.status}{_hint(answer.status)}")
            return read_statement(answer.body, Redaction.of(applicant)).verdict()
        except NoAnswer as error:
            raise ValidatorUnavailable(detail=f"validator {self.name}: {error}") from error
        except NoVerdict as error:
            raise ValidatorUnavailable(
                detail=f"validator {self.name}: the answer is no verdict: {error}"
            ) from error

    def notify(self, notification: Notification) -> None:
        """Tell what came of a request (see :class:`app.validators.notified.Notified`)."""
        request = {"raw": _base64(notification.csr)}
        content: dict[str, Any] = {
            "scepTransactionID": notification.transaction_id,
            "provisionerName": notification.profile,
            "x509CertificateRequest": request,
            "notification": notification.kind,
            "profile": notification.profile,
            "transaction_id": notification.transaction_id,
            "csr": pem("CERTIFICATE REQUEST", notification.csr),
        }
        if notification.certificate:
            content["x509Certificate"] = {"raw": _base64(notification.certificate)}
            content["certificate"] = pem("CERTIFICATE", notification.certificate)
        else:
            content["scepErrorCode"] = _BAD_REQUEST
            content["scepErrorDescription"] = content["reason"] = notification.reason
        try:
            answer = self._post(self.notify_url, content, Deadline.after(self.timeout_seconds))
        except NoAnswer as error:
            raise NotDelivered(str(error)) from error
        if not OK <= answer.status < 300:
            raise NotDelivered(f"HTTP {answer.status}{_hint(answer.status)}")

    def _post(self, url: str, content: dict[str, Any], deadline: Deadline) -> Answer:
        now = self.now()
        timestamp = rfc3339(datetime.fromtimestamp(now, UTC))
        body = json.dumps({"timestamp": timestamp, **content}).encode("ascii")
        headers = {
            "Content-Type": "application/json",
            "X-Smallstep-Webhook-ID": self.webhook_id,
            "X-Smallstep-Signature": hmac.digest(self.secret, body, "sha256").hex(),
            "X-Scepbox-Timestamp": f"{now:.0f}",
            "X-Scepbox-Signature": hmac.digest(self.secret, b"%.0f." % now + body, "sha256").hex(),
        }
        return self.caller.send(Request(url, headers, body), deadline)


def _request(applicant: Applicant) -> dict[str, Any]:
    """The CSR as step-ca shows it, as far as a receiver of SCEP requests needs it."""
    shown: dict[str, Any] = {
        "raw": _base64(applicant.csr),
        "subject": {"commonName": _common_name(applicant.subject)},
    }
    for text in applicant.subject_alt_names:
        kind, _, value = text.partition(":")
        if kind in _KINDS:
            shown.setdefault(_KINDS[kind], []).append(value)
    return shown


def _common_name(subject: str) -> str:
    """The most specific one, empty where there is none that can be read."""
    try:
        attributes = Name.from_text(subject).attributes()
    except ValueError:
        return ""
    return next((one.value for one in reversed(attributes) if one.oid == oids.COMMON_NAME), "")


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _hint(status: int) -> str:
    return ": redirects are not followed; give the address it leads to" if 300 <= status < 400 else ""
