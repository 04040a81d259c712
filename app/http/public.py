"""The public pages beside SCEP: what this server is, the CA certificate as a file, and health."""

from collections.abc import Callable, Mapping
from html import escape

from bottle import Bottle, HTTPResponse, request

from app.http.answers import guarded, refuse, reply
from ca.x509.certificate import Certificate

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{subject}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }}
code {{ overflow-wrap: anywhere; }} dt {{ font-weight: 600; margin-top: 1rem; }} dd {{ margin: 0; }}
</style></head><body>
<h1>{subject}</h1>
<p>This is a certificate authority that devices enrol with by SCEP (RFC 8894).</p>
<dl>
<dt>SCEP address</dt><dd><code>{url}</code></dd>
<dt>SHA-256 fingerprint of the CA certificate</dt><dd><code>{sha256}</code></dd>
<dt>SHA-1, for devices that ask for it</dt><dd><code>{sha1}</code></dd>
<dt>Valid until</dt><dd>{not_after:%Y-%m-%d %H:%M} UTC</dd>
<dt>The CA certificate</dt><dd><a href="/ca.cer">ca.cer</a> (DER), <a href="/ca.pem">ca.pem</a> (PEM)</dd>
</dl>
<p>Compare the fingerprint with what the person who runs this server told you before you trust it.</p>
</body></html>
"""


class PublicPages:
    """``/``, ``/ca.cer``, ``/ca.pem``, ``/ca/NAME.cer``, ``/healthz`` and ``/readyz``.

    *is_ready* says whether the store answers and can be written; the rest is served whether it does or
    not. *base_url* is how devices reach this server; empty is however the reader of the page reached it.
    *files* are the certificates of all CAs, in DER: what was issued by one names its own.
    """

    def __init__(
        self,
        certificate: Certificate,
        pem: bytes,
        is_ready: Callable[[], bool],
        base_url: str,
        files: Mapping[str, bytes],
    ) -> None:
        self._certificate = certificate
        self._pem = pem
        self._is_ready = is_ready
        self._base_url = base_url
        self._files = files

    def add_to(self, web: Bottle) -> None:
        """Lay the routes."""
        web.route("/", "GET", guarded(self._index))
        web.route("/ca.cer", "GET", guarded(lambda: reply(self._certificate.der, "application/pkix-cert")))
        web.route("/ca.pem", "GET", guarded(lambda: reply(self._pem, "application/x-pem-file")))
        web.route("/ca/<name>.cer", "GET", guarded(self._file))
        web.route("/healthz", "GET", guarded(lambda: reply(b"ok\n", "text/plain", store=False)))
        web.route("/readyz", "GET", guarded(self._ready))

    def _index(self) -> HTTPResponse:
        certificate = self._certificate
        base_url = self._base_url or f"http://{request.environ.get('HTTP_HOST', 'this-server')}"
        page = _PAGE.format(
            subject=escape(str(certificate.subject)),
            url=escape(f"{base_url.rstrip('/')}/scep"),
            sha256=_colons(certificate.fingerprint()),
            sha1=_colons(certificate.fingerprint_sha1()),
            not_after=certificate.not_valid_after,
        )
        return reply(page.encode(), "text/html; charset=utf-8")

    def _file(self, name: str) -> HTTPResponse:
        if name not in self._files:
            return refuse(404, "no CA of that name is known here")
        return reply(self._files[name], "application/pkix-cert")

    def _ready(self) -> HTTPResponse:
        if self._is_ready():
            return reply(b"ready\n", "text/plain", store=False)
        return refuse(503, "the store does not answer, or cannot be written", Retry_After="5")


def _colons(fingerprint: str) -> str:
    """``AB:CD:...``, as device screens show it."""
    return ":".join(fingerprint[i : i + 2] for i in range(0, len(fingerprint), 2)).upper()
