"""Windows security identifiers (KB5014754): a way into an account, that nobody gets by asking."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from app.store.records import NewChallenge
from ca.asn1 import writer
from ca.issuing.sid import check_sid, sid_extension
from ca.profiles import Grants
from ca.scep.messages import MessageType
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension
from ca.x509.general_names import SID_URI_HEAD
from tests.forging_csr import alternative_names, dns
from tests.policing import DUE, ask_for, assert_no, govern, names_of, renew, san, validated
from tests.world import Device, World, certificate_of, rsa_key

SID = "S-1-5-21-3623811015-3361044348-30300820-1013"
ADMINISTRATOR = "S-1-5-21-3623811015-3361044348-30300820-500"
URI = f"uri:{SID_URI_HEAD}{SID}"


@pytest.fixture
def world() -> Iterator[World]:
    """A CA with one plain challenge password, and one that vouches for ``SID``, each of one use."""
    world = World(uses=1)
    vouch(world)
    yield world
    world.store.close()


def vouch(world: World, secret: str = "windows", sid: str = SID, subject: str | None = None) -> None:
    record = NewChallenge(
        mac=world.challenge_key.mac(secret),
        profile="default",
        uses_left=1,
        expires_at=None,
        created_at=world.now,
        subject=subject,
        sid=sid,
    )
    world.store.transact(lambda repository: repository.add_challenge(record))


def uri(sid: str = SID) -> Extension:
    return san(f"uri:{SID_URI_HEAD}{sid}")


WISHES = {
    "a URI": (uri(),),
    "a URI in capitals": (alternative_names(writer.encode(0x86, (SID_URI_HEAD.upper() + SID).encode())),),
    "an extension": (sid_extension(SID),),
    "a critical extension": (Extension(oids.MICROSOFT_SID, True, sid_extension(SID).value),),
    "both": (uri(), sid_extension(SID)),
}


ENCODED = {"a URI with its comma encoded": (san(f"uri:{SID_URI_HEAD.replace(',', '%2C')}{SID}"),)}


@pytest.mark.parametrize("wishes", [*WISHES.values(), *ENCODED.values()], ids=[*WISHES, *ENCODED])
def test_nobody_gets_one_by_asking(world: World, wishes: tuple[Extension, ...]) -> None:
    """The certificate would log its holder on as that account."""
    assert_no(ask_for(world, wishes=wishes), "asks for a Windows security identifier")
    assert world.issued() == []
    assert world.uses_left() == [1, 1]


@pytest.mark.parametrize("others", ["refuse", "drop"])
def test_no_rule_for_uris_lets_one_pass(world: World, others: str) -> None:
    """Whoever allowed any URI did not mean this one; it is refused and not dropped, so that it is seen."""
    govern(world, f'[profiles.default.san]\nuri = ["**"]\nothers = "{others}"\n')

    assert_no(ask_for(world, wishes=(uri(),)), "asks for a Windows security identifier")


FORMS = [
    ('["uri", "extension"]', True, True),
    ('["uri"]', True, False),
    ('["extension"]', False, True),
    ("[]", False, False),
]


@pytest.mark.parametrize(("forms", "in_uri", "in_extension"), FORMS)
@pytest.mark.parametrize("asked", ["nothing", *WISHES])
def test_a_challenge_vouches_for_one(
    world: World, forms: str, in_uri: bool, in_extension: bool, asked: str
) -> None:
    """Asked for or not, and in the forms that the profile says."""
    govern(world, f"[profiles.default]\nsid = {forms}\n")
    wishes = WISHES.get(asked, ())

    outcome = ask_for(world, secret="windows", wishes=wishes)

    assert names_of(outcome) == ([URI] if in_uri else [])
    assert (oids.MICROSOFT_SID in certificate_of(outcome).extensions) is in_extension
    assert world.uses_left() == [1, 0]


def test_a_profile_that_allows_no_uris_gives_the_vouched_one(world: World) -> None:
    """It is the administrator's own wish, and no name of the device's."""
    govern(world, '[profiles.default]\nsan = ["dns"]\n')

    assert names_of(ask_for(world, "CN=a", "dns:a.example", secret="windows")) == ["dns:a.example", URI]


@pytest.mark.parametrize(
    "wishes",
    [
        (uri(ADMINISTRATOR),),
        (sid_extension(ADMINISTRATOR),),
        (uri(), sid_extension(ADMINISTRATOR)),
        (san(URI, f"uri:{SID_URI_HEAD}{ADMINISTRATOR}"),),
        (uri(SID.lower()),),
        (uri(SID + "0"),),
    ],
    ids=["URI", "extension", "one of two", "a second URI", "another spelling", "a longer one"],
)
def test_another_than_the_vouched_one_is_refused(world: World, wishes: tuple[Extension, ...]) -> None:
    """A voucher for one account is none for the administrator's."""
    outcome = ask_for(world, secret="windows", wishes=wishes)

    assert_no(outcome, "asks for another Windows security identifier than it may have")
    assert world.uses_left() == [1, 1]


def test_a_bound_challenge_may_vouch_for_one(world: World) -> None:
    """It is bound to no alternative name, and the identifier is none of the device's own."""
    vouch(world, "bound", subject="CN=ipad-17")

    assert names_of(ask_for(world, secret="bound")) == [URI]


def test_a_validator_vouches_for_one(world: World) -> None:
    """Intune and the like know the account of the person who enrols."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    validated(world, Grants(sid=SID))

    assert names_of(ask_for(world)) == [URI]


def test_a_validator_may_say_it_as_an_alternative_name(world: World) -> None:
    """It answers with the names of a certificate; the identifier goes where the profile says."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\nsan = ["dns"]\n')
    validated(world, Grants(subject_alt_names=("dns:a.example", URI)))

    outcome = ask_for(world, wishes=(sid_extension(SID),))

    assert names_of(outcome) == ["dns:a.example", URI]
    assert oids.MICROSOFT_SID in certificate_of(outcome).extensions


@pytest.mark.parametrize(
    "grants",
    [
        Grants(subject_alt_names=(URI,), sid=ADMINISTRATOR),
        Grants(subject_alt_names=(URI, f"uri:{SID_URI_HEAD}{ADMINISTRATOR}")),
    ],
    ids=["two ways", "two names"],
)
def test_a_voucher_that_contradicts_itself_is_none(world: World, grants: Grants) -> None:
    """Which of the two accounts it is must not be a guess of ours."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    validated(world, grants)

    assert_no(ask_for(world), "that are vouched for contradict each other")


@pytest.mark.parametrize("sid", ["root", "S-1-5-32-544", "S-1-5-18"])
def test_nobody_vouches_for_what_is_no_account(world: World, sid: str) -> None:
    """A certificate that stands for the administrators' group, or the system, is nobody's to give."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    validated(world, Grants(sid=sid))

    assert_no(ask_for(world), "that is vouched for is no account's")


AS_REQUESTED = [
    ((), True),
    ((uri(),), True),
    ((sid_extension(SID),), True),
    ((uri(), sid_extension(SID)), True),
    ((uri(), sid_extension(ADMINISTRATOR)), False),
    ((uri("root"),), False),
    ((uri("S-1-5-21-" + "9" * 11),), False),
    ((uri(SID + "-"),), False),
    ((uri("S-1-5-32-544"),), False),
    ((sid_extension("S-1-5-18"),), False),
]


@pytest.mark.parametrize(("wishes", "good"), AS_REQUESTED)
def test_a_validator_may_vouch_for_what_is_asked(
    world: World, wishes: tuple[Extension, ...], good: bool
) -> None:
    """Intune looks at the request itself; what contradicts itself it cannot have meant, nor what is none."""
    govern(world, '[profiles.default]\nvalidator = "mdm"\n')
    validated(world, Grants(sid_as_requested=True))

    outcome = ask_for(world, wishes=wishes)

    if good:
        assert names_of(outcome) == ([URI] if wishes else [])
    else:
        assert_no(outcome, "asks for ")


def _first(world: World) -> Certificate:
    old = certificate_of(ask_for(world, secret="windows"))
    world.now = DUE
    return old


def _sids(certificate: Certificate) -> tuple[list[str], bytes | None]:
    extension = certificate.extensions.get(oids.MICROSOFT_SID)
    names = [str(one) for one in certificate.subject_alt_names]
    return names, None if extension is None else extension.value


RENEWING = "[profiles.default]\nrenewal_same_names = false\n"


@pytest.mark.parametrize("toml", ["", RENEWING], ids=["same names", "other names"])
@pytest.mark.parametrize("asked", ["nothing", *WISHES])
def test_a_renewal_keeps_it(world: World, toml: str, asked: str) -> None:
    """The old certificate vouches for it, whether the device repeats it or not."""
    govern(world, toml)
    old = _first(world)

    new = certificate_of(renew(world, old, wishes=WISHES.get(asked, ())))

    assert _sids(new) == _sids(old) == ([URI], sid_extension(SID).value)


@pytest.mark.parametrize("toml", ["", RENEWING], ids=["same names", "other names"])
@pytest.mark.parametrize("form", [uri, sid_extension])
def test_a_renewal_gets_no_other(world: World, toml: str, form: object) -> None:
    """Or every holder of a certificate could become everybody."""
    govern(world, toml)
    old = _first(world)
    wish = uri(ADMINISTRATOR) if form is uri else sid_extension(ADMINISTRATOR)

    assert_no(renew(world, old, wishes=(wish,)), "asks for another Windows security identifier")


@pytest.mark.parametrize("toml", ["", RENEWING], ids=["same names", "other names"])
def test_a_certificate_without_one_renews_to_none(world: World, toml: str) -> None:
    """It vouches for nothing that it does not say."""
    govern(world, toml)
    old = certificate_of(ask_for(world))
    world.now = DUE

    assert_no(renew(world, old, wishes=(uri(),)), "asks for a Windows security identifier")
    assert _sids(certificate_of(renew(world, old))) == ([], None)


def test_a_holder_of_an_old_certificate_gets_one_by_a_new_challenge(world: World) -> None:
    """Windows signs an enrolment with whatever it has, and the new password vouches for more."""
    old = certificate_of(ask_for(world))
    world.now = DUE

    outcome = renew(world, old, secret="windows", wishes=(uri(),), message_type=MessageType.PKCS_REQ)

    assert names_of(outcome) == [URI]
    assert world.uses_left() == [0, 0]


@pytest.mark.parametrize(("forms", "in_uri", "in_extension"), FORMS[:3])
def test_a_renewal_has_it_in_the_forms_of_today(
    world: World, forms: str, in_uri: bool, in_extension: bool
) -> None:
    """The setting changed since; that is no change of names."""
    old = _first(world)
    govern(world, f"[profiles.default]\nsid = {forms}\n")

    names, extension = _sids(certificate_of(renew(world, old)))

    assert (names == [URI], extension is not None) == (in_uri, in_extension)


BROKEN = {
    "nothing": b"",
    "an empty SEQUENCE": writer.sequence(),
    "two names": writer.sequence(dns("a"), dns("b")),
    "a dNSName": writer.sequence(dns("a.example")),
    "an otherName of another kind": writer.sequence(
        writer.encode(0xA0, writer.oid("1.2.3") + writer.explicit(0, writer.octet_string(SID.encode())))
    ),
    "no octets": writer.sequence(
        writer.encode(0xA0, writer.oid(oids.MICROSOFT_SID_VALUE) + writer.explicit(0, writer.NULL))
    ),
    "octets outside ASCII": writer.sequence(
        writer.encode(
            0xA0, writer.oid(oids.MICROSOFT_SID_VALUE) + writer.explicit(0, writer.octet_string(b"\xff"))
        )
    ),
}


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)
def test_an_extension_of_another_form_is_refused(world: World, value: bytes) -> None:
    """Also for who has a voucher: Windows might read in it what is not read here."""
    wish = Extension(oids.MICROSOFT_SID, False, value)

    assert_no(ask_for(world, secret="windows", wishes=(wish,)), "a requested extension cannot be read")


def test_others_read_the_extension_as_windows_writes_it(world: World, tmp_path: Path) -> None:
    """[MS-WCCE] 2.2.2.7.7.4: one otherName, whose value is the text in an OCTET STRING."""
    certificate = x509.load_der_x509_certificate(certificate_of(ask_for(world, secret="windows")).der)
    oid = x509.ObjectIdentifier(oids.MICROSOFT_SID)

    extension = certificate.extensions.get_extension_for_oid(oid)

    assert not extension.critical
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    # cryptography reads it under the name of the other extension that holds GeneralNames.
    borrowed = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, extension.value.value)
    request = Device().csr_builder().add_extension(borrowed, critical=False).sign(rsa_key(1), SHA256())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    value = writer.octet_string(SID.encode())
    assert list(names) == [x509.OtherName(x509.ObjectIdentifier(oids.MICROSOFT_SID_VALUE), value)]
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here")
    (tmp_path / "value.der").write_bytes(extension.value.value)
    shown = subprocess.run(
        [openssl, "asn1parse", "-inform", "DER", "-in", str(tmp_path / "value.der")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line.split("prim:")[-1].split("cons:")[-1].replace(" ", "") for line in shown] == [
        "SEQUENCE",
        "cont[0]",
        f"OBJECT:{oids.MICROSOFT_SID_VALUE}",
        "cont[0]",
        f"OCTETSTRING:{SID}",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "S-1-5",
            "s-1-5-21",
            "S-1-5-21-",
            "S-1-5-21-x",
            "S-2-5-21",
            SID + "\n",
            "S-1-5-32-544",
            "S-1-5-18",
        ),
        *("S-1-5-21-1-2-3-4294967296", "S-1-5-21-1-2-3", "S-1-5-21-1-2-3-0500"),
    ],
)
def test_a_text_that_is_no_identifier_is_told(text: str) -> None:
    """Before a challenge password is made for it."""
    with pytest.raises(ValueError, match="no account's security identifier"):
        check_sid(text)


def test_an_identifier_is_taken_as_it_is() -> None:
    """Windows compares the text."""
    assert check_sid(SID) == SID
