"""The SCEP endpoint (RFC 8894 4): from an HTTP request to a pkiMessage, and the reply's way back."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from bottle import Bottle, HTTPResponse, request

from app.http.answers import guarded, refuse, reply
from app.http.query import ScepQuery, decode_message, parse_query
from app.http.task import REQUEST_HEAD, WHEN_SENT
from app.recorder.heard import Heard
from ca.deviations import DeviationKind, Deviations
from ca.errors import MalformedMessage
from ca.journal import Exchange
from ca.ports import Peer
from ca.profiles import DEFAULT, Profile
from ca.scep.capabilities import capabilities, encode_capabilities
from ca.scep.codec import NEXT_CERTIFICATES

# Told of an operation: its name, its profile, and what came of it.
Count: TypeAlias = Callable[[str, str, str], object]
# Told of an exchange once its reply is on its way; must not take long, and not fail.
Keep: TypeAlias = Callable[[Heard], object]
PkiOperation: TypeAlias = Callable[[bytes, Profile, Peer, Deviations], bytes]

# Where devices look when nobody told them: Cisco IOS, OpenSCEP's clients, Windows.
DEFAULT_PATHS = (
    "/scep",
    "/scep/",
    "/scep/pkiclient.exe",
    "/cgi-bin/pkiclient.exe",
    "/cgi-bin/scep/scep",
    "/certsrv/mscep/mscep.dll",
    "/certsrv/mscep/mscep.dll/pkiclient.exe",
)
# Whatever a client appends to a profile's path says nothing (RFC 8894 4.1).
PROFILE_PATHS = ("/scep/<name>", "/scep/<name>/<suffix:path>", "/scep/<name>/")
MAX_CLIENT_TEXT = 200
UNKNOWN = "unknown"
_PKI_OPERATION = "PKIOperation"
# The names for a count, by what is sent in whatever case: strangers add none.
_NAMES = {
    name.lower(): name
    for name in ("GetCACaps", "GetCACert", "GetCACertChain", "GetNextCACert", _PKI_OPERATION)
}
_OUTCOMES = {200: "answered", 400: "malformed", 500: "failed", 503: "unavailable"}
# In the environ of a request to this endpoint.
ASKED = "scepbox.asked"
# What is to be kept of it.
_BODY = "scepbox.body"
_DEVIATIONS = "scepbox.deviations"
_EXCHANGE = "scepbox.exchange"


def note_exchange(exchange: Exchange) -> None:
    """Have what came of the message that is being answered kept with its request."""
    request.environ[_EXCHANGE] = exchange


class ScepEndpoint:
    """Answers at every SCEP path.

    *respond* maps a pkiMessage to a CertRep; *ca_certificates* makes the answer to GetCACert, media
    type and body, and *ca_chain* the certs-only body for the GetCACertChain of old drafts: anew each
    time, because the certificate of a registration authority changes. *next_ca* is what GetNextCACert
    answers, where there is a next CA. *count* is told of whatever ends without a CertRep, *keep* of
    everything.
    """

    def __init__(
        self,
        respond: PkiOperation,
        profiles: Mapping[str, Profile],
        ca_certificates: Callable[[], tuple[str, bytes]],
        ca_chain: Callable[[], bytes],
        next_ca: Callable[[], bytes] | None = None,
        count: Count = lambda *_: None,
        keep: Keep | None = None,
    ) -> None:
        self._respond = respond
        self._profiles = profiles
        self._ca_certificates = ca_certificates
        self._ca_chain = ca_chain
        self._next_ca = next_ca
        self._count = count
        self._keep = keep

    def add_to(self, web: Bottle) -> None:
        """Lay the routes; every method comes here, so that a wrong one is answered here too."""
        handler = guarded(self._handle)

        def counted(name: str = DEFAULT, suffix: str = "") -> HTTPResponse:
            began = time.perf_counter()
            request.environ[ASKED] = UNKNOWN, UNKNOWN
            response = handler(name, suffix)
            operation, profile = request.environ[ASKED]
            if self._keep is not None:
                about = (self._keep, request.environ, operation, profile, response, began)
                request.environ[WHEN_SENT] = partial(_tell, *about)
            if operation != _PKI_OPERATION or response.status_code != 200:
                self._count(operation, profile, _OUTCOMES.get(response.status_code, "refused"))
            return response

        for path in (*DEFAULT_PATHS, *PROFILE_PATHS):
            web.route(path, "ANY", counted)

    def _handle(self, name: str = DEFAULT, suffix: str = "") -> HTTPResponse:
        if request.method not in ("GET", "HEAD", "POST"):
            return refuse(405, "use GET or POST", Allow="GET, HEAD, POST")
        profile = self._profiles.get(name)
        if profile is None or not _is_utf8(request.environ.get("bottle.raw_path", "")):
            return refuse(404, "there is no such profile")
        query = parse_query(request.environ.get("QUERY_STRING", ""))
        asked = query.operation or ("pkioperation" if request.method == "POST" else "")
        request.environ[ASKED] = _NAMES.get(asked, UNKNOWN), name
        if request.method == "POST":
            return self._post(query, profile)
        return self._get(query, profile)

    def _get(self, query: ScepQuery, profile: Profile) -> HTTPResponse:
        match query.operation:
            case "getcacaps":
                words = capabilities(profile.crypto, next_ca=self._next_ca is not None)
                return reply(encode_capabilities(words), "text/plain")
            case "getcacert":
                # A CA identifier may come as the message; there is one CA here (RFC 8894 4.2).
                media_type, body = self._ca_certificates()
                return reply(body, media_type)
            case "getcacertchain" if profile.crypto == "legacy":
                return reply(self._ca_chain(), "application/x-x509-ca-ra-cert-chain")
            case "getnextcacert" if self._next_ca is not None:
                return reply(self._next_ca(), NEXT_CERTIFICATES)
            case "getnextcacert":
                return refuse(404, "no next CA certificate is prepared")
            case "pkioperation" if request.method == "HEAD":
                return refuse(405, "PKIOperation takes GET or POST", Allow="GET, POST")
            case "pkioperation":
                deviations = request.environ[_DEVIATIONS] = Deviations()
                if not query.message:
                    raise MalformedMessage("PKIOperation by GET needs a message")
                return self._operate(decode_message(query.message, deviations), profile, deviations)
        raise MalformedMessage("operation is missing or unknown")

    def _post(self, query: ScepQuery, profile: Profile) -> HTTPResponse:
        deviations = request.environ[_DEVIATIONS] = Deviations()
        if query.operation not in ("", "pkioperation"):
            raise MalformedMessage("only PKIOperation is sent by POST")
        if not query.operation:
            deviations.add(DeviationKind.POST_WITHOUT_OPERATION, "http.query")
        # The media type is not asked: sscep and strongSwan send none, jscep octet-stream.
        # The server has it whole and within the limit, so that Bottle need not measure and copy it.
        body = request.environ[_BODY] = request.environ["wsgi.input"].read(max(request.content_length, 0))
        return self._operate(body, profile, deviations)

    def _operate(self, message: bytes, profile: Profile, deviations: Deviations) -> HTTPResponse:
        if not message:
            raise MalformedMessage("the message is empty")
        client = request.environ.get("HTTP_USER_AGENT", "")[:MAX_CLIENT_TEXT]
        peer = Peer(request.environ.get("REMOTE_ADDR", ""), client)
        body = self._respond(message, profile, peer, deviations)
        return reply(body, "application/x-pki-message", store=False)


def _tell(
    keep: Keep,
    environ: Mapping[str, Any],
    operation: str,
    profile: str,
    response: HTTPResponse,
    began: float,
    reply: bytes,
) -> None:
    """Have an exchange kept as it was heard."""
    keep(
        Heard(
            ended_at=time.time(),
            seconds=time.perf_counter() - began,
            operation=operation,
            profile=profile,
            remote=environ.get("REMOTE_ADDR", ""),
            client=environ.get("HTTP_USER_AGENT", "")[:MAX_CLIENT_TEXT],
            request_head=environ.get(REQUEST_HEAD, b""),
            request_body=environ.get(_BODY, b""),
            status=response.status_code,
            reply=reply,
            deviations=environ.get(_DEVIATIONS),
            exchange=environ.get(_EXCHANGE),
        )
    )


def _is_utf8(path: str) -> bool:
    """Whether the path is what it was routed as: Bottle leaves out octets that are not UTF-8."""
    try:
        path.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return True
