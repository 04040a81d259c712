"""Who is let in to the administrator's site: Host, password, and where a request comes from.

Decides before any route is looked for, so that nothing is served, and no address is told to exist, to
who has not logged in.
"""

import base64
import binascii
import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from bottle import Bottle, HTTPResponse, request, response

from app.admin.attempts import Attempts
from app.admin.metrics_token import MetricsToken
from app.admin.password import MOST_OCTETS, AdminPassword, PasswordUnusable
from app.hints import command
from app.http.answers import guarded, refuse
from app.http.rounds import do_elsewhere
from ca.journal import log_line

log = logging.getLogger(__name__)
HEALTH = "/healthz"
METRICS = "/metrics"
USER = "scepbox.admin"
_MAX_HEADER = 4096
_LOGIN = 'Basic realm="scepbox", charset="UTF-8"'
# What a browser says of a request that no other site has caused (W3C Fetch Metadata).
_OWN = ("same-origin", "none")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name, which may be any, and a password."""

    user: str
    password: str


class Gate:
    """Lets the administrator in.

    *hosts* are the names under which a browser may come, empty for any: on a loopback address no
    page of the internet can then pass for this site by pointing its own name here (DNS rebinding).
    *set_password* is the command that sets the password, to tell people. Whoever has *metrics_token* may
    scrape, and do nothing else.
    """

    def __init__(
        self,
        password: AdminPassword,
        attempts: Attempts,
        hosts: Iterable[str] = (),
        set_password: str | None = None,
        metrics_token: MetricsToken | None = None,
    ) -> None:
        self._password = password
        self._attempts = attempts
        self._hosts = frozenset(hosts)
        self._set_password = set_password or command("admin password")
        self._metrics_token = metrics_token

    def guard(self, web: Bottle) -> None:
        """Stand before every route of *web*."""
        web.add_hook("before_request", self._let_in)

    def _let_in(self) -> None:
        refusal = guarded(self._check)()
        if refusal.status_code != 200:
            raise refusal

    def _check(self) -> HTTPResponse:
        host = _host_name(request.environ.get("HTTP_HOST", ""))
        if self._hosts and host and host not in self._hosts and not _is_loopback(host):
            return refuse(421, "this host name is not served here; come by http://127.0.0.1")
        if request.path == HEALTH or self._is_scrape():
            return HTTPResponse()
        return self._log_in() or _check_origin() or HTTPResponse()

    def _is_scrape(self) -> bool:
        token = self._metrics_token
        if token is None or request.path != METRICS or request.method not in ("GET", "HEAD"):
            return False
        return token.is_in(request.environ.get("HTTP_AUTHORIZATION", ""))

    def _log_in(self) -> HTTPResponse | None:
        """The refusal, or None and the user's name in the request."""
        peer = request.environ.get("REMOTE_ADDR", "")
        if not self._password.is_set():
            return refuse(403, f"no administrator's password is set; set one: {self._set_password}")
        if seconds := self._attempts.wait_for(peer):
            return refuse(429, "too many wrong passwords; try again later", Retry_After=str(seconds))
        given = read_credentials(request.environ.get("HTTP_AUTHORIZATION", ""))
        if given is None:
            return refuse(401, "log in with the administrator's password", WWW_Authenticate=_LOGIN)
        if not self._password.is_remembered(given.password):
            if not self._attempts.take_place():
                return refuse(503, "too many log in at once; try again", Retry_After="2")
            if refusal := self._look_closely(given, peer):
                return refusal
        request.environ[USER] = given.user
        return None

    def _look_closely(self, given: Credentials, peer: str) -> HTTPResponse | None:
        seconds, right = 0, False

        def look() -> None:
            nonlocal seconds, right
            # One after the other: of many that come at once only so many are hashed.
            seconds = self._attempts.wait_for(peer)
            if not seconds:
                right = self._password.is_remembered(given.password) or self._password.verify(given.password)
                if not right:
                    self._attempts.count_wrong(peer)

        try:
            do_elsewhere(look)
        except PasswordUnusable as error:
            log.error(log_line(http=503, reason=error))
            return refuse(503, f"the administrator's password is damaged; set it anew: {self._set_password}")
        finally:
            self._attempts.give_place()
        if seconds:
            return refuse(429, "too many wrong passwords; try again later", Retry_After=str(seconds))
        if not right:
            # The name is not logged: it is where a password is typed by mistake.
            log.warning(log_line(message="a wrong administrator's password", peer=peer))
            return refuse(401, "that is not the administrator's password", WWW_Authenticate=_LOGIN)
        log.info(log_line(message="the administrator has logged in", user=given.user, peer=peer))
        return None


def read_credentials(header: str) -> Credentials | None:
    """The name and password of an ``Authorization`` (RFC 7617), None where there are none.

    Browsers write UTF-8, older programs ISO 8859-1.
    """
    scheme, _, encoded = header.partition(" ")
    if len(header) > _MAX_HEADER or scheme.lower() != "basic":
        return None
    try:
        octets = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    user, colon, password = text.partition(":")
    if not colon or not password or len(password.encode()) > MOST_OCTETS:
        return None
    return Credentials(user, password)


def comes_from_elsewhere() -> bool:
    """Whether a browser says that another site has caused this request, or cannot be believed not to."""
    environ = request.environ
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return str(site) not in _OWN
    # Over plain HTTP browsers say neither of a link or a picture, but most of them where it stands.
    origin = environ.get("HTTP_ORIGIN") or environ.get("HTTP_REFERER")
    if origin is None:
        # No browser: it would say one of these where it matters.
        return False
    return urlsplit(str(origin)).netloc.lower() != str(environ.get("HTTP_HOST", "")).lower()


def _check_origin() -> HTTPResponse | None:
    """Refuse what another site makes a browser change here: it sends the password along by itself.

    Besides, what changes something takes JSON, which a form of another site cannot send, and a script
    of one only after asking for a permission that is never given here (CORS).
    """
    if request.method in ("GET", "HEAD"):
        return None
    if comes_from_elsewhere():
        return refuse(403, "this request was caused by another site")
    media_type = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return refuse(415, "send Content-Type: application/json")
    return None


def add_security_headers(web: Bottle, style: str) -> None:
    """Give every answer what keeps browsers from doing more with it than showing it.

    *style* is the source of the only style sheet that counts, as Content-Security-Policy has it.
    """
    policy = (
        f"default-src 'none'; style-src {style}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )

    def add() -> None:
        for name, value in (
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            response.set_header(name, value)

    web.add_hook("after_request", add)


def loopback_hosts(address: str) -> frozenset[str]:
    """The names under which a site that listens on *address* is reached; empty where any may be right."""
    return frozenset({"localhost"}) if _is_loopback(address) else frozenset()


def user_name() -> str:
    """Who makes this request."""
    return str(request.environ.get(USER, ""))


def _host_name(host: str) -> str:
    """The name or address in a Host, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or host).rstrip(".").lower()
    except ValueError:
        return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
