"""``intune``: Microsoft Intune says whether a request is one that it told a device to make.

The protocol is that of Microsoft's published client (microsoft/Intune-Resource-Access, CsrValidation):
tokens of Entra ID, the service's address by Microsoft Graph, and three actions of that service.
"""

import base64
import json
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

from app import VERSION
from app.config.checks import check_endpoint
from app.validators.entra import Credential, Tokens, read_object
from app.validators.exchange import Answer, Caller, Deadline, NoAnswer, Request
from app.validators.intune_codes import REFUSALS, SUCCESS
from app.validators.notified import NotDelivered
from app.validators.redaction import Redaction
from app.validators.verdict import safe_text
from ca.errors import ValidatorUnavailable
from ca.ports import Allowed, Applicant, Denied, Notification, Verdict
from ca.profiles import Grants
from ca.x509.certificate import Certificate
from ca.x509.name import Name

# Of Intune itself, in every tenant and cloud.
INTUNE_APP_ID = "0000000a-0000-0000-c000-000000000000"
SERVICE = "ScepRequestValidationFEService"
API_VERSION = "2018-02-20"
VALIDATE = "ScepActions/validateRequest"
NOTIFY_SUCCESS = "ScepActions/successNotification"
NOTIFY_FAILURE = "ScepActions/failureNotification"
CALLER_INFO = f"scepbox/{VERSION}"
# E_UNEXPECTED as a number of 32 bits with its sign: what the published client's example sends.
H_RESULT = 0x8000FFFF - (1 << 32)
MAX_DESCRIPTION = 255
# Graph lists all services of Intune.
MAX_ENDPOINTS_OCTETS = 1 << 20
SERVICE_SECONDS = 24 * 3600.0
OK, UNAUTHORIZED = 200, 401


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where one of Microsoft's clouds is to be found. Each address ends with a slash."""

    authority: str
    graph: str
    resource: str
    allow_http: bool = False


class IntuneService:
    """The validation service of one tenant. What is learnt of it is kept: its address, and the tokens."""

    def __init__(
        self, cloud: Cloud, tenant: str, client_id: str, credential: Credential, caller: Caller
    ) -> None:
        self._cloud = cloud
        self._caller = caller
        token_url = f"{cloud.authority}{tenant}/oauth2/v2.0/token"
        self._tokens = Tokens(token_url, client_id, credential, caller)
        # As the published client writes them: the resource's own name ends with a slash.
        self._scope = f"{cloud.resource}/.default"
        self._graph_scope = f"{cloud.graph}.default"
        self._lock = threading.Lock()
        self._address = ""
        self._address_until = 0.0

    def act(self, action: str, content: dict[str, Any], activity: str, deadline: Deadline) -> str:
        """Have *action* done, and return the code that says what came of it.

        Raises:
            NoAnswer: Intune could not be asked, or said nothing that is a code.

        """
        address = self._find_address(deadline)
        headers = {"api-version": API_VERSION, "Content-Type": "application/json"}
        request = Request(f"{address}/{action}", headers, _encode(content))
        try:
            answer = self._send(request, self._scope, activity, deadline)
            if answer.status != OK:
                raise NoAnswer(f"Intune answered HTTP {answer.status}")
        except NoAnswer:
            # It may have moved.
            self._forget_address()
            raise
        code = read_object(answer.body, "Intune").get("code")
        if not isinstance(code, str) or not code:
            raise NoAnswer("Intune answered without a code")
        return code

    def _find_address(self, deadline: Deadline) -> str:
        """Where the service of this tenant is, which differs from one to the other."""
        with self._lock:
            if time.monotonic() < self._address_until:
                return self._address
        url = f"{self._cloud.graph}v1.0/servicePrincipals/appId={INTUNE_APP_ID}/endpoints"
        answer = self._send(
            Request(url, {}, most=MAX_ENDPOINTS_OCTETS), self._graph_scope, str(uuid.uuid4()), deadline
        )
        if answer.status != OK:
            raise NoAnswer(f"Microsoft Graph answered HTTP {answer.status}; may the application read Graph?")
        address = _address_in(read_object(answer.body, "Microsoft Graph"))
        try:
            check_endpoint(address, allow_http=self._cloud.allow_http)
        except ValueError as error:
            raise NoAnswer(f"Microsoft Graph names an address that is not used: {error}") from error
        with self._lock:
            self._address = address.rstrip("/")
            self._address_until = time.monotonic() + SERVICE_SECONDS
            return self._address

    def _forget_address(self) -> None:
        with self._lock:
            self._address_until = 0.0

    def _send(self, request: Request, scope: str, activity: str, deadline: Deadline) -> Answer:
        """Send it with a token, and once more with a new one if that is not accepted any more."""
        answer, token = self._send_as(request, scope, activity, deadline)
        if answer.status == UNAUTHORIZED:
            self._tokens.drop(scope, token)
            answer, _ = self._send_as(request, scope, activity, deadline)
        return answer

    def _send_as(self, request: Request, scope: str, activity: str, deadline: Deadline) -> tuple[Answer, str]:
        token = self._tokens.get(scope, deadline)
        headers = {**request.headers, "Authorization": f"Bearer {token}", "client-request-id": activity}
        return self._caller.send(replace(request, headers=headers), deadline), token


@dataclass(frozen=True, slots=True)
class IntuneValidator:
    """Asks Intune, and tells it afterwards where *wants_notifications* says so."""

    name: str
    service: IntuneService = field(repr=False)
    timeout_seconds: float
    wants_notifications: bool = True

    def decide(self, applicant: Applicant) -> Verdict:
        """Ask (see :class:`ca.ports.Validator`).

        Intune compares the names in the request with those that it gave the device, the Windows security
        identifier among them, so that it vouches for them as they are.
        """
        if applicant.challenge_password is None:
            # Nobody is asked about what cannot be Intune's.
            return Denied(REFUSALS["ChallengePasswordMissing"], "no challenge password in the CSR")
        content = {"request": _common(applicant.transaction_id, applicant.csr)}
        activity = str(uuid.uuid4())
        try:
            deadline = Deadline.after(self.timeout_seconds, applicant.asked_at)
            code = self.service.act(VALIDATE, content, activity, deadline)
        except NoAnswer as error:
            raise self._unavailable(str(error), activity) from error
        if code == SUCCESS:
            return Allowed(Grants(sid_as_requested=True), f"intune activity {activity}")
        if code not in REFUSALS:
            told = safe_text(Redaction.of(applicant)(code))
            raise self._unavailable(f"Intune answered the code {told!r}", activity)
        return Denied(REFUSALS[code], f"intune {code}, activity {activity}")

    def notify(self, notification: Notification) -> None:
        """Tell what came of a request (see :class:`app.validators.notified.Notified`)."""
        action, content = _notification(notification)
        activity = str(uuid.uuid4())
        try:
            code = self.service.act(action, content, activity, Deadline.after(self.timeout_seconds))
        except NoAnswer as error:
            raise NotDelivered(f"{error} (activity {activity})") from error
        if code != SUCCESS:
            told = safe_text(Redaction(None, notification.csr)(code))
            raise NotDelivered(f"Intune answered the code {told!r} (activity {activity})")

    def _unavailable(self, why: str, activity: str) -> ValidatorUnavailable:
        return ValidatorUnavailable(detail=f"validator {self.name}: {why} (activity {activity})")


def _notification(notification: Notification) -> tuple[str, dict[str, Any]]:
    """The action that tells it, and what it is told."""
    common = _common(notification.transaction_id, notification.csr)
    if not notification.certificate:
        description = safe_text(notification.reason)[:MAX_DESCRIPTION] or "not issued"
        content = {**common, "hResult": H_RESULT, "errorDescription": description}
        return NOTIFY_FAILURE, {"notification": content}
    certificate = Certificate.load(notification.certificate)
    end = certificate.not_valid_after.astimezone(UTC)
    content = {
        **common,
        "certificateThumbprint": certificate.fingerprint_sha1().upper(),
        "certificateSerialNumber": f"{certificate.serial_number:X}",
        "certificateExpirationDateUtc": end.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "issuingCertificateAuthority": str(Name.load(certificate.issuer_der)),
    }
    return NOTIFY_SUCCESS, {"notification": content}


def _common(transaction_id: str, csr: bytes) -> dict[str, Any]:
    return {
        "transactionId": transaction_id,
        "certificateRequest": base64.b64encode(csr).decode("ascii"),
        "callerInfo": CALLER_INFO,
    }


def _encode(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode("ascii")


def _address_in(said: dict[str, Any]) -> str:
    """The service's address in Graph's list."""
    entries = said.get("value")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and str(entry.get("providerName")).lower() == SERVICE.lower():
            return str(entry.get("uri"))
    raise NoAnswer(
        f"Microsoft Graph names no {SERVICE}: has the tenant Intune, and the application its rights?"
    )
