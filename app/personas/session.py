"""One session of a persona with a server: it asks as that client asks, and stops where that client stops."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client import Identity
from app.personas.conversation import Conversation, Reach, Session
from app.personas.material import make_material
from app.personas.persona import Persona
from ca.scep.messages import MessageType
from ca.x509.general_names import GeneralName
from ca.x509.name import Name

_REACH = Reach()


def look(persona: Persona, url: str, reach: Reach = _REACH) -> Session:
    """Ask what the client asks before it sends anything, and judge that."""
    conversation = Conversation(persona, url, reach)
    return conversation.run(lambda: "it would go on: capabilities and CA certificate are good to it")


def enrol(
    persona: Persona,
    url: str,
    *,
    subject: Name,
    key: rsa.RSAPrivateKey,
    challenge: str = "",
    names: tuple[GeneralName, ...] = (),
    wait: Callable[[int], bool] = lambda _: False,
    reach: Reach = _REACH,
) -> Session:
    """Enrol as the client does. *wait* is as that of :meth:`app.client.ScepClient.enrol`."""
    material = make_material(persona, subject, names, key, challenge)
    conversation = Conversation(persona, url, reach)
    return conversation.run(lambda: conversation.request(MessageType.PKCS_REQ, material, wait))


def renew(
    persona: Persona,
    url: str,
    identity: Identity,
    *,
    key: rsa.RSAPrivateKey,
    subject: Name | None = None,
    challenge: str = "",
    names: tuple[GeneralName, ...] = (),
    wait: Callable[[int], bool] = lambda _: False,
    reach: Reach = _REACH,
) -> Session:
    """Renew the certificate of *identity* for *key*, which may be its own, and for its *subject*.

    Raises:
        ValueError: This client does not renew by SCEP.

    """
    if not persona.renewal:
        raise ValueError(f"{persona.title} does not renew by itself: it enrols anew, with another challenge")
    wanted = subject or identity.certificate.subject
    material = make_material(persona, wanted, names, key, challenge, identity)
    conversation = Conversation(persona, url, reach, renews=True)
    return conversation.run(lambda: conversation.request(MessageType(persona.renewal), material, wait))
