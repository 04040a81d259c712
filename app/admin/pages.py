"""The pages of the administrator's site: what a person or a machine reads there."""

import base64
import json
import logging
from collections.abc import Callable
from hashlib import sha256
from html import escape

from bottle import Bottle, HTTPResponse

from app import VERSION
from app.admin.gate import HEALTH, user_name
from app.config import ConfigError
from app.http.answers import guarded, reply
from app.settings import Change
from ca.journal import log_line
from ca.x509.certificate import Certificate

log = logging.getLogger(__name__)
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
code { overflow-wrap: anywhere; } dt { font-weight: 600; margin-top: 1rem; } dd { margin: 0; }
"""
# The only style sheet that browsers are to follow here (Content-Security-Policy Level 3, 2.3.1).
STYLE_SOURCE = f"'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>scepbox: {subject}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{style}</style></head><body>
<h1>{subject}</h1>
<p>The administrator's site of this certificate authority (scepbox {version}).</p>
<dl>
<dt>SHA-256 fingerprint of the CA certificate</dt><dd><code>{sha256}</code></dd>
<dt>SHA-1, for devices that ask for it</dt><dd><code>{sha1}</code></dd>
<dt>Valid until</dt><dd>{not_after:%Y-%m-%d %H:%M} UTC</dd>
<dt>Profiles</dt><dd>{profiles}</dd>
<dt>A challenge password, as NDES hands it out</dt>
<dd><a href="/certsrv/mscep_admin/">/certsrv/mscep_admin/</a>, anew at each visit</dd>
<dt>Take in changed settings</dt>
<dd><code>{reload}</code>, or POST to <code>/api/v1/reload</code> with
<code>Content-Type: application/json</code></dd>
</dl>
</body></html>
"""


class AdminPages:
    """``/``, ``/api/v1/reload`` and the health line.

    *reload* takes the settings in for whom it is told, or raises ConfigError; *reload_command* is the
    verb that does the same.
    """

    def __init__(
        self,
        certificate: Certificate,
        profiles: list[str],
        reload: Callable[[str], Change],
        reload_command: str,
    ) -> None:
        self._certificate = certificate
        self._profiles = profiles
        self._reload = reload
        self._reload_command = reload_command

    def add_to(self, web: Bottle) -> None:
        """Lay the routes."""
        web.route("/", "GET", guarded(self._index))
        web.route(HEALTH, "GET", guarded(lambda: reply(b"ok\n", "text/plain")))
        web.route("/api/v1/reload", "POST", guarded(self._take_in))

    def _index(self) -> HTTPResponse:
        certificate = self._certificate
        page = _PAGE.format(
            subject=escape(str(certificate.subject)),
            style=_STYLE,
            version=VERSION,
            sha256=certificate.fingerprint().upper(),
            sha1=certificate.fingerprint_sha1().upper(),
            not_after=certificate.not_valid_after,
            profiles=", ".join(f"<code>{escape(name)}</code>" for name in self._profiles),
            reload=escape(self._reload_command),
        )
        return reply(page.encode(), "text/html; charset=utf-8")

    def _take_in(self) -> HTTPResponse:
        try:
            change = self._reload(f"administrator {user_name()}")
        except ConfigError as error:
            log.warning(log_line(message="the settings were not taken in", detail=error, user=user_name()))
            return answer_json({"taken_in": False, "problems": str(error).splitlines()}, 422)
        changed, waiting = list(change.names), list(change.waiting)
        return answer_json({"taken_in": True, "changed": changed, "takes_effect_at_the_next_start": waiting})


def answer_json(value: object, status: int = 200) -> HTTPResponse:
    """JSON for a machine."""
    body = json.dumps(value, indent=2).encode() + b"\n"
    return HTTPResponse(body, status, {"Content-Type": "application/json"})
