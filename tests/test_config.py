"""The settings: what wins, what a profile inherits, and mistakes told all at once."""

from pathlib import Path

import pytest

from app.config import Config, ConfigError, load_config
from ca.algorithms.levels import CryptoLevel
from ca.profiles import DEFAULT
from ca.x509 import oids


def write(folder: Path, toml: str) -> Path:
    """A settings file."""
    path = folder / "scepbox.toml"
    path.write_text(toml)
    return path


def problems(path: Path | None, environment: dict[str, str] | None = None) -> list[str]:
    """What is wrong, a line each."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment or {})
    return str(caught.value).splitlines()


def test_nothing_said_is_the_default() -> None:
    """The first start has no file at all."""
    config = load_config(None, {})

    assert config == Config()
    assert config.server.listen == ["0.0.0.0:8080"]
    assert config.crypto.level is CryptoLevel.COMPATIBLE
    assert list(config.build_profiles()) == [DEFAULT]


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    """A container sets what differs from the file that is mounted into it."""
    path = write(tmp_path, '[limits]\nconnections = 20\nidle_seconds = 7\n[crypto]\nlevel = "modern"\n')
    environment = {
        "SCEPBOX_LIMITS__CONNECTIONS": "50",
        "SCEPBOX_CRYPTO__LEVEL": "legacy",
        "SCEPBOX_SERVER__LISTEN": "127.0.0.1:1,[::1]:2",
        "SCEPBOX_PROFILES__WIFI__CHAIN_IN_REPLY": "true",
        "SCEPBOX_PROFILES__WIFI__EKU": "clientAuth,serverAuth",
    }

    config = load_config(path, environment)

    assert (config.limits.connections, config.limits.idle_seconds) == (50, 7)
    assert config.crypto.level is CryptoLevel.LEGACY
    assert config.server.listen == ["127.0.0.1:1", "[::1]:2"]
    assert config.build_profiles()["wifi"].chain_in_reply
    assert len(config.build_profiles()["wifi"].key_purposes) == 2


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgres://u:hunter2@db/scepbox", "postgresql+psycopg://user@host/database"),
        ("mysql://u:hunter2@db/scepbox", "postgresql+psycopg://user@host/database"),
        ("sqlite:///:memory:", "sqlite:////path"),
        ("postgresql+psycopg://u:hunter2@db", "name of the database is missing"),
        ("postgresql+psycopg://u:hunter2@db:port/scepbox", "%3A"),
        ("postgresql+psycopg://u:hunter2/x@db/scepbox", "%3A"),
        ("postgresql+psycopg://u@db/scepbox?password=hunter2", "password_file"),
    ],
)
def test_a_database_that_cannot_be_is_told_without_its_password(tmp_path: Path, url: str, why: str) -> None:
    """What is printed at a start lies in somebody's log for years."""
    (line,) = problems(write(tmp_path, f'[database]\nurl = "{url}"\n'))

    assert why in line
    assert "hunter2" not in line


def test_a_password_file_needs_a_database_that_asks_for_one(tmp_path: Path) -> None:
    """SQLite has none, and who sets one believes otherwise."""
    (line,) = problems(write(tmp_path, '[database]\npassword_file = "secret"\n'))
    (other,) = problems(None, {"SCEPBOX_DATABASE__URL": "", "SCEPBOX_DATABASE__PASSWORD_FILE": "secret"})

    assert "postgresql+psycopg" in line
    assert "postgresql+psycopg" in other


@pytest.mark.parametrize("url", ["", "sqlite:///other.db"])
def test_the_password_of_the_file_is_for_the_database_of_the_file(tmp_path: Path, url: str) -> None:
    """A variable that names SQLite instead, to restore into it perhaps, needs no other for that."""
    path = write(
        tmp_path, '[database]\nurl = "postgresql+psycopg://u@db/scepbox"\npassword_file = "secret"\n'
    )

    config = load_config(path, {"SCEPBOX_DATABASE__URL": url})

    assert (config.database.url, config.database.password_file) == (url, "")
    assert load_config(path, {"SCEPBOX_DATABASE__URL": "postgresql+psycopg://u@db/x"}).database.password_file


def test_settings_do_not_show_the_database_password() -> None:
    """They may end in a traceback."""
    config = load_config(None, {"SCEPBOX_DATABASE__URL": "postgresql+psycopg://u:hunter2@db/scepbox"})

    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    "name", ["SCEPBOX_DATA", "scepbox_log__level", "HOME", "OTHER_LOG__LEVEL", "SCEPBOX_"]
)
def test_other_variables_are_left_alone(name: str) -> None:
    """SCEPBOX_DATA is the folder and no setting; the rest is not ours."""
    assert load_config(None, {name: "nonsense"}) == Config()


@pytest.mark.parametrize(
    "environment",
    [
        {"SCEPBOX_LOG": "debug", "SCEPBOX_LOG__LEVEL": "loud"},
        {"SCEPBOX_LOGS__LEVEL": "debug"},
        {"SCEPBOX_LIMITS__THREADS": "4"},
        {"SCEPBOX_LIMITS__CONNECTIONS__MORE": "4"},
        {"SCEPBOX_LIMITS__CONNECTIONS": "1", "SCEPBOX_LIMITS__CONNECTIONS__MORE": "4"},
        {"SCEPBOX_LIMITS__CONNECTIONS": ""},
        {"SCEPBOX___": "x"},
    ],
)
def test_a_variable_that_is_no_setting_is_told(environment: dict[str, str]) -> None:
    """A mistyped variable would otherwise be a setting that silently does nothing."""
    assert problems(None, environment)


def test_a_variable_under_what_the_file_has_as_a_value_is_told(tmp_path: Path) -> None:
    """The file says ``crypto = "modern"`` where a section belongs."""
    path = write(tmp_path, 'crypto = "modern"\n')

    assert problems(path, {"SCEPBOX_CRYPTO__LEVEL": "legacy"})


def test_all_mistakes_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    """Nobody wants to start a service ten times, or to search a file for the section that is meant."""
    path = write(
        tmp_path,
        """
        [server]
        workers = -1
        listn = ["127.0.0.1:1"]
        idle_seconds = 5
        [limits]
        connections = "many"
        body_octets = [
          1, 2 ]
        [log]
        level = "warn"
        [challenge]
        ndes_profile = "wfi"
        ndes_utf16 = "maybe"
        [profiles.default]
        ekus = ["clientAuth"]
        eku = [
          "clientAuth", 7,
        ]
        [profiles.wifi]
        crypto = "moderne"
        [profiles."a/b"]
        [wrong]
        """,
    )

    told = problems(path)

    known = "ca, challenge, crypto, database, limits, log, profiles, recorder, server, validator"
    assert told == [
        f"{path}:{line}"
        for line in (
            "3: server.workers: has to be 0 or more, not -1",
            "4: server.listn: is not a setting of this version; did you mean listen?",
            "5: server.idle_seconds: is not a setting of this version; it belongs in [limits]",
            "7: limits.connections: has to be a whole number, not 'many'",
            "8: limits.body_octets: has to be a whole number",
            '11: log.level: has to be "debug", "info", "warning" or "error", not \'warn\'; '
            "did you mean warning?",
            "13: challenge.ndes_profile: there is no profile 'wfi'; did you mean wifi?",
            "14: challenge.ndes_utf16: has to be true or false, not 'maybe'",
            "16: profiles.default.ekus: is not a setting of this version; did you mean eku?",
            "18: profiles.default.eku.1: has to be text in quotes, not 7",
            '21: profiles.wifi.crypto: has to be "modern", "compatible" or "legacy", not \'moderne\'; '
            "did you mean modern?",
            "22: profiles.a/b: is no name: letters, digits, - and _ are, up to 64 of them",
            f"23: wrong: is not a setting of this version; known sections are {known}",
        )
    ]


def test_a_mistake_in_the_environment_names_its_variable(tmp_path: Path) -> None:
    """Whoever reads the file would search in vain; what the file says besides is told too."""
    path = write(tmp_path, "[limits]\nidle_seconds = 0\nconnections = 20\n[profiles.wifi]\n")
    environment = {
        "SCEPBOX_LOG": "debug",
        "SCEPBOX_LIMITS__CONNECTIONS": "many",
        "SCEPBOX_PROFILES__WIFI__EKUS": "clientAuth",
        "SCEPBOX_PROFILES__VPN__VALIDITY_DAYS": "0",
        "SCEPBOX_NEW__KEY": "1",
        "SCEPBOX_SERVER__LISTEN": "127.0.0.1:1,nowhere",
    }

    told = problems(path, environment)

    assert [line.partition(": ")[0] for line in told] == [
        "SCEPBOX_LOG",
        "SCEPBOX_SERVER__LISTEN",
        "SCEPBOX_LIMITS__CONNECTIONS",
        "SCEPBOX_PROFILES__WIFI__EKUS",
        "SCEPBOX_PROFILES__VPN__VALIDITY_DAYS",
        "SCEPBOX_NEW__KEY",
        f"{path}:2",
    ]
    assert "limits.connections: has to be a whole number, not 'many'" in told[2]


@pytest.mark.parametrize(
    "toml",
    [
        "[database]\nurl = 4711\n",
        "[server]\nbase_url = 4711\n",
        '[server]\npassword = "4711"\n',
        "ca = [4711]\n",
    ],
)
def test_what_may_be_a_secret_is_not_repeated(tmp_path: Path, toml: str) -> None:
    """A mistake is read in a terminal, a log or a ticket; addresses of databases have passwords in them."""
    (line,) = problems(write(tmp_path, toml))

    assert "4711" not in line.removeprefix(str(tmp_path))


def test_a_profile_is_known_wherever_it_is_made(tmp_path: Path) -> None:
    """In the file or in a variable, and default without being made."""
    path = write(tmp_path, '[challenge]\nndes_profile = "wifi"\n')
    made = {"SCEPBOX_PROFILES__WIFI__VALIDITY_DAYS": "30"}

    assert load_config(path, made).challenge.ndes_profile == "wifi"
    assert load_config(None, {"SCEPBOX_CHALLENGE__NDES_PROFILE": "default"}).build_profiles()
    assert problems(path) == [
        f"{path}:2: challenge.ndes_profile: there is no profile 'wifi'; make it with [profiles.wifi]"
    ]


def test_a_file_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    """It puts a mark in front, and ends its lines in its own way."""
    path = tmp_path / "scepbox.toml"
    path.write_bytes("\ufeff[limits]\r\nconnections = 20\r\nidle_seconds = 0\r\n".encode())

    (line,) = problems(path)

    assert line.startswith(f"{path}:3: limits.idle_seconds: ")


@pytest.mark.parametrize(
    "purpose", ["OCSPSigning", "anyExtendedKeyUsage", "1.3.6.1.5.5.7.3.9", "2.5.29.37.0"]
)
def test_no_profile_makes_a_device_more_than_a_client(tmp_path: Path, purpose: str) -> None:
    """RFC 6960 4.2.2.2: an OCSP signer may declare any certificate of the CA good."""
    path = write(tmp_path, f'[profiles.default]\neku = ["{purpose}"]\n')

    (line,) = problems(path)

    assert "eku" in line


@pytest.mark.parametrize(
    "purpose",
    [
        pytest.param("1.3.6.1.5.5.7.3.09", id="a leading zero, for what would be OCSPSigning"),
        pytest.param("١.٣.٦.١", id="digits of another script"),
        pytest.param("1.2.²", id="a superscript"),
        pytest.param("3.1.2", id="first arc 3"),
        pytest.param("0.40", id="40 under 0"),
        pytest.param("1.99.1", id="99 under 1"),
        pytest.param("1", id="one arc"),
        pytest.param("1..2", id="no arc"),
        pytest.param("1.2.", id="a dot at the end"),
        pytest.param("-1.2", id="a sign"),
        pytest.param("", id="nothing"),
        pytest.param("1.2." + "9" * 5000, id="an arc of 5000 digits"),
    ],
)
def test_a_purpose_that_is_no_object_identifier_is_told(tmp_path: Path, purpose: str) -> None:
    """X.660: what no certificate can hold is better said before the first is issued."""
    path = tmp_path / "scepbox.toml"
    path.write_text(f'[profiles.default]\neku = ["{purpose}"]\n', "utf-8")

    (line,) = problems(path)

    assert "profiles.default.eku: " in line
    assert "neither a dotted OID nor one of serverAuth" in line


@pytest.mark.parametrize("purpose", ["1.3.6.1.5.5.7.3.17", "2.999.1", "0.39.0"])
def test_any_object_identifier_is_a_purpose(tmp_path: Path, purpose: str) -> None:
    """RFC 5280 4.2.1.12: whoever needs a purpose may define one."""
    path = write(tmp_path, f'[profiles.default]\neku = ["{purpose}"]\n')

    assert load_config(path, {}).build_profiles()[DEFAULT].key_purposes == (purpose,)


def test_a_purpose_that_is_said_twice_is_there_once(tmp_path: Path) -> None:
    """RFC 5280 4.2.1.12: some verifiers refuse a certificate that repeats one; a name is an OID too."""
    path = write(
        tmp_path,
        '[profiles.default]\neku = ["clientAuth", "serverAuth", "1.3.6.1.5.5.7.3.2", "clientAuth"]\n',
    )

    profile = load_config(path, {}).build_profiles()[DEFAULT]

    assert profile.key_purposes == (oids.KEY_PURPOSES["clientAuth"], oids.KEY_PURPOSES["serverAuth"])


def test_a_profile_inherits_from_the_default_one(tmp_path: Path) -> None:
    """What is not said is as in default, and what is said there twice is the profile's own."""
    path = write(
        tmp_path,
        """
        [crypto]
        level = "legacy"
        [profiles.default]
        validity_days = 90
        eku = ["serverAuth"]
        empty_content = false
        [profiles.wifi]
        validity_days = 30
        crypto = "modern"
        """,
    )

    profiles = load_config(path, {}).build_profiles()

    wifi, default = profiles["wifi"], profiles[DEFAULT]
    assert (wifi.name, default.name) == ("wifi", "default")
    assert (wifi.validity_days, default.validity_days) == (30, 90)
    assert wifi.key_purposes == default.key_purposes == (oids.KEY_PURPOSES["serverAuth"],)
    assert not wifi.empty_content
    assert (wifi.crypto, default.crypto) == (CryptoLevel.MODERN, CryptoLevel.LEGACY)
    assert wifi.renewal_days == 30


def test_a_challenge_is_required_unless_told_otherwise(tmp_path: Path) -> None:
    """Default deny; a profile without challenge is one for renewals, which policy sees to."""
    path = write(tmp_path, '[profiles.renew]\nchallenge = "none"\n')

    profiles = load_config(path, {}).build_profiles()

    assert profiles[DEFAULT].challenge_required
    assert not profiles["renew"].challenge_required


@pytest.mark.parametrize(
    ("content", "place", "why"),
    [
        (b"= 1", ":1: ", "not TOML"),
        (b"\n[a]\n[a]\n", ":3: ", "not TOML"),
        (b"a = 1\nb = [1,\n", ":2: ", "not TOML"),
        (b'\nx = "a', ":2: ", "not TOML"),
        (b"a = 1\n\xff\xfe", ":2: ", "cannot be read: it is not UTF-8"),
        (b"x = " + b"[" * 5000, ": ", "not TOML that can be read"),
    ],
)
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: bytes, place: str, why: str) -> None:
    """With its name, because there may be several, and with the line."""
    path = tmp_path / "scepbox.toml"
    path.write_bytes(content)

    (line,) = problems(path)

    assert line.startswith(f"{path}{place}{why}")


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    """It was named and then removed."""
    assert "cannot be read" in problems(tmp_path / "gone.toml")[0]


@pytest.mark.parametrize(
    "toml",
    [
        '[server]\nlisten = ["nowhere"]\n',
        "[server]\nlisten = []\n",
        '[server]\nbase_url = "example.org"\n',
        '[database]\nurl = "nonsense"\n',
    ],
)
def test_a_value_that_cannot_work_is_told_with_the_rest(tmp_path: Path, toml: str) -> None:
    """The whole file is checked before anything is bound, opened or made."""
    assert problems(write(tmp_path, toml))
