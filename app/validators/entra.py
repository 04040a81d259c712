"""Access tokens of Microsoft Entra ID for an application (OAuth 2.0 client credentials, RFC 6749 4.4).

They are kept until they end. Who asks for one proves itself by a secret, or by a certificate whose key
signs an assertion (RFC 7523 2.2).
"""

import base64
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from app.validators.exchange import Caller, Deadline, NoAnswer, Request
from app.validators.verdict import safe_text

# A token that ends on the way is none.
EARLY_SECONDS = 60
ASSERTION_SECONDS = 300
OK = 200
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_AADSTS = re.compile(r"AADSTS[0-9]+")


class Credential(Protocol):
    """How the application proves that it is itself."""

    def parameters(self, client_id: str, token_url: str) -> dict[str, str]:
        """What goes into the form beside its name."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret that both know."""

    secret: str = field(repr=False)

    def parameters(self, client_id: str, token_url: str) -> dict[str, str]:
        """The secret itself."""
        return {"client_secret": self.secret}


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that Entra ID knows, as DER, and its RSA key."""

    certificate: bytes
    key: rsa.RSAPrivateKey = field(repr=False)

    def parameters(self, client_id: str, token_url: str) -> dict[str, str]:
        """An assertion for this one request (RFC 7523 3), signed with PS256."""
        now = int(time.time())
        head = {"alg": "PS256", "typ": "JWT", "x5t#S256": _base64url(sha256(self.certificate).digest())}
        claims = {
            "aud": token_url,
            "iss": client_id,
            "sub": client_id,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "exp": now + ASSERTION_SECONDS,
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        signature = self.key.sign(signed.encode(), pss, hashes.SHA256())
        return {
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": f"{signed}.{_base64url(signature)}",
        }


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    ends: float


class Tokens:
    """The tokens of one application, by scope. Threads that need the same one wait for the first of them."""

    def __init__(self, token_url: str, client_id: str, credential: Credential, caller: Caller) -> None:
        self._url = token_url
        self._client_id = client_id
        self._credential = credential
        self._caller = caller
        self._lock = threading.Lock()
        self._kept: dict[str, _Token] = {}

    def get(self, scope: str, deadline: Deadline) -> str:
        """A token for *scope*.

        Raises:
            NoAnswer: There is none to be had.

        """
        if not self._lock.acquire(timeout=deadline.remaining):
            raise NoAnswer("no token in time: another request still waits for one")
        try:
            kept = self._kept.get(scope)
            if kept is None or kept.ends <= time.monotonic():
                kept = self._kept[scope] = self._fetch(scope, deadline)
            return kept.text
        finally:
            self._lock.release()

    def drop(self, scope: str, token: str) -> None:
        """Forget a token that is not accepted any more, unless there is another by now."""
        with self._lock:
            kept = self._kept.get(scope)
            if kept is not None and kept.text == token:
                del self._kept[scope]

    def _fetch(self, scope: str, deadline: Deadline) -> _Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "scope": scope,
            **self._credential.parameters(self._client_id, self._url),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._caller.send(Request(self._url, headers, urlencode(form).encode()), deadline)
        if answer.status != OK:
            raise NoAnswer(f"Entra ID gives no token: HTTP {answer.status}{_why(answer.body)}")
        said = read_object(answer.body, "Entra ID")
        token, seconds = said.get("access_token"), said.get("expires_in")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise NoAnswer("Entra ID gives no token that can be sent on")
        if not isinstance(seconds, int | float):
            raise NoAnswer("Entra ID does not say for how long the token is good")
        return _Token(token, time.monotonic() + seconds - EARLY_SECONDS)


def read_object(body: bytes, who: str) -> dict[str, Any]:
    """The JSON object that *who* answered.

    Raises:
        NoAnswer: It is none.

    """
    try:
        said = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"{who} answered what is no JSON") from error
    if not isinstance(said, dict):
        raise NoAnswer(f"{who} answered what is no JSON object")
    return said


def _why(body: bytes) -> str:
    """The error's code and number; its description names the tenant, and what else Microsoft sees fit."""
    try:
        said = read_object(body, "Entra ID")
    except NoAnswer:
        return ""
    number = _AADSTS.search(str(said.get("error_description", "")))
    words = [safe_text(str(said.get("error", ""))), number[0] if number else ""]
    told = ", ".join(filter(None, words))
    return f" ({told})" if told else ""


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
