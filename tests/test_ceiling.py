"""Whatever a CSR asks, the certificate stays within its profile: some thousand requests made by chance.

``SCEPBOX_CEILING=100000 python tests/run.py tests/test_ceiling.py`` makes a hundred thousand.
"""

import os
import random
import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from app.config.config import Config
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, tags, writer
from ca.deviations import Deviations
from ca.errors import ScepError
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.issuing.reserved import check_not_reserved
from ca.policy.keys import check_key
from ca.policy.renewal_names import renewal_grants
from ca.ports import StoredCertificate
from ca.profiles import Grants, Profile
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage, read_key_purposes
from ca.x509.general_names import is_sid_uri
from ca.x509.request import CertificationRequest, UnprovenRequest
from tests.forging_csr import KEYS, Key, csr, extension_request, rdn
from tests.world import NOW, World, rsa_key

# To count what they pass over would take longer than the tests themselves; others hold it.
pytestmark = pytest.mark.no_cover

REQUESTS = int(os.environ.get("SCEPBOX_CEILING", "3000"))
# For each that is issued; most of them are refused as well.
RENEWALS = 20
SID = "S-1-5-21-1-2-3-1104"
OTHER_SID = "S-1-5-21-1-2-3-500"
# One strict profile in all respects, and the untouched one.
STRICT = Config.model_validate(
    {
        "profiles": {
            "strict": {
                "subject": {
                    "allowed": ["CN", "O"],
                    "required": ["CN"],
                    "others": "drop",
                    "match": {"CN": "ipad-[0-9]+", "O": "Example"},
                },
                "san": {
                    "dns": ["*.example.org"],
                    "ip": ["192.0.2.0/24"],
                    "others": "drop",
                    "most": 3,
                },
                "key_types": ["rsa:2048", "ec:p256"],
                "key_usage": ["digitalSignature"],
                "eku": ["clientAuth"],
                "validity_days": 90,
                "valid_until": "2026-07-31",
            }
        }
    }
).build_profiles()["strict"]
# Names from elsewhere, by patterns of every kind; and names that are made from those that are asked for.
GIVEN = Config.model_validate(
    {
        "profiles": {
            "given": {
                "subject": {
                    "source": "challenge",
                    "template": "CN={CN},O=Example",
                    "match": {"CN": "ipad-.*"},
                },
                "san": {
                    "uri": ["https://*.example.org/**"],
                    "email": ["*@example.org"],
                    "upn": ["*@corp.example"],
                    "dns": ["*.example.org"],
                    "required": ["dns"],
                    "others": "drop",
                },
            }
        }
    }
).build_profiles()["given"]
PROFILES = {"strict": STRICT, "default": Profile(), "given": GIVEN}
ATTRIBUTES = ("2.5.4.3", "2.5.4.10", "2.5.4.11", "2.5.4.6", "2.5.4.5", "1.2.840.113549.1.9.1", "1.2.3.4")
WORDS = (
    *(
        "ipad-17",
        "ipad-4",
        "Example",
        "example",
        "ipad-17 ",
        "",
        " ",
        "../ipad-1",
        "ipad-1\0",
        "іpad-1",
        "x" * 300,
        *("ipad-1\ufe0f", "ipad-1\U000e0101", "ipad-1\u180b", "ipad-1\u2065", "ipad-1\u0378", "ipad-1\ufffe"),
        *("ipad-1\u00a0", "\u3000ipad-1", "\ua4eepad-1", "ipad-paypa\u217c", "Test CA", "test\u00a0ca"),
    ),
    *("DE", "root", "Administrator", "株式会社", "ipad-17\nCN=x", "\u202eipad", "{CN}", "CN=ipad-1"),
)
HOSTS = ("a.example.org", "b.example.org", "*.example.org", "a.b.example.org", "example.org", "evil.example")
URIS = (
    "https://a.example.org/x",
    "https://evil.example?.example.org/x",
    "https://evil.example#.example.org/x",
    "https://a@evil.example:1?.example.org/x",
)
# What nobody sees, in other words than those of the program: by their names in Unicode.
UNSEEN = ("VARIATION SELECTOR", "ZERO WIDTH", "HANGUL FILLER", "TAG ")
PURPOSES = (
    "1.3.6.1.5.5.7.3.2",
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.9",
    "2.5.29.37.0",
    "1.3.6.1.5.5.7.3.3",
    "1.2.3",
)
TAGS = (tags.UTF8_STRING, tags.PRINTABLE_STRING, tags.IA5_STRING, tags.T61_STRING, tags.BMP_STRING)


@dataclass(frozen=True, slots=True)
class Chance:
    """Requests of every sort, sound and unsound, that a number makes again."""

    random: random.Random

    def request(self, keys: dict[str, Key]) -> bytes:
        """A CSR that its key has signed."""
        choose = self.random
        wishes = [make(self) for make in _WISHES if choose.random() < 0.3]
        attributes = [extension_request(*wishes)] if wishes else []
        return csr(*attributes, key=keys[choose.choice(list(keys))], subject_der=self.subject())

    def subject(self) -> bytes:
        choose = self.random
        parts = [
            rdn(choose.choice(ATTRIBUTES), self.word(), choose.choice(TAGS))
            for _ in range(choose.randrange(5))
        ]
        # Half of them begin as they should, or hardly one would come through.
        if choose.random() < 0.5:
            parts.insert(0, rdn("2.5.4.3", f"ipad-{choose.randrange(1000)}"))
        return writer.sequence(*parts)

    def word(self) -> bytes:
        word = self.random.choice(WORDS)
        return word.encode("utf-16-be" if self.random.random() < 0.05 else "utf-8")

    def names(self) -> Extension:
        choose = self.random
        made = [
            writer.encode(0x82, choose.choice(HOSTS).encode()),
            writer.encode(0x87, bytes(choose.randrange(256) for _ in range(choose.choice((4, 16, 5))))),
            writer.encode(0x87, bytes((192, 0, 2, choose.randrange(256)))),
            writer.encode(
                0x81, choose.choice((b"root@example.org", b"root@example.com", b"a@b@example.org"))
            ),
            writer.encode(0x86, choose.choice(URIS).encode()),
            writer.encode(
                0x86, choose.choice((b"urn:x", f"tag:microsoft.com,2022-09-14:sid:{OTHER_SID}".encode()))
            ),
            writer.encode(0xA4, writer.sequence(rdn("2.5.4.3", "other"))),
            writer.encode(
                0xA0, writer.oid(oids.USER_PRINCIPAL_NAME) + writer.explicit(0, writer.utf8_string("a@b"))
            ),
        ]
        chosen = choose.choices(made, k=choose.choice((1, 1, 2, 3, 5, 200)))
        return Extension(oids.SUBJECT_ALT_NAME, choose.random() < 0.5, writer.sequence(*chosen))

    def usage(self) -> Extension:
        bits = self.random.sample(list(KeyUsageBit), self.random.randrange(1, 5))
        return Extension(oids.KEY_USAGE, True, encode_key_usage(frozenset(bits)))

    def purposes(self) -> Extension:
        wanted = self.random.sample(PURPOSES, self.random.randrange(1, 4))
        return Extension(oids.EXTENDED_KEY_USAGE, False, writer.sequence(*map(writer.oid, wanted)))

    def authority(self) -> Extension:
        flag = self.random.choice((writer.TRUE, b"", writer.TRUE + writer.integer(0)))
        return Extension(oids.BASIC_CONSTRAINTS, True, writer.sequence(flag))

    def windows(self) -> Extension:
        value = writer.explicit(0, writer.octet_string(OTHER_SID.encode()))
        other = writer.encode(0xA0, writer.oid(oids.MICROSOFT_SID_VALUE) + value)
        return Extension(oids.MICROSOFT_SID, False, writer.sequence(other))

    def unknown(self) -> Extension:
        return Extension("1.2.3.4.5", self.random.random() < 0.5, self.random.randbytes(8))

    def noise(self) -> Extension:
        known = (oids.SUBJECT_ALT_NAME, oids.KEY_USAGE, oids.EXTENDED_KEY_USAGE, oids.BASIC_CONSTRAINTS)
        return Extension(self.random.choice((*known, oids.MICROSOFT_SID)), False, self.random.randbytes(6))

    def grants(self, share: float) -> Grants:
        """What a careless validator says; its word is bound by the profile too."""
        if self.random.random() >= share:
            return Grants()
        subject = self.random.choice((None, "CN=ipad-9,O=Example", "CN=root", "CN=ipad-9,OU=x"))
        names = self.random.choice(
            (None, ("dns:a.example.org", "upn:a@corp.example"), ("dns:evil.example",), ("ip:10.0.0.1",))
        )
        return Grants(subject, names, self.random.choice(("", SID)))


_WISHES = (
    Chance.names,
    Chance.usage,
    Chance.purposes,
    Chance.authority,
    Chance.windows,
    Chance.unknown,
    Chance.noise,
)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_no_certificate_leaves_its_profile(world: World, profile: Profile) -> None:
    """What a CSR asks for is a wish, and what a validator says is bound by the profile as well."""
    seed = int(os.environ.get("SCEPBOX_CEILING_SEED", "8894"))
    chance = Chance(random.Random(seed))
    keys: dict[str, Key] = {name: make() for name, make in KEYS.items()}
    keys["RSA-3072"] = rsa_key(3, 3072)
    counts: Counter[str] = Counter()

    for number in range(REQUESTS // len(PROFILES)):
        der, grants = chance.request(keys), chance.grants(0.9 if profile is GIVEN else 0.3)
        try:
            stored = _issue(world.responder.authority, der, profile, grants)
        except (ScepError, Asn1Error) as refusal:
            counts[type(refusal).__name__] += 1
            continue
        counts["issued"] += 1
        which = f"seed {seed}, request {number}: {der.hex()}"
        _check(Certificate.load(stored.der), profile, grants, which)
        for again in (chance.request(keys) for _ in range(RENEWALS)):
            try:
                kept = renewal_grants(_proven(again), stored, profile)
                renewed = _issue(world.responder.authority, again, profile, kept)
            except (ScepError, Asn1Error):
                continue
            counts["renewed"] += 1
            _check(Certificate.load(renewed.der), profile, kept, f"{which}, renewed by {again.hex()}")

    # It proves nothing if all are refused, or none.
    assert counts["issued"] > REQUESTS // 200
    assert {"SubjectRefused", "WishRefused", "renewed"} <= counts.keys()


def _issue(authority: Authority, der: bytes, profile: Profile, grants: Grants) -> StoredCertificate:
    proven = _proven(der)
    check_key(proven, profile.keys)
    content = certificate_content(proven, profile, grants)
    check_not_reserved(content.subject, [authority.reserved])
    return authority.sign_certificate(proven, content, profile, "t1", NOW)


def _proven(der: bytes) -> CertificationRequest:
    request = UnprovenRequest(der, Deviations())
    assert request.is_proven()
    return request.read(CryptoLevel.COMPATIBLE, Deviations())


def _check(certificate: Certificate, profile: Profile, grants: Grants, which: str) -> None:
    extensions = certificate.extensions
    assert not certificate.is_ca, which
    assert set(read_key_purposes(extensions[oids.EXTENDED_KEY_USAGE].value)) <= set(profile.key_purposes), (
        which
    )
    usage = certificate.key_usage
    assert usage, which
    assert not usage & {KeyUsageBit.keyCertSign, KeyUsageBit.cRLSign}, which
    allowed = {
        oids.BASIC_CONSTRAINTS,
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.SUBJECT_ALT_NAME,
        *([oids.MICROSOFT_SID] if grants.sid else []),
    }
    assert extensions.keys() <= allowed, which
    values = [one.value for one in certificate.subject.attributes()]
    assert all(value.strip() and "../" not in value for value in values), which
    joined = "".join(values)
    unsound = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl"}
    assert not {unicodedata.category(one) for one in joined} & unsound, which
    assert not any(mark in unicodedata.name(one, "") for one in joined for mark in UNSEEN), which
    assert "\u180b" not in joined, which
    assert all(value.strip(" ") == value.strip() for value in values), which
    # A Lisu letter or a Roman numeral beside letters of ASCII.
    assert not {"\ua4ee", "\u217c"} & set(joined), which
    plain = {(one.oid, " ".join(one.value.casefold().split())) for one in certificate.subject.attributes()}
    assert plain != {("2.5.4.3", "test ca")}, which
    names = [one for one in certificate.subject_alt_names if not is_sid_uri(one)]
    assert len(certificate.subject_alt_names) - len(names) == bool(grants.sid), which
    assert not any("*" in one.value for one in names if one.kind == "dns"), which
    assert OTHER_SID.encode() not in certificate.der, which
    if profile is GIVEN:
        assert str(certificate.subject).startswith("CN=ipad-"), which
        assert certificate.subject.attributes()[0].value == "Example", which
        assert any(one.kind == "dns" for one in names), which
        given = {
            "https://a.example.org/x",
            "root@example.org",
            "a.example.org",
            "b.example.org",
            "a@corp.example",
        }
        assert {one.value for one in names} <= given, which
    if profile is STRICT:
        _check_strict(certificate, [str(one) for one in names], which)


def _check_strict(certificate: Certificate, names: list[str], which: str) -> None:
    """The limits once more, in other words than those that the program is written in."""
    attributes = certificate.subject.attributes()
    assert {one.oid for one in attributes} <= {"2.5.4.3", "2.5.4.10"}, which
    common_names = [one.value for one in attributes if one.oid == "2.5.4.3"]
    assert common_names, which
    for value in common_names:
        head, dash, number = value.partition("-")
        assert (head, dash) == ("ipad", "-"), which
        assert number.isdecimal(), which
    assert all(one.value == "Example" for one in attributes if one.oid == "2.5.4.10"), which
    assert set(names) <= {"dns:a.example.org", "dns:b.example.org"} | {
        f"ip:192.0.2.{n}" for n in range(256)
    }, which
    assert certificate.key_usage == frozenset({KeyUsageBit.digitalSignature}), which
    assert certificate.not_valid_after <= datetime(2026, 7, 31, 23, 59, 59, tzinfo=UTC), which
    assert certificate.spki[:40].find(bytes.fromhex("2a8648ce3d0201")) < 0 or len(certificate.spki) == 91, (
        which
    )
