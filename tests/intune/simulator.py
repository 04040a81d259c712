"""Entra ID, Microsoft Graph and Intune's SCEP service in one, over real HTTP.

It follows Microsoft's published client (microsoft/Intune-Resource-Access, CsrValidation): whatever that
would send is accepted, and what differs from it is refused as the services refuse it. It knows one tenant
and one application. The code of a validation is what follows the last colon of the challenge password.
"""

import base64
import json
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import AttributeOID

from tests.services import Received, Reply, Service

TENANT = "contoso.onmicrosoft.com"
CLIENT_ID = "00001111-aaaa-2222-bbbb-3333cccc4444"
CLIENT_SECRET = "the~secret.of-the_application"
INTUNE_APP_ID = "0000000a-0000-0000-c000-000000000000"
CODES = (
    "Success",
    "Unknown",
    "CertificateRequestDecodingFailed",
    "ChallengePasswordMissing",
    "ChallengeDeserializationError",
    "ChallengeDecryptionError",
    "ChallengeDecodingError",
    "ChallengeInvalidTimestamp",
    "ChallengeExpired",
    "SubjectNameMissing",
    "SubjectNameMismatch",
    "SubjectAltNameMissing",
    "SubjectAltNameMismatch",
    "KeyUsageMismatch",
    "KeyLengthMismatch",
    "EnhancedKeyUsageMissing",
    "EnhancedKeyUsageMismatch",
    "AadKeyIdentifierListMissing",
    "RegisteredKeyMismatch",
    "SigningCertThumbprintMismatch",
    "ScepProfileNoLongerTargetedToTheClient",
    "SignatureValidationFailed",
    "BadCertificateRequestIdInChallenge",
    "BadDeviceIdInChallenge",
    "BadUserIdInChallenge",
)
_COMMON: dict[str, type] = {"transactionId": str, "certificateRequest": str, "callerInfo": str}
_SUCCESS = {
    **_COMMON,
    "certificateThumbprint": str,
    "certificateSerialNumber": str,
    "certificateExpirationDateUtc": str,
    "issuingCertificateAuthority": str,
}
_FAILURE = {**_COMMON, "hResult": int, "errorDescription": str}
# The member of the body that has everything, and what has to be in it.
ACTIONS: dict[str, tuple[str, dict[str, type]]] = {
    "validateRequest": ("request", _COMMON),
    "successNotification": ("notification", _SUCCESS),
    "failureNotification": ("notification", _FAILURE),
}
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Complaint(Exception):
    """What a service objects to, as it would answer it."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Notified:
    """A notification that was accepted: its action, and what it says."""

    action: str
    content: dict[str, Any]


@dataclass(slots=True)
class _Token:
    scope: str
    ends: float


@dataclass
class IntuneSimulator:
    """The three services. *lifetime* is for how many seconds a token is good.

    *faults* replace the answer of a step: ``token``, ``discovery`` or the name of an action. *certificate*
    is the application's, for who proves himself by one.
    """

    port: int = 0
    lifetime: int = 3600
    certificate: x509.Certificate | None = None
    faults: dict[str, Callable[[], Reply | None]] = field(default_factory=dict)
    shard: str = "https-shard-1"
    notified: list[Notified] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take a port."""
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._assertions: set[str] = set()
        self.service = Service(self._answer, self.port)

    @property
    def url(self) -> str:
        """Of all three services, with a slash at the end."""
        return f"{self.service.url}/"

    def settings(self, secret_file: str) -> str:
        """The section of scepbox.toml that leads here."""
        return (
            "[validator.intune]\n"
            'type = "intune"\n'
            f'tenant = "{TENANT}"\n'
            f'client_id = "{CLIENT_ID}"\n'
            f'client_secret_file = "{secret_file}"\n'
            f'authority = "{self.url}"\n'
            f'graph = "{self.url}graph/"\n'
            f'resource = "{self.url}"\n'
        )

    def withdraw_tokens(self) -> None:
        """No token that was given out is good any more."""
        with self._lock:
            self._tokens.clear()

    def _answer(self, request: Received) -> Reply:
        step, serve = self._route(request)
        with self._lock:
            self.steps.append(step)
        fault = self.faults.get(step, lambda: None)()
        if fault is not None:
            return fault
        try:
            return Reply.of(serve(request))
        except Complaint as complaint:
            self.complaints.append(f"{step}: {complaint}")
            if step == "token":
                said: dict[str, object] = {"error": complaint.code, "error_description": str(complaint)}
            else:
                said = {"error": {"code": complaint.code, "message": str(complaint)}}
            return Reply.of(said, complaint.status)

    def _route(self, request: Received) -> tuple[str, Callable[[Received], object]]:
        if request.path == f"/{TENANT}/oauth2/v2.0/token":
            return "token", self._give_token
        if request.path == f"/graph/v1.0/servicePrincipals/appId={INTUNE_APP_ID}/endpoints":
            return "discovery", self._list_endpoints
        action = request.path.removeprefix(f"/{self.shard}/ScepActions/")
        if action in ACTIONS and action != request.path:
            return action, lambda request: self._act(action, request)
        return "nowhere", _not_found

    # Entra ID

    def _give_token(self, request: Received) -> object:
        form = dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))
        _insist(request.method == "POST", 405, "invalid_request", "AADSTS900561: POST only")
        media_type = request.headers.get("content-type", "")
        _insist(media_type == "application/x-www-form-urlencoded", 400, "invalid_request", "AADSTS900144")
        grant = form.get("grant_type") == "client_credentials"
        _insist(grant, 400, "unsupported_grant_type", "AADSTS70003")
        _insist(
            form.get("client_id") == CLIENT_ID, 400, "unauthorized_client", "AADSTS700016: no application"
        )
        # The resource's name ends with a slash, and the scope has its own before .default.
        known = {f"{self.url}/.default": "intune", f"{self.url}graph/.default": "graph"}
        scope = known.get(form.get("scope", ""))
        _insist(
            scope is not None, 400, "invalid_scope", "AADSTS70011: The provided value for scope is not valid"
        )
        if "client_assertion" in form:
            self._check_assertion(form)
        else:
            genuine = secrets.compare_digest(form.get("client_secret", ""), CLIENT_SECRET)
            _insist(genuine, 401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        token = secrets.token_urlsafe(900)
        with self._lock:
            self._tokens[token] = _Token(str(scope), time.monotonic() + self.lifetime)
        return {"token_type": "Bearer", "expires_in": self.lifetime, "access_token": token}

    def _check_assertion(self, form: dict[str, str]) -> None:
        """RFC 7523 3: signed by the application's key, for this address, for a short time, and once."""
        bad = 401, "invalid_client", "AADSTS700027: Client assertion failed signature validation."
        _insist(form.get("client_assertion_type") == _ASSERTION_TYPE, *bad)
        _insist(self.certificate is not None, *bad)
        signed, _, signature = form["client_assertion"].rpartition(".")
        head, claims = (json.loads(_unbase64url(part)) for part in signed.split("."))
        der = self.certificate.public_bytes(serialization.Encoding.DER) if self.certificate else b""
        _insist(head == {"alg": "PS256", "typ": "JWT", "x5t#S256": _base64url(sha256(der).digest())}, *bad)
        key = self.certificate.public_key() if self.certificate else None
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(_unbase64url(signature), signed.encode(), pss, hashes.SHA256())
        except InvalidSignature:
            raise Complaint(*bad) from None
        now = time.time()
        _insist(claims["iss"] == claims["sub"] == CLIENT_ID, *bad)
        _insist(claims["aud"] == f"{self.url}{TENANT}/oauth2/v2.0/token", *bad)
        _insist(claims["nbf"] <= now + 5 and now < claims["exp"] <= now + 600, *bad)
        with self._lock:
            _insist(claims["jti"] not in self._assertions, *bad)
            self._assertions.add(claims["jti"])

    def _check_token(self, request: Received, scope: str) -> None:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            token = self._tokens.get(text)
        good = (
            kind == "Bearer" and token is not None and token.scope == scope and token.ends > time.monotonic()
        )
        _insist(good, 401, "InvalidAuthenticationToken", "Access token has expired or is not valid.")

    # Microsoft Graph

    def _list_endpoints(self, request: Received) -> object:
        _insist(request.method == "GET", 405, "BadRequest", "GET only")
        self._check_token(request, "graph")
        _check_activity(request)
        others = [_endpoint(f"Service{number}", f"https://fef.example.org/{number}") for number in range(60)]
        mine = _endpoint("ScepRequestValidationFEService", f"{self.url}{self.shard}")
        return {"value": [*others, mine, _endpoint("PkiConnectorFEService", f"{self.url}pki")]}

    # Intune

    def _act(self, action: str, request: Received) -> object:
        self._check_token(request, "intune")
        _check_activity(request)
        _insist(request.method == "POST", 405, "BadRequest", "POST only")
        _insist(request.headers.get("api-version") == "2018-02-20", 400, "BadRequest", "unknown api-version")
        json_type = request.headers.get("content-type", "").startswith("application/json")
        _insist(json_type, 415, "UnsupportedMediaType", "JSON only")
        member, wanted = ACTIONS[action]
        body = json.loads(request.body)
        _insist(set(body) == {member}, 400, "BadRequest", f"{member} and nothing else belongs here")
        content = body[member]
        _insist(set(content) == set(wanted), 400, "BadRequest", f"has {set(content)}, not {set(wanted)}")
        for name, kind in wanted.items():
            good = isinstance(content[name], kind) and content[name] not in ("", None)
            _insist(good, 400, "BadRequest", f"{name} is no {kind.__name__}")
        csr = x509.load_der_x509_csr(base64.b64decode(content["certificateRequest"], validate=True))
        if action == "validateRequest":
            return _code(_wanted_code(csr))
        if action == "successNotification":
            _check_success(content)
        else:
            _insist(-(1 << 31) <= content["hResult"] < 1 << 31, 400, "BadRequest", "hResult has 32 bits")
            _insist(
                len(content["errorDescription"]) <= 255, 400, "BadRequest", "errorDescription is too long"
            )
        self.notified.append(Notified(action, content))
        return _code("Success")


def _wanted_code(csr: x509.CertificateSigningRequest) -> str:
    """What the challenge password asks for."""
    try:
        password = csr.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value.decode()
    except x509.AttributeNotFound:
        return "ChallengePasswordMissing"
    wanted = password.rpartition(":")[2]
    return wanted if wanted in CODES else "Success"


def _check_success(content: dict[str, Any]) -> None:
    good = {
        "certificateThumbprint": r"[0-9A-F]{40}",
        "certificateSerialNumber": r"[0-9A-F]+",
        "certificateExpirationDateUtc": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,7}Z",
    }
    for name, pattern in good.items():
        _insist(bool(re.fullmatch(pattern, content[name])), 400, "BadRequest", f"{name} is not of its form")


def _check_activity(request: Received) -> None:
    """What support asks for: a UUID for each request."""
    try:
        uuid.UUID(request.headers.get("client-request-id", ""))
    except ValueError:
        raise Complaint(400, "BadRequest", "client-request-id is no UUID") from None


def _endpoint(provider: str, uri: str) -> dict[str, object]:
    return {
        "id": str(uuid.uuid4()),
        "deletedDateTime": None,
        "capability": provider,
        "providerId": str(uuid.uuid4()),
        "providerName": provider,
        "providerResourceId": str(uuid.uuid4()),
        "uri": uri,
    }


def _code(code: str) -> dict[str, str]:
    return {"code": code, "errorDescription": "" if code == "Success" else f"{code} of the simulator"}


def _not_found(_: Received) -> object:
    raise Complaint(404, "NotFound", "no such address")


def _insist(holds: bool, status: int, code: str, text: str) -> None:
    if not holds:
        raise Complaint(status, code, text)


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
