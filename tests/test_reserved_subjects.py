"""Subjects that would have a device pass for a CA or an RA of this server."""

import pytest

from ca.errors import DecisionImpossible
from ca.issuing.registration import make_ra_certificate
from ca.issuing.reserved import ra_subject
from ca.profiles import Grants
from ca.scep.messages import Pending
from tests.policing import ask_for, assert_no, govern, request, validated
from tests.rolling import RollingWorld
from tests.waiting import desk
from tests.world import NOW, Device, World, certificate_of, rsa_key

RESERVED = "the subject is that of a CA or an RA of this server"


@pytest.mark.parametrize(
    "subject", ["CN=Test CA", "CN=TEST  ca ", "CN=Test\u00a0CA", "CN=Test CA+CN=test ca", "CN=Test CA RA"]
)
def test_nobody_is_called_like_a_ca_or_its_ra(world: World, subject: str) -> None:
    """Programs that go by the name alone would take what the device signs for the CA's (RFC 5280 4.1.2.6)."""
    assert_no(ask_for(world, subject), RESERVED)
    assert world.issued() == []


@pytest.mark.parametrize(
    "subject", ["CN=Test CA 2", "CN=Test CA,O=Example", "O=Test CA", "OU=Test CA,CN=ipad-17"]
)
def test_a_name_that_has_it_as_a_part_is_another(world: World, subject: str) -> None:
    """A whole name is what a certificate is found by."""
    certificate_of(ask_for(world, subject))


def test_the_name_of_the_ra_is_the_one_that_is_certified(world: World) -> None:
    """What is reserved is what the server itself would have certified."""
    certificate = make_ra_certificate(world.responder.authority, rsa_key(4), NOW)

    assert certificate.subject_der == ra_subject(world.ca)


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("stage", ["prepare", "activate", "abort"])
def test_no_ca_beside_that_of_today_is_anybodys_name(stage: str, which: str) -> None:
    """The next one's certificate is shown already, and the former one's is believed still."""
    world = RollingWorld()
    getattr(world, stage)()
    name = getattr(world, which).certificate.subject

    assert_no(world.enrol(Device(), request(str(name))), RESERVED)
    world.store.close()


def test_a_validator_makes_nobody_a_ca(world: World) -> None:
    """What nobody gets by asking nobody is given either."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    validated(world, Grants("CN=Test CA"))

    assert_no(ask_for(world), RESERVED)


def test_a_person_makes_nobody_a_ca(world: World) -> None:
    """The template came while the request waited."""
    govern(world, '[profiles.default]\napproval = "manual"\n')
    assert ask_for(world) == Pending()
    govern(world, '[profiles.default]\napproval = "manual"\nsubject = "CN=Test CA"\n')

    with pytest.raises(DecisionImpossible, match=RESERVED):
        desk(world).approve(1)
