"""Profiles that count certificates, and what of a world's certificates is in force or on the CRL."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.issuing.crl import issuer_id
from ca.ports import StoredCertificate
from ca.scep.messages import Outcome
from tests.forging_csr import Key
from tests.world import World, certificate_of

FULL = "this subject has as many certificates in force as it may have, "


def most(number: int, when_full: str = "refuse", more: str = "") -> str:
    """Settings by which a subject has at most *number* certificates, and *more* of the profile."""
    return f'[profiles.default]\nmax_active = {number}\nwhen_full = "{when_full}"\n{more}'


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def in_force(world: World) -> list[StoredCertificate]:
    alive = [one for one in world.issued() if one.revoked_at is None and one.not_after > world.now]
    return sorted(alive, key=lambda one: one.not_before)


def serials(outcomes: list[Outcome]) -> list[str]:
    return [f"{certificate_of(one).serial_number:x}" for one in outcomes]


def on_crl(world: World) -> dict[str, str]:
    """The serial numbers in the CRL, each with its reason."""
    stored = world.store.read(lambda repository: repository.find_crl(issuer_id(world.ca)))
    assert stored is not None
    return {
        f"{one.serial_number:x}": one.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        for one in x509.load_der_x509_crl(stored.der)
    }
