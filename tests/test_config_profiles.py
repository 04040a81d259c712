"""The settings of profiles: what each key makes, what is inherited, and mistakes told all at once."""

import tomllib
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.config import Config, load_config
from app.config.contradictions import check_contradictions
from app.config.oddities import find_oddities
from app.config.profile import ProfileSection
from ca.algorithms.levels import CryptoLevel
from ca.profiles import (
    DEFAULT,
    KeyRules,
    Lint,
    Others,
    Profile,
    SanRules,
    SidForm,
    Source,
    SubjectRules,
    WhenFull,
)
from ca.x509 import oids
from ca.x509.extensions import KeyUsageBit
from tests.policing import profile_of, profiles_of
from tests.test_config import problems, write

CN, ORG, OU = "2.5.4.3", "2.5.4.10", "2.5.4.11"


def _default(line: str) -> str:
    return f"[profiles.default]\n{line}\n"


KEYS: dict[str, dict[str, object]] = {
    'challenge = "none"': {"challenge_required": False},
    'approval = "manual"': {"manual_approval": True},
    'validator = "mdm"': {"validator": "mdm"},
    'validator = "mdm"\nvalidate_renewals = true': {"validator": "mdm", "validate_renewals": True},
    "validity_days = 90": {"validity_days": 90},
    "valid_until = 2027-02-28": {"valid_until": datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC)},
    "renewal_days = 0": {"renewal_days": 0},
    "renewal_same_names = false": {"renewal_same_names": False},
    'subject = "CN={CN}"': {"subject": SubjectRules(template="CN={CN}")},
    'subject = ""': {},
    'subject = { source = "challenge" }': {"subject": SubjectRules(Source.CHALLENGE)},
    'subject = { allowed = ["cn", "O", "2.5.4.11"] }': {
        "subject": SubjectRules(allowed=frozenset({CN, ORG, OU}))
    },
    "subject = { allowed = [] }": {"subject": SubjectRules(allowed=frozenset())},
    'subject = { required = ["CN"], others = "drop" }': {
        "subject": SubjectRules(required=(CN,), others=Others.DROP)
    },
    "san = []": {"san": SanRules(allowed={})},
    "san = { only = true }": {"san": SanRules(allowed={})},
    'san = { source = "challenge" }': {"san": SanRules(Source.CHALLENGE)},
    'san = { required = ["dns", "upn"], others = "drop", most = 7 }': {
        "san": SanRules(required=("dns", "upn"), others=Others.DROP, most=7)
    },
    'key_types = ["rsa:3072+", "ec", "ed25519"]': {"keys": KeyRules(("rsa:3072+", "ec", "ed25519"))},
    "keys_shared = false": {"keys": KeyRules(shared=False)},
    "keys_renewed = false": {"keys": KeyRules(renewed=False)},
    'key_usage = ["digitalSignature", "keyAgreement"]': {
        "key_usage": frozenset({KeyUsageBit.digitalSignature, KeyUsageBit.keyAgreement})
    },
    'eku = ["serverAuth", "1.2.3"]': {"key_purposes": (oids.KEY_PURPOSES["serverAuth"], "1.2.3")},
    "max_active = 2": {"max_active": 2},
    'when_full = "revoke-oldest"': {"when_full": WhenFull.REVOKE_OLDEST},
    "sid = []": {"sid": ()},
    'sid = ["extension"]': {"sid": (SidForm.EXTENSION,)},
    'lint = "block"': {"lint": Lint.BLOCK},
    "chain_in_reply = true": {"chain_in_reply": True},
    "empty_content = false": {"empty_content": False},
    "queries = false": {"queries": False},
    'crypto = "modern"': {"crypto": CryptoLevel.MODERN},
}


@pytest.mark.parametrize("line", KEYS)
def test_a_key_makes_just_what_it_says(line: str) -> None:
    """And nothing of the rest changes by it."""
    profile = profile_of(_default(line))

    changed = {
        one.name: getattr(profile, one.name)
        for one in fields(Profile)
        if getattr(profile, one.name) != getattr(Profile(), one.name)
    }
    assert changed == KEYS[line]


def test_every_key_is_tried_here() -> None:
    """A key that is added and not tried may make nothing at all."""
    tried = {name for made in KEYS.values() for name in made} | {"name"}

    assert tried == {one.name for one in fields(Profile)}


def test_nothing_said_is_the_profile_that_policy_has_by_itself() -> None:
    """The defaults of the settings and those of the decision must be one."""
    assert profile_of("") == Profile()
    assert profile_of(_default("[profiles.default.subject]\n[profiles.default.san]")) == Profile()


MISTAKES = [
    ('challenge = "optional"', "challenge"),
    ('approval = "someone"', "approval"),
    ("validator = 7", "validator"),
    ('validate_renewals = "perhaps"', "validate_renewals"),
    ("validity_days = 0", "validity_days"),
    ("validity_days = 36501", "validity_days"),
    ('valid_until = "soon"', "valid_until"),
    ("valid_until = 2027-02-28T12:00:00Z", "valid_until"),
    ("renewal_days = -1", "renewal_days"),
    ('renewal_same_names = "x"', "renewal_same_names"),
    ("subject = 7", "subject"),
    ('subject = ["CN"]', "subject"),
    ('subject = "ipad"', "subject"),
    ('subject = "CN="', "subject"),
    ('subject = "XY={CN}"', "subject"),
    ('subject = "CN={XY}"', "subject"),
    ('subject = "CN={CN"', "subject"),
    ('subject = "CN=CN}"', "subject"),
    ('subject = "CN={}"', "subject"),
    ('subject = "CN={C N}"', "subject"),
    ('subject = "CN={{CN}}"', "subject"),
    ('subject = { template = "O" }', "subject.template"),
    ('subject = { source = "device" }', "subject.source"),
    ('subject = { allowed = ["XY"] }', "subject.allowed"),
    ('subject = { allowed = ["2.5.4.03"] }', "subject.allowed"),
    ('subject = { allowed = "CN" }', "subject.allowed"),
    ('subject = { required = ["1.99.1"] }', "subject.required"),
    ('subject = { others = "keep" }', "subject.others"),
    ('subject = { match = { CN = "(" } }', "subject.match"),
    ('subject = { match = { XY = "a" } }', "subject.match"),
    ('subject = { match = { "2.5.4.03" = "a" } }', "subject.match"),
    ('subject = { match = { CN = ["a"] } }', "subject.match"),
    ('subject = { regex = "a" }', "subject.regex"),
    ("san = 7", "san"),
    ('san = "dns"', "san"),
    ('san = ["dns", "host"]', "san"),
    ('san = ["dirname"]', "san"),
    ("san = [7]", "san"),
    ('san = { source = "device" }', "san.source"),
    ('san = { dns = "*.example" }', "san.dns"),
    ('san = { dns = [""] }', "san.dns"),
    ('san = { upn = ["a@b", ""] }', "san.upn"),
    ('san = { ip = ["192.0.2.1/24"] }', "san.ip"),
    ('san = { ip = ["*"] }', "san.ip"),
    ('san = { ip = ["host"] }', "san.ip"),
    ('san = { dirname = ["**"] }', "san.dirname"),
    ('san = { required = ["dirname"] }', "san.required"),
    ("san = { most = -1 }", "san.most"),
    ("san = { most = 1001 }", "san.most"),
    ('san = { only = "x" }', "san.only"),
    ('key_types = ["rsa:2048", "dsa"]', "key_types"),
    ('key_types = ["rsa:2k"]', "key_types"),
    (
        'key_types = ["rsa:1024", "rsa:99999+"]',
        "key_types: 'rsa:1024': RSA keys have",
    ),
    ('key_types = ["ec:p192"]', "key_types"),
    ('key_types = ["ec:p256+"]', "key_types"),
    ('key_types = [""]', "key_types"),
    ('key_types = "rsa"', "key_types"),
    ('keys_shared = "x"', "keys_shared"),
    ("keys_renewed = 7", "keys_renewed"),
    ("key_usage = []", "key_usage"),
    ('key_usage = ["keyCertSign"]', "key_usage"),
    ('key_usage = ["cRLSign"]', "key_usage"),
    ("eku = []", "eku"),
    ("max_active = -1", "max_active"),
    ("max_active = 10001", "max_active"),
    ('when_full = "wait"', "when_full"),
    ('sid = ["upn"]', "sid"),
    ('lint = "error"', "lint"),
    ('chain_in_reply = "x"', "chain_in_reply"),
    ('empty_content = "x"', "empty_content"),
    ('queries = "x"', "queries"),
    ('crypto = "none"', "crypto"),
    ("ekus = []", "ekus"),
]


@pytest.mark.parametrize(("line", "key"), MISTAKES)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, line: str, key: str) -> None:
    """In one line, so that the administrator finds it and the server does not start with half a rule."""
    told = problems(write(tmp_path, _default(line)))

    assert len(told) == 1, told
    assert f"profiles.default.{key}" in told[0]


WORDS = [
    ('subject = "CN={XY}"', "'XY' is no attribute type that is known here"),
    ('subject = "CN={CN"', "CN={CN has a brace that belongs to no attribute such as {CN}"),
    ('subject = { match = { CN = "(" } }', "'(' is no regular expression of RE2"),
    ('subject = { match = { CN = "(?=a)b" } }', "of RE2, without look-around and back-references"),
    ("subject = { match = { CN = '(a)\\1' } }", "of RE2, without look-around and back-references"),
    ('san = ["host"]', "'host' is none of dns, email, uri, ip, upn"),
    ('san = { dns = [""] }', "a pattern is empty; ** is any name"),
    ('san = { ip = ["*"] }', "'*' is no network such as 192.0.2.0/24; ** is any address"),
    (
        'key_types = ["rsa:2k"]',
        "'rsa:2k' is no key type; those are rsa, rsa:2048 (just so), rsa:2048+ (or more)",
    ),
]


@pytest.mark.parametrize(("line", "words"), WORDS)
def test_a_mistake_is_told_with_the_next_step(tmp_path: Path, line: str, words: str) -> None:
    """What is wrong with it, and what would be right."""
    (told,) = problems(write(tmp_path, _default(line)))

    assert words in told


CONTRADICTIONS = [
    ('challenge = "none"\nsubject = { source = "challenge" }', "subject.source", 'challenge = "none"'),
    ('challenge = "none"\nsan = { source = "challenge" }', "san.source", 'challenge = "none"'),
    ('subject = { source = "validator" }', "subject.source", "the profile has none"),
    ('san = { source = "validator" }', "san.source", "the profile has none"),
    ("validate_renewals = true", "validate_renewals", "the profile has no validator"),
    (
        'validator = "mdm"\nrenewal_same_names = false\n[validator.mdm]\ntype = "exec"\ncommand = ["x"]',
        "renewal_same_names",
        "is not asked about renewals, which could take any name",
    ),
    ('subject = { allowed = ["CN"], required = ["O"] }', "subject.required", "names O"),
    ('subject = { allowed = ["CN"], template = "CN={O},O=Example" }', "subject.template", "has a O"),
    ('san = { dns = ["**"], required = ["ip"] }', "san.required", "names ip"),
    ('san = { only = true, required = ["dns"] }', "san.required", "names dns"),
    ("san = { dns = [], required = ['dns'] }", "san.required", "names dns"),
    ('san = { most = 0, required = ["dns"] }', "san.required", "the most there may be is 0"),
]


@pytest.mark.parametrize(("line", "key", "words"), CONTRADICTIONS)
def test_a_contradiction_is_told_with_its_key(tmp_path: Path, line: str, key: str, words: str) -> None:
    """Each setting could be, and together no device would ever get a certificate, or nobody would decide."""
    (told,) = problems(write(tmp_path, _default(line)))

    assert f"profiles.default.{key}: " in told
    assert words in told


def test_what_only_looks_like_a_contradiction_is_none() -> None:
    """Dropped attributes may stand in a template, and any kind is allowed where nothing is said."""
    profile_of(_default('subject = { allowed = ["CN"], template = "CN={CN},O=x", others = "drop" }'))
    profile_of(_default('san = { required = ["upn"] }'))
    profile_of(_default('subject = { source = "challenge" }\nsan = { source = "challenge" }'))


def test_all_mistakes_and_contradictions_are_told_at_once(tmp_path: Path) -> None:
    """Of every profile, beside those of other sections, each in a line of its own."""
    path = write(
        tmp_path,
        """
        [limits]
        connections = "many"
        [profiles.default]
        key_types = ["rsa:2048"]
        [profiles.phones]
        challenge = "none"
        subject = { source = "challenge" }
        san = { source = "validator" }
        [profiles.lan]
        max_active = "two"
        subject = { template = "CN={XY}", allowed = ["XY"] }
        san = { source = "validator", most = -1, required = ["dns"] }
        [profiles.vpn]
        validate_renewals = true
        key_types = ["rsa:2k"]
        [profiles.tv]
        challenge = "nobody"
        subject = { source = "challenge" }
        """,
    )

    told = problems(path)

    places = [
        "limits.connections",
        "profiles.phones.subject.source",
        "profiles.phones.san.source",
        "profiles.lan.max_active",
        "profiles.lan.subject.template",
        "profiles.lan.subject.allowed",
        "profiles.lan.san.source",
        "profiles.lan.san.most",
        "profiles.vpn.validate_renewals",
        "profiles.vpn.key_types",
        # What its source means is not known before.
        "profiles.tv.challenge",
    ]
    assert len(told) == len(places)
    assert [place for place in places if not any(place in line for line in told)] == []


def test_a_contradiction_is_told_once_where_it_stands(tmp_path: Path) -> None:
    """Every profile inherits it, and it is mended in one place."""
    path = write(tmp_path, "[profiles.lan]\n[profiles.default]\nvalidate_renewals = true\n[profiles.vpn]\n")

    (told,) = problems(path)

    assert "profiles.default.validate_renewals" in told


def test_a_contradiction_may_come_of_what_is_inherited(tmp_path: Path) -> None:
    """Two tables that are sound by themselves, one over the other."""
    path = write(
        tmp_path,
        '[profiles.default.subject]\nsource = "challenge"\n[profiles.lan]\nchallenge = "none"\n',
    )

    (told,) = problems(path)

    assert "profiles.lan.subject.source" in told


@pytest.mark.parametrize(
    "settings", [{}, {"profiles": 7}, {"profiles": {"lan": 7}}, {"profiles": {"default": 7, "lan": {}}}]
)
def test_what_is_no_profile_contradicts_nothing(settings: dict[str, object]) -> None:
    """What is wrong with it is told already."""
    assert list(check_contradictions(settings)) == []


def test_a_profile_inherits_table_by_table() -> None:
    """What a profile says of names it says over what the default one says, key by key."""
    profiles = profiles_of(
        """
        [profiles.default]
        max_active = 2
        keys_shared = false
        [profiles.default.subject]
        source = "challenge"
        template = "CN={CN}"
        match = { CN = "a", O = "b" }
        [profiles.default.san]
        dns = ["*.example.org"]
        most = 3

        [profiles.phones]
        subject = "CN={CN},O=Phones"
        [profiles.phones.san]
        email = ["**"]

        [profiles.lan]
        keys_shared = true
        [profiles.lan.subject]
        source = "request"
        match = { cn = "c" }
        """
    )

    phones, lan, default = profiles["phones"], profiles["lan"], profiles[DEFAULT]
    assert phones.subject.source is Source.CHALLENGE
    assert (phones.subject.template, lan.subject.template) == ("CN={CN},O=Phones", "CN={CN}")
    assert {oid: one.pattern for oid, one in lan.subject.match.items()} == {CN: "c", ORG: "b"}
    assert phones.subject.match == default.subject.match
    assert phones.san.allowed is not None
    assert set(phones.san.allowed) == {"dns", "email"}
    assert (lan.san, phones.san.most) == (default.san, 3)
    assert [one.keys.shared for one in (default, phones, lan)] == [False, False, True]
    assert [one.max_active for one in (default, phones, lan)] == [2, 2, 2]
    assert lan.subject.source is Source.REQUEST


def test_the_environment_says_lists_by_comma() -> None:
    """A container sets what differs, and has no other way to write a list."""
    head = "SCEPBOX_PROFILES__LAN__"
    config = load_config(
        None,
        {
            f"{head}KEY_TYPES": "rsa:3072+,ec",
            f"{head}KEY_USAGE": "digitalSignature",
            f"{head}SID": "uri",
            f"{head}SAN__DNS": "*.example.org,b.example",
            f"{head}SAN__REQUIRED": "dns",
            f"{head}SUBJECT__ALLOWED": "CN,O",
            f"{head}SUBJECT__MATCH__CN": "a{1,2}",
            f"{head}VALID_UNTIL": "2027-02-28",
            "SCEPBOX_PROFILES__VPN__SAN": "ip,dns",
            "SCEPBOX_PROFILES__VPN__SUBJECT": "CN={CN},O=Example",
        },
    )

    profiles = config.build_profiles()
    lan, vpn = profiles["lan"], profiles["vpn"]
    assert lan.keys.types == ("rsa:3072+", "ec")
    assert lan.key_usage == frozenset({KeyUsageBit.digitalSignature})
    assert lan.sid == (SidForm.URI,)
    assert lan.san.allowed is not None
    assert len(lan.san.allowed["dns"]) == 2
    assert (lan.san.required, lan.subject.allowed) == (("dns",), frozenset({CN, ORG}))
    assert lan.subject.match[CN].pattern == "a{1,2}"
    assert lan.valid_until == datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC)
    assert vpn.san.allowed is not None
    assert set(vpn.san.allowed) == {"ip", "dns"}
    assert vpn.subject.template == "CN={CN},O=Example"


def test_a_list_tells_all_that_is_wrong_in_it() -> None:
    """Whoever mends one word and starts again to hear of the next does so all day."""
    with pytest.raises(ValidationError) as told:
        ProfileSection.model_validate(
            {
                "eku": ["clientAuthh", "anyExtendedKeyUsage", "OCSPSigning"],
                "san": {"ip": ["10.0.0.0/33", "x"]},
            }
        )

    text = str(told.value)
    assert all(word in text for word in ("clientAuthh", "anyExtendedKeyUsage", "10.0.0.0/33", "'x'"))


def test_what_is_hardly_meant_is_told_and_no_mistake() -> None:
    """A service that is started again must not stay away because a day has come."""
    toml = (
        "[profiles.old]\nvalid_until = 2026-01-31\n[profiles.short]\nvalidity_days = 30\n[profiles.sound]\n"
    )
    config = Config.model_validate(tomllib.loads(toml))

    told = list(find_oddities(config, datetime(2026, 2, 1, tzinfo=UTC)))

    assert [line.partition(":")[0] for line in told] == [
        "profiles.old.valid_until",
        "profiles.short.renewal_days",
    ]
    assert list(find_oddities(config, datetime(2026, 1, 31, 23, tzinfo=UTC))) == told[1:]
