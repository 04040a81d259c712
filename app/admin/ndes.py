"""The page that NDES shows at ``/certsrv/mscep_admin/``, for the programs that look for a password in it.

The words and the mark-up around thumbprint and password are theirs to rely on: see tests/test_ndes.py
for what several of them look for.
"""

import logging
from dataclasses import dataclass

from bottle import Bottle, HTTPResponse, request

from app.admin.gate import comes_from_elsewhere, user_name
from app.admin.ndes_passwords import NdesPasswords, PasswordCacheFull
from app.http.answers import guarded, refuse
from ca.journal import log_line
from ca.x509.certificate import Certificate

log = logging.getLogger(__name__)
# IIS does not care about case, and both are told in instructions.
PATHS = ("/certsrv/mscep_admin", "/CertSrv/mscep_admin")
_TITLE = "Network Device Enrollment Service"
_ABOUT = (
    f"{_TITLE} allows you to obtain certificates for routers or other network devices using the "
    "Simple Certificate Enrollment Protocol (SCEP)."
)
_HANDED_OUT = (
    "<P> The thumbprint (hash value) for the CA certificate is: <B> {thumbprint} </B>"
    " <P> The enrollment challenge password is: <B> {password} </B> <P> {validity}"
)
_ONCE = "This password can be used only once and will expire within {minutes} minutes."
_ALWAYS = "This password can be used multiple times and will not expire."
# The scrapers know the first sentence; the rest is for people.
_FULL = (
    "<P> The password cache is full. <P> {most} passwords wait to be used. Use one, wait until one expires, "
    "or raise [challenge] ndes_cache."
)


@dataclass(frozen=True, slots=True)
class NdesPage:
    """Hands out a challenge password at each visit.

    With *utf16* the page is UTF-16 in little-endian order behind its mark, as Windows sends it.
    """

    certificate: Certificate
    passwords: NdesPasswords
    utf16: bool
    # Whether the profile that the passwords are for asks for one.
    accepted: bool = True

    def add_to(self, web: Bottle) -> None:
        """Lay the routes."""
        for path in PATHS:
            web.route(path, "GET", guarded(self._show))
            web.route(f"{path}/", "GET", guarded(self._show))

    def _show(self) -> HTTPResponse:
        if request.method != "GET":
            return refuse(405, "GET makes a password", Allow="GET")
        if comes_from_elsewhere():
            return refuse(403, "another site has led here; open the address by itself")
        if not self.accepted:
            hint = "set [challenge] ndes_profile to one that accepts passwords"
            return refuse(409, f'profile {self.passwords.profile} has challenge = "none"; {hint}')
        try:
            password = self.passwords.hand_out(f"administrator {user_name()}")
        except PasswordCacheFull:
            log.warning(log_line(message="the NDES password cache is full", user=user_name()))
            return self._page(_FULL.format(most=self.passwords.most))
        log.info(log_line(message="a challenge password was handed out", user=user_name(), by="NDES page"))
        minutes = int(self.passwords.lifetime.total_seconds() // 60)
        validity = _ALWAYS if self.passwords.single else _ONCE.format(minutes=minutes)
        thumbprint = _in_eights(self.certificate.fingerprint_sha1())
        return self._page(_HANDED_OUT.format(thumbprint=thumbprint, password=password, validity=validity))

    def _page(self, text: str) -> HTTPResponse:
        charset = "utf-16" if self.utf16 else "utf-8"
        page = (
            f'<HTML><Head><Meta HTTP-Equiv="Content-Type" Content="text/html; charset={charset}">'
            f"<Title>{_TITLE}</Title></Head><Body><P> {_ABOUT} </P>{text} </P></Body></HTML>"
        )
        body = b"\xff\xfe" + page.encode("utf-16-le") if self.utf16 else page.encode()
        return HTTPResponse(body, 200, {"Content-Type": f"text/html; charset={charset}"})


def _in_eights(fingerprint: str) -> str:
    """``0AFD87C0 BAE529BA ...``, as NDES groups it; never 16 characters in a row, as a password has."""
    return " ".join(fingerprint[i : i + 8] for i in range(0, len(fingerprint), 8)).upper()
