"""Profiles as an administrator writes them, and devices that ask for names under them."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app.config import Config
from app.config.contradictions import check_contradictions
from app.store.repository import SqlRepository
from ca.errors import FailInfo
from ca.issuing.crl import CRL_LIFETIME
from ca.issuing.reasons import Reason
from ca.issuing.revocation import revoke
from ca.ports import Allowed, Applicant, Verdict
from ca.profiles import DEFAULT, Grants, Profile
from ca.scep.messages import Failure, MessageType, Outcome
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension
from ca.x509.general_names import GeneralName
from ca.x509.name import Name
from tests.forging_csr import Key, alternative_names, ask, challenge, csr, extension_request, spki_of
from tests.world import NOW, SECRET, Device, World, certificate_of, rsa_key

RENEWAL = MessageType.RENEWAL_REQ
# Within the thirty days before the end of a certificate that was made at NOW.
DUE = NOW + timedelta(days=340)
REJECTED = "challenge password not accepted"


def profiles_of(toml: str) -> dict[str, Profile]:
    """The profiles of a settings file, by name."""
    settings = tomllib.loads(toml)
    assert list(check_contradictions(settings)) == []
    return Config.model_validate(settings).build_profiles()


def profile_of(toml: str, name: str = DEFAULT) -> Profile:
    """The profile *name* of a settings file."""
    return profiles_of(toml)[name]


def govern(world: World, toml: str, name: str = DEFAULT) -> None:
    """Have *world* answer by the profile *name* of these settings from now on."""
    world.profile = profile_of(toml, name)


@dataclass
class FakeValidator:
    """Says what it is told to say, and counts how often it was asked."""

    verdict: Verdict = field(default_factory=Allowed)
    name: str = "mdm"
    wants_notifications: bool = False
    asked: list[Applicant] = field(default_factory=list)

    def decide(self, applicant: Applicant) -> Verdict:
        self.asked.append(applicant)
        return self.verdict


def validated(world: World, grants: Grants) -> FakeValidator:
    """Have a validator of *world* vouch for *grants*."""
    validator = FakeValidator(Allowed(grants))
    world.responder = replace(world.responder, validators={validator.name: validator})
    return validator


def san(*names: str) -> Extension:
    """A wish for these names, as ``dns:host``."""
    return alternative_names(*(GeneralName.from_text(one).encode() for one in names))


def request(
    subject: str | bytes = "CN=ipad-17",
    *names: str,
    secret: str | None = SECRET,
    wishes: tuple[Extension, ...] = (),
    key: Key | None = None,
) -> bytes:
    """A CSR for *subject*, RFC 4514 text or DER, and for *names*."""
    subject_der = Name.from_text(subject).der if isinstance(subject, str) else subject
    wishes = (*((san(*names),) if names else ()), *wishes)
    attributes = [challenge(secret)] if secret is not None else []
    if wishes:
        attributes.append(extension_request(*wishes))
    return csr(*attributes, subject_der=subject_der, key=key)


def ask_for(
    world: World,
    subject: str | bytes = "CN=ipad-17",
    *names: str,
    secret: str | None = SECRET,
    wishes: tuple[Extension, ...] = (),
    key: Key | None = None,
    transaction_id: str = "t1",
) -> Outcome:
    """Have device 1 enrol with *key*, its own unless another is given."""
    key = key or rsa_key(1)
    payload = request(subject, *names, secret=secret, wishes=wishes, key=key)
    return ask(world, Device(), payload, transaction_id=transaction_id, spki=spki_of(key))


def renew(
    world: World,
    old: Certificate,
    subject: str | bytes = "CN=ipad-17",
    *names: str,
    secret: str | None = None,
    wishes: tuple[Extension, ...] = (),
    key: int = 2,
    signer_key: int = 1,
    transaction_id: str = "t2",
    message_type: MessageType = RENEWAL,
) -> Outcome:
    """Have the device that holds *old* renew it, with key number *key*."""
    device = Device(key=rsa_key(key), signer_key=rsa_key(signer_key), signer=old)
    payload = request(subject, *names, secret=secret, wishes=wishes, key=device.key)
    return ask(world, device, payload, message_type, transaction_id)


def withdraw(world: World, certificate: Certificate, reason: Reason) -> None:
    """Have an operator revoke it."""

    def work(repository: SqlRepository) -> None:
        stored = repository.find_certificate(f"{certificate.serial_number:x}")
        assert stored is not None
        revoke(stored, reason, [world.responder.authority], repository, world.now, CRL_LIFETIME)

    world.store.transact(work)


def got(outcome: Outcome) -> str:
    """The subject that was certified, as text."""
    return str(certificate_of(outcome).subject)


def names_of(outcome: Outcome) -> list[str]:
    """The alternative names that were certified, as text."""
    return [str(one) for one in certificate_of(outcome).subject_alt_names]


def assert_no(outcome: Outcome, words: str) -> None:
    """A refusal as badRequest that says *words*, and no secret."""
    assert isinstance(outcome, Failure), outcome
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert words in outcome.text
    assert len(outcome.text) <= 255
    assert outcome.text.isprintable()
    assert SECRET not in outcome.text


def enrol_each(world: World, numbers: range, ask_one: Callable[[int], Outcome]) -> list[bool]:
    """Whether each of several devices got a certificate, a minute after one another."""
    answers = []
    for number in numbers:
        world.now += timedelta(minutes=1)
        answers.append(not isinstance(ask_one(number), Failure))
    return answers
