"""``[validator.NAME]``: mistakes told with the rest, secrets from where they belong, files looked at."""

import logging
import os
from pathlib import Path

import pytest

from app.config import Config, ConfigError, load_config
from app.config.validator import ExecSection, WebhookSection
from app.data_folder import DataFolder
from app.validators import build_validators, find_notified, load_trusted_signers
from app.validators.exec import ExecValidator
from app.validators.webhook import WebhookValidator
from ca.issuing.key_store import encode_private_key, generate_key
from tests.command_line import did, run
from tests.services import make_identity
from tests.test_config import problems, write

SECRET = "0123456789abcdef"
WEBHOOK = '[validator.mdm]\ntype = "webhook"\nurl = "https://mdm.example.org/"\nsecret_file = "mdm.secret"\n'
INTUNE = '[validator.mdm]\ntype = "intune"\ntenant = "contoso.onmicrosoft.com"\nclient_id = "0000-1111"\n'
SIGNER = '[validator.mdm]\ntype = "trusted-signer"\nca_file = "ca.pem"\n'


def secret_in(folder: Path, secret: str | bytes = SECRET + "\n", name: str = "mdm.secret") -> Path:
    path = folder / name
    path.write_bytes(secret if isinstance(secret, bytes) else secret.encode())
    path.chmod(0o600)
    return path


def unbuilt(toml: str, folder: Path) -> list[str]:
    """What is wrong with the files, a line each."""
    with pytest.raises(ConfigError) as caught:
        build_validators(load_config(write(folder, toml), {}), DataFolder(folder))
    return str(caught.value).splitlines()


def program_in(folder: Path) -> None:
    """A program that can be run, as far as the system knows."""
    (folder / "known").write_text("#!/bin/sh\n")
    (folder / "known").chmod(0o700)


def test_each_type_becomes_what_it_says(tmp_path: Path) -> None:
    """From the file to the objects that decide."""
    secret_in(tmp_path)
    program_in(tmp_path)
    more = '[validator.inventory]\ntype = "exec"\ncommand = ["./known", "-x"]\ntimeout_seconds = 3\n'

    built = build_validators(load_config(write(tmp_path, WEBHOOK + more), {}), DataFolder(tmp_path))

    assert built["inventory"] == ExecValidator("inventory", ("./known", "-x"), tmp_path, 3.0)
    hook = built["mdm"]
    assert isinstance(hook, WebhookValidator)
    assert (hook.secret, hook.webhook_id, hook.wants_notifications) == (SECRET.encode(), "mdm", False)
    assert find_notified(built.values()) == {}


def test_without_validators_there_are_none(tmp_path: Path) -> None:
    """As on a first start."""
    assert build_validators(Config(), DataFolder(tmp_path)) == {}
    assert load_trusted_signers(Config(), DataFolder(tmp_path)) == {}


MISTAKES = {
    "no type": (
        '[validator.mdm]\nurl = "https://x/"\n',
        'validator.mdm.type: has to be given, as "exec", "webhook", "intune" or "trusted-signer"',
    ),
    "another type": (
        '[validator.mdm]\ntype = "ldap"\n',
        'validator.mdm.type: has to be "exec", "webhook", "intune" or "trusted-signer", not \'ldap\'',
    ),
    "a type with a slip": (
        '[validator.mdm]\ntype = "execc"\n',
        'toml:2: validator.mdm.type: has to be "exec", "webhook", "intune" or "trusted-signer", '
        "not 'execc'; did you mean exec?",
    ),
    "a key of another type": (WEBHOOK + 'tenant = "x"\n', "validator.mdm.tenant: is not a setting"),
    "a name that no path has": ('[validator."a/b"]\ntype = "exec"\ncommand = ["x"]\n', "validator.a/b"),
    "no command": ('[validator.mdm]\ntype = "exec"\ncommand = []\n', "validator.mdm.command"),
    "a command for a shell": ('[validator.mdm]\ntype = "exec"\ncommand = "a b"\n', "validator.mdm.command"),
    "no time": ('[validator.mdm]\ntype = "exec"\ncommand = ["x"]\ntimeout_seconds = 0\n', "timeout_seconds"),
    "too much time": (WEBHOOK + "timeout_seconds = 3600\n", "validator.mdm.timeout_seconds"),
    "clear text": (WEBHOOK.replace("https:", "http:"), "clear text: use https"),
    "clear text afterwards": (WEBHOOK + 'notify_url = "http://mdm.example.org/"\n', "clear text: use https"),
    "clear text to a name like ours": (WEBHOOK.replace("https://mdm", "http://localhost.mdm"), "clear text"),
    "no address": (WEBHOOK.replace("https://mdm.example.org/", "mdm"), "is not an address"),
    "an address of no port": (WEBHOOK.replace(".org/", ".org:0/"), "is not an address"),
    "a file in the place of an address": (WEBHOOK.replace("https://mdm", "file://mdm"), "is not an address"),
    "a secret in the file": (WEBHOOK + f'secret = "{SECRET}"\n', "a secret does not belong into this file"),
    "two proofs": (
        INTUNE + 'client_secret_file = "a"\ncertificate_file = "b"\nkey_file = "c"\n',
        "not both",
    ),
    "half a proof": (INTUNE + 'certificate_file = "b"\n', "belong together"),
    "a tenant with a path in it": (
        INTUNE.replace("contoso", "../x") + 'client_secret_file = "a"\n',
        "tenant",
    ),
    "an authority without an end": (
        INTUNE + 'client_secret_file = "a"\nauthority = "https://login.example.org"\n',
        "has to end with a /",
    ),
    "an expression that is none": (SIGNER + 'subject = "CN=("\n', "is no regular expression of RE2"),
    "no CA": ('[validator.mdm]\ntype = "trusted-signer"\n', "validator.mdm.ca_file"),
}


@pytest.mark.parametrize(("toml", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, toml: str, told: str) -> None:
    """In one line, with the names that the file has."""
    (line,) = problems(write(tmp_path, toml))

    assert told in line
    assert SECRET not in line


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    """Whoever wrote it there has it in a log otherwise."""
    (line,) = problems(write(tmp_path, WEBHOOK.replace("https://", "https://me:hunter2@")))

    assert "leave out what is before the @" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_this_host_may_be_asked_in_clear_text(tmp_path: Path, host: str) -> None:
    """Nobody listens in between."""
    load_config(write(tmp_path, WEBHOOK.replace("https://mdm.example.org", f"http://{host}:8000")), {})


def test_another_host_may_if_it_is_said(tmp_path: Path) -> None:
    """A network of containers of one's own."""
    toml = WEBHOOK.replace("https:", "http:") + "allow_http = true\n"

    load_config(write(tmp_path, toml), {})


def test_the_environment_reaches_a_section_of_the_file(tmp_path: Path) -> None:
    """However its name is written there; a variable has neither small letters nor hyphens."""
    toml = WEBHOOK.replace("[validator.mdm]", "[validator.Corp-MDM]").replace(
        'secret_file = "mdm.secret"\n', ""
    )
    environment = {
        "SCEPBOX_VALIDATOR__CORP_MDM__URL": "https://elsewhere.example.org/",
        "SCEPBOX_VALIDATOR__CORP_MDM__SECRET": SECRET,
    }

    config = load_config(write(tmp_path, toml), environment)

    (section,) = config.validator.values()
    assert list(config.validator) == ["Corp-MDM"]
    assert isinstance(section, WebhookSection)
    assert section.url == "https://elsewhere.example.org/"
    hook = build_validators(config, DataFolder(tmp_path))["Corp-MDM"]
    assert isinstance(hook, WebhookValidator)
    assert hook.secret == SECRET.encode()


def test_a_section_may_come_from_the_environment_alone() -> None:
    """A container without a file."""
    environment = {
        "SCEPBOX_VALIDATOR__INVENTORY__TYPE": "exec",
        "SCEPBOX_VALIDATOR__INVENTORY__COMMAND": "/bin/known,--strict",
    }

    section = load_config(None, environment).validator["inventory"]

    assert isinstance(section, ExecSection)
    assert section.command == ["/bin/known", "--strict"]


def test_a_secret_of_the_environment_is_not_shown(tmp_path: Path) -> None:
    """Settings are printed when something is wrong with them."""
    toml = WEBHOOK.replace('secret_file = "mdm.secret"\n', "")
    config = load_config(write(tmp_path, toml), {"SCEPBOX_VALIDATOR__MDM__SECRET": SECRET})

    assert SECRET not in repr(config)
    assert SECRET not in str(config.model_dump(mode="json"))


def test_two_secrets_are_one_too_many(tmp_path: Path) -> None:
    """Which of them counts would be anybody's guess."""
    (line,) = problems(write(tmp_path, WEBHOOK), {"SCEPBOX_VALIDATOR__MDM__SECRET": SECRET})

    assert "are both given" in line
    assert SECRET not in line


NO_SECRET = WEBHOOK.replace('secret_file = "mdm.secret"\n', "")


def test_a_secret_that_is_nowhere_is_missed_by_who_asks_the_validator(tmp_path: Path) -> None:
    """With both places that it may come from."""
    told = unbuilt(NO_SECRET + INTUNE.replace("mdm", "corp-mdm"), tmp_path)

    assert told == [
        "validator.mdm.secret_file is missing: a file with the secret in it; "
        "or set SCEPBOX_VALIDATOR__MDM__SECRET",
        "validator.corp-mdm.client_secret_file is missing: a file with the secret in it; "
        "or set SCEPBOX_VALIDATOR__CORP_MDM__CLIENT_SECRET",
    ]


def test_verbs_need_no_secret_that_only_the_server_has(tmp_path: Path) -> None:
    """The service manager puts it into the environment of the service, and no shell has it."""
    data = tmp_path / "data"
    did("init", "--data", data)
    write(data, NO_SECRET)

    for words in (("challenge", "new"), ("cert", "list"), ("request", "list"), ("log", "verify")):
        did(*words, "--data", data)

    served = run("serve", "--data", data, "--listen", "127.0.0.1:0")
    assert (served.code, served.err.count("\n")) == (2, 1)
    assert "validator.mdm.secret_file is missing" in served.err


@pytest.mark.parametrize("command", ["./gone", "/nowhere/gone", "no-such-program-in-any-path", "./noted"])
def test_a_program_that_cannot_be_run_is_told(tmp_path: Path, command: str) -> None:
    """At the start, and not by the first device that is refused."""
    (tmp_path / "noted").write_text("no program\n")
    (tmp_path / "noted").chmod(0o600)

    told = unbuilt(f'[validator.mdm]\ntype = "exec"\ncommand = ["{command}"]\n', tmp_path)

    assert told == [f"validator.mdm.command: there is no program {command} that can be run"]


def test_one_mistake_hides_no_other_of_its_section(tmp_path: Path) -> None:
    """A secret in the file is the first thing that people try."""
    toml = WEBHOOK.replace("https:", "http:") + f'secret = "{SECRET}"\nnotify_url = "mdm"\n'

    told = problems(write(tmp_path, toml))

    assert [line.split(": ")[1] for line in told] == [
        "validator.mdm.url",
        "validator.mdm.secret",
        "validator.mdm.notify_url",
    ]
    assert SECRET not in "".join(told)


def test_all_files_that_are_missing_are_told_at_once(tmp_path: Path) -> None:
    """Nobody wants to start a service three times."""
    toml = WEBHOOK + WEBHOOK.replace("[validator.mdm]", "[validator.b]")
    toml += INTUNE.replace("[validator.mdm]", "[validator.c]") + 'client_secret_file = "gone"\n'

    told = unbuilt(toml, tmp_path)

    assert [line.partition(":")[0] for line in told] == [
        "validator.mdm.secret_file",
        "validator.b.secret_file",
        "validator.c.client_secret_file",
    ]
    assert str(tmp_path / "mdm.secret") in told[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"short", "is shorter than 16 octets: make one by"),
        (b"", "is shorter than 16 octets"),
        (b"\n", "is shorter than 16 octets"),
        (b"\xff\xfe0123456789abcdef", "is no UTF-8 text"),
    ],
)
def test_a_secret_that_is_of_no_use_is_told_and_not_shown(tmp_path: Path, content: bytes, told: str) -> None:
    """A secret that can be guessed signs for anybody."""
    secret_in(tmp_path, content)

    (line,) = unbuilt(WEBHOOK, tmp_path)

    assert told in line
    assert "short\n" not in line
    assert "0123456789abcdef" not in line


def test_a_secret_written_by_notepad_is_the_same(tmp_path: Path) -> None:
    """Windows puts a mark in front and ends lines its own way."""
    secret_in(tmp_path, b"\xef\xbb\xbf0123456789abcdef\r\n")

    hook = build_validators(load_config(write(tmp_path, WEBHOOK), {}), DataFolder(tmp_path))["mdm"]

    assert isinstance(hook, WebhookValidator)
    assert hook.secret == SECRET.encode()


@pytest.mark.skipif(os.name == "nt", reason="Windows' rights are another matter")
def test_a_secret_that_others_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It works, as a container may have it so; and it is said."""
    secret_in(tmp_path).chmod(0o644)

    with caplog.at_level(logging.WARNING):
        build_validators(load_config(write(tmp_path, WEBHOOK), {}), DataFolder(tmp_path))

    assert "chmod 600" in caplog.text
    assert "validator.mdm.secret_file" in caplog.text
    assert SECRET not in caplog.text


def test_a_ca_file_without_a_certificate_is_told(tmp_path: Path) -> None:
    """Without it nobody could be believed, and each request would fail."""
    secret_in(tmp_path)
    (tmp_path / "ca.pem").write_text("nothing")

    (line,) = unbuilt(WEBHOOK + 'ca_file = "ca.pem"\n', tmp_path)

    assert line.startswith("validator.mdm.ca_file: ")
    assert "ca.pem" in line


def test_a_key_that_is_not_rsa_is_told(tmp_path: Path) -> None:
    """Entra ID takes no other."""
    identity = make_identity(tmp_path)
    secret_in(tmp_path, encode_private_key(generate_key("ec:p256")), "key.pem")
    toml = INTUNE + f'certificate_file = "{identity.ca.name}"\nkey_file = "key.pem"\n'

    (line,) = unbuilt(toml, tmp_path)

    assert "validator.mdm.key_file" in line
    assert "no RSA key" in line


def test_trusted_signers_are_loaded_with_their_expression(tmp_path: Path) -> None:
    """All CAs of the file; the expression has to fit the whole subject."""
    identity = make_identity(tmp_path)
    (tmp_path / "ca.pem").write_bytes(identity.ca.read_bytes() * 2)
    toml = (
        SIGNER
        + 'subject = "CN=bootstrap-[0-9]+"\n[validator.any]\ntype = "trusted-signer"\nca_file = "ca.pem"\n'
    )

    signers = load_trusted_signers(load_config(write(tmp_path, toml), {}), DataFolder(tmp_path))

    assert [str(ca.subject) for ca in signers["mdm"].cas] == ["CN=Services CA"] * 2
    assert signers["mdm"].subject
    assert signers["mdm"].subject.fullmatch("CN=bootstrap-7")
    assert not signers["mdm"].subject.fullmatch("CN=bootstrap-7,O=Else")
    assert signers["any"].subject is None
    assert build_validators(load_config(write(tmp_path, toml), {}), DataFolder(tmp_path)) == {}


def test_cas_that_are_missing_are_told(tmp_path: Path) -> None:
    """Before the first device comes."""
    with pytest.raises(ConfigError, match=r"validator\.mdm\.ca_file: there is no file"):
        load_trusted_signers(load_config(write(tmp_path, SIGNER), {}), DataFolder(tmp_path))
