"""``enroll --as``: the same enrolment by another client, who asks and judges in its own way."""

from collections.abc import Callable
from functools import partial

from cryptography.hazmat.primitives.asymmetric import rsa

from app.cli.context import Refusal, say
from app.client import ClientError, Identity, Unreachable, Unsettled
from app.doctor.target import Target
from app.personas import Persona, Reach, Session, enrol, renew
from ca.algorithms.keys import PrivateKey
from ca.x509.certificate import Certificate
from ca.x509.general_names import GeneralName
from ca.x509.name import Name


def check_fits(persona: Persona, key: PrivateKey, renewed: Identity | None) -> rsa.RSAPrivateKey:
    """The *key* to certify, if this client can have it.

    Raises:
        Refusal: This client has no such keys, or does not renew.

    """
    if renewed and not persona.renewal:
        raise Refusal(f"{persona.title} does not renew but enrols anew: leave out --renew, give --challenge")
    if not isinstance(key, rsa.RSAPrivateKey) or (renewed and not isinstance(renewed.key, rsa.RSAPrivateKey)):
        raise Refusal(f"{persona.title} has RSA keys: leave --key-type at rsa:2048, or give such a --key")
    return key


def enrol_as(
    persona: Persona,
    url: str,
    *,
    subject: Name,
    names: tuple[GeneralName, ...],
    key: rsa.RSAPrivateKey,
    challenge: str,
    renewed: Identity | None,
    fingerprint: str | None,
    wait: Callable[[int], bool],
) -> tuple[Certificate, tuple[Certificate, ...]]:
    """Have *persona* ask; return the certificate, and the CA's with the issuing one first.

    Raises:
        ClientError, Unsettled: It has no certificate; the text says at what it stopped.

    """
    begin = partial(renew, persona, url, renewed) if renewed else partial(enrol, persona, url)
    session = begin(
        subject=subject,
        names=names,
        key=key,
        challenge=challenge,
        wait=wait,
        reach=Reach(fingerprint=fingerprint),
    )
    # The server's own words are in it, and it may say again what it was asked.
    hide = Target(url).conceal
    for objection in session.objections:
        if not objection.refuses:
            say(f"warning: {hide(str(objection))}")
    if session.certificate is None:
        raise _what_happened(session, hide(session.outcome))
    return Certificate.load(session.certificate), tuple(map(Certificate.load, session.authorities))


def _what_happened(session: Session, outcome: str) -> ClientError:
    """The error by which the key is kept or thrown away: kept wherever there may be a certificate for it."""
    stopped = {one.finding for one in session.objections if one.refuses}
    sent = any(one.operation == "PKIOperation" for one in session.exchanges)
    if "refused" in stopped:
        return ClientError(outcome)
    if sent:
        return Unsettled(outcome)
    if stopped & {"unreachable", "tls-untrusted"}:
        return Unreachable(outcome)
    return ClientError(outcome)
