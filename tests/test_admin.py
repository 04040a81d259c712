"""The administrator's site: who is let in, how often one may guess, and what another site cannot do."""

import base64
import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admin.attempts import MOST_WAITING, WRONG_A_MINUTE, Attempts
from app.admin.gate import Credentials, read_credentials
from app.admin.password import REMEMBERED_SECONDS, AdminPassword, make_password, write_password
from tests.admin_site import PASSWORD, Site, login, opened, set_password
from tests.command_line import run
from tests.test_http import insist_plain
from tests.world import World

NDES = "/certsrv/mscep_admin/"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A CA whose database threads may share."""
    world = World(f"sqlite:///{tmp_path / 'scepbox.db'}")
    yield world
    world.store.close()


@pytest.fixture
def site(world: World, tmp_path: Path) -> Iterator[Site]:
    """The site, with a password set."""
    set_password(tmp_path)
    with opened(world, tmp_path) as site:
        yield site


def test_without_a_password_nobody_is_let_in_and_the_next_step_is_told(world: World, tmp_path: Path) -> None:
    """Default deny: a site that is open until somebody closes it is open for good."""
    with opened(world, tmp_path) as site:
        for answer in (site.get(), site.get(NDES), site.post(), site.get("/nowhere")):
            insist_plain(answer, 403)
            assert b"run.py admin password" in answer.body

        set_password(tmp_path)

        assert site.get().status == 200


@pytest.mark.parametrize("path", ["/", NDES, "/api/v1/reload", "/nowhere", "/../", "/metrics"])
def test_without_credentials_nothing_is_told(site: Site, path: str) -> None:
    """RFC 9110 11.6.1: it is asked for them, whether there is anything at the address or not."""
    for method in ("GET", "POST", "DELETE"):
        answer = site.served.ask(method, path)

        insist_plain(answer, 401)
        assert answer.headers["www-authenticate"].startswith('Basic realm="scepbox"')
    assert site.password.hashed == 0


def test_a_watchdog_needs_no_password(site: Site) -> None:
    """It learns that the site answers, and nothing else."""
    answer = site.served.ask("GET", "/healthz")

    assert (answer.status, answer.body) == (200, b"ok\n")


@pytest.mark.parametrize("user", ["admin", "somebody", "EXAMPLE\\svc-mdm", "svc@example.org", "", "Zoë"])
def test_the_password_lets_in_under_any_name(site: Site, user: str) -> None:
    """There is one password; NDES' clients have names of Windows."""
    answer = site.get(**login(user=user))

    assert answer.status == 200
    assert b"CN=Test CA" in answer.body
    assert site.get("/nowhere", **login(user=user)).status == 404


@pytest.mark.parametrize(
    "wrong", [PASSWORD + " ", PASSWORD.upper(), PASSWORD[:-1], "x", PASSWORD + "\0", "x" * 1024, "x" * 1025]
)
def test_any_other_password_does_not(site: Site, wrong: str) -> None:
    """Also after the right one was remembered."""
    site.get()

    insist_plain(site.get(**login(wrong)), 401)


def test_a_password_beyond_ascii_is_read_as_utf_8_and_as_older_programs_write_it(
    world: World, tmp_path: Path
) -> None:
    """RFC 7617 2.1: browsers write UTF-8, .NET and curl on Windows may not."""
    set_password(tmp_path, "Schlüssel des Hauses")
    with opened(world, tmp_path) as site:
        for encoding in ("utf-8", "latin-1"):
            assert site.get(**login("Schlüssel des Hauses", encoding=encoding)).status == 200


def test_ten_wrong_passwords_a_minute_and_no_more(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """RFC 6585 4: then not even the right one, for otherwise guessing would go on; nothing is hashed then."""
    with caplog.at_level(logging.INFO):
        answers = [site.get(**login(f"wrong {number}")) for number in range(WRONG_A_MINUTE + 5)]

        right = site.get()

    assert [one.status for one in answers] == [401] * WRONG_A_MINUTE + [429] * 5
    insist_plain(right, 429)
    assert 1 <= int(right.headers["retry-after"]) <= 61
    assert site.password.hashed == WRONG_A_MINUTE
    assert site.served.ask("GET", "/healthz").status == 200
    assert "wrong 0" not in caplog.text
    assert PASSWORD not in caplog.text


def test_a_remembered_password_does_not_let_guessing_go_on(site: Site) -> None:
    """What costs no hash would otherwise tell at any rate which guess is right."""
    assert site.get().status == 200
    for number in range(WRONG_A_MINUTE):
        site.get(**login(f"wrong {number}"))

    insist_plain(site.get(), 429)


def test_of_a_hundred_wrong_ones_at_once_ten_are_hashed_at_most(site: Site) -> None:
    """Each takes 64 MiB and a tenth of a second, and whoever can reach the port could ask for it."""
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda number: site.get(**login(f"wrong {number}")), range(100)))

    assert {one.status for one in answers} <= {401, 429, 503}
    assert 1 <= site.password.hashed == sum(one.status == 401 for one in answers) <= WRONG_A_MINUTE


def test_one_source_does_not_lock_out_another() -> None:
    """An address of IPv6 costs nothing: the network is what somebody has."""
    attempts = Attempts()
    for number in range(WRONG_A_MINUTE):
        attempts.count_wrong(f"2001:db8:0:1::{number:x}")

    assert attempts.wait_for("2001:db8:0:1:ffff::1") > 0
    assert attempts.wait_for("2001:db8:0:2::1") == 0
    assert attempts.wait_for("192.0.2.7") == 0


def test_only_so_many_wait_for_a_hash() -> None:
    """Many sources at once fill no line without end."""
    attempts = Attempts()

    taken = [attempts.take_place() for _ in range(MOST_WAITING + 1)]
    attempts.give_place()

    assert taken == [True] * MOST_WAITING + [False]
    assert attempts.take_place()


def test_a_right_password_is_hashed_once(site: Site) -> None:
    """A monitor that asks each second would otherwise keep a core busy."""
    for _ in range(20):
        assert site.get().status == 200

    assert site.password.hashed == 1


def test_a_new_password_ends_the_old_one_at_once(site: Site, tmp_path: Path) -> None:
    """It is set anew because somebody knows the old one; the server is another process than the verb."""
    assert site.get().status == 200

    set_password(tmp_path, "another password")

    assert site.get().status == 401
    assert site.get(**login("another password")).status == 200


def test_a_password_is_looked_at_anew_after_some_minutes(tmp_path: Path) -> None:
    """What is remembered is the key to the site, in memory."""
    write_password(tmp_path / "hash", PASSWORD)
    now = 0.0
    password = AdminPassword(tmp_path / "hash", lambda: now)
    assert password.verify(PASSWORD)

    now = REMEMBERED_SECONDS - 1
    known = password.is_remembered(PASSWORD), password.is_remembered("another")
    now = REMEMBERED_SECONDS

    assert known == (True, False)
    assert not password.is_remembered(PASSWORD)


@pytest.mark.parametrize("content", [b"", b"junk\n", b"$argon2id$v=19$m=65536,t=3,p=4$x$y", b"\xff"])
def test_a_damaged_file_lets_nobody_in(site: Site, content: bytes) -> None:
    """And says what to do, where a password that is not right would have somebody search in vain."""
    site.file.write_bytes(content)

    answer = site.get()

    insist_plain(answer, 503)
    assert b"run.py admin password" in answer.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="a program"),
        pytest.param({"Sec_Fetch_Site": "same-origin"}, 200, id="our own page"),
        pytest.param({"Sec_Fetch_Site": "none"}, 200, id="typed"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, 403, id="another site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, 403, id="another port or subdomain"),
        pytest.param({"Origin": "http://evil.example"}, 403, id="an older browser"),
        pytest.param({"Origin": "null"}, 403, id="a frame of no origin"),
        pytest.param({"Origin": "http://127.0.0.1:1"}, 403, id="another service of this machine"),
        pytest.param({"Referer": "http://evil.example/page"}, 403, id="a picture over plain HTTP"),
        pytest.param({"Content_Type": "application/x-www-form-urlencoded"}, 415, id="a form"),
        pytest.param({"Content_Type": "text/plain"}, 415, id="a form of text"),
        pytest.param({"Content_Type": ""}, 415, id="none"),
        pytest.param({"Content_Type": "application/json; charset=utf-8"}, 200, id="with a parameter"),
    ],
)
def test_another_site_makes_nobodys_browser_change_anything(
    site: Site, headers: dict[str, str], status: int
) -> None:
    """A browser that has logged in sends the password along with whatever page asks for it (CSRF)."""
    answer = site.post(**headers)

    assert answer.status == status
    assert site.reloads == (status == 200)


def test_our_own_origin_may(site: Site) -> None:
    """As a browser sends it that does not know Sec-Fetch-Site."""
    assert site.post(Origin=f"http://127.0.0.1:{site.served.port}").status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8081", 200),
        ("localhost", 200),
        ("LOCALHOST.:99", 200),
        ("[::1]:8081", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8081", 421),
        ("192.0.2.1", 421),
        ("[", 421),
    ],
)
def test_a_name_that_somebody_points_here_is_not_ours(site: Site, host: str, status: int) -> None:
    """A page of evil.example that resolves to 127.0.0.1 would be of one origin with this site."""
    assert site.get(Host=host).status == status
    if status != 200:
        assert site.served.ask("GET", "/healthz", Host=host).status == status


def test_on_an_address_of_the_network_any_name_may_be_ours(world: World, tmp_path: Path) -> None:
    """Which names lead there the server does not know; the password is asked for all the same."""
    set_password(tmp_path)
    with opened(world, tmp_path, address="192.0.2.1") as site:
        assert site.get(Host="pki.example.org").status == 200
        assert site.served.ask("GET", "/", Host="pki.example.org").status == 401


def test_every_answer_has_what_keeps_browsers_from_doing_more(site: Site) -> None:
    """No frame, no script, no other host, no cache; refusals and unknown addresses included."""
    for answer in (
        site.get(),
        site.get(NDES),
        site.get("/nowhere"),
        site.served.ask("GET", "/"),
        site.post(),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


def test_the_style_of_the_page_is_the_one_that_is_allowed(site: Site) -> None:
    """A browser follows no other (CSP 3, 6.7.3)."""
    answer = site.get()
    style = answer.body.partition(b"<style>")[2].partition(b"</style>")[0]

    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_what_is_wrong_with_the_settings_is_answered_as_a_list(site: Site) -> None:
    """A program that changes the file shows it to whoever wrote it."""
    assert json.loads(site.post().body) == {
        "taken_in": True,
        "changed": ["profiles.vpn", "server.workers"],
        "takes_effect_at_the_next_start": ["server.workers"],
    }
    site.problems = ["scepbox.toml:3: log.level: wrong", "scepbox.toml:9: wrong: unknown"]

    answer = site.post()

    assert answer.status == 422
    assert json.loads(answer.body) == {"taken_in": False, "problems": site.problems}


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("Basic YTpi", Credentials("a", "b")),
        ("bAsIc   YTpi ", Credentials("a", "b")),
        ("Basic YTpiOmM=", Credentials("a", "b:c")),
        ("Basic OmI=", Credentials("", "b")),
        ("Basic", None),
        ("Basic YTo=", None),
        ("Basic YWI=", None),
        ("Basic !!!!", None),
        ("Basic é", None),
        ("Bearer YTpi", None),
        ("NTLM TlRMTVNTUAABAAAA", None),
        ("", None),
        ("Basic " + "YTpi" * 1500, None),
    ],
)
def test_credentials_are_read_as_they_are_written(header: str, read: Credentials | None) -> None:
    """RFC 7617 2: the first colon ends the name; what is anything else is none."""
    assert read_credentials(header) == read


@given(
    st.text(st.characters(max_codepoint=255))
    | st.binary().map(lambda octets: f"Basic {base64.b64encode(octets).decode()}")
)
def test_whatever_the_header_is_it_is_credentials_or_none(header: str) -> None:
    """It comes from anybody."""
    read = read_credentials(header)

    assert read is None or 0 < len(read.password.encode()) <= 1024


@pytest.fixture(scope="module")
def data(made_ca: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a CA."""
    data = tmp_path_factory.mktemp("home") / "data"
    copytree(made_ca, data)
    return data


def test_the_verb_makes_a_password_and_prints_it_alone(data: Path) -> None:
    """Standard output is the password, for whoever puts it into a vault; the file is its owner's."""
    done = run("admin", "password", "--data", data)

    file = data / "admin.hash"
    made = done.out.removesuffix("\n")
    assert done.code == 0
    assert len(made) == len(make_password())
    assert made not in done.err
    assert AdminPassword(file).verify(made)
    assert "$argon2id$" in file.read_text()
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_verb_takes_a_password_from_standard_input_or_a_file(data: Path, tmp_path: Path) -> None:
    """Never from the command line, where every process of the machine can read it."""
    (tmp_path / "secret").write_text("from a file, thanks\n")

    first = run("admin", "password", "--data", data, "--secret", "-", stdin=f"{PASSWORD}\n")
    of_first = AdminPassword(data / "admin.hash").verify(PASSWORD)
    second = run("admin", "password", "--data", data, "--secret", tmp_path / "secret")

    assert (first.code, first.out, of_first) == (0, "", True)
    assert (second.code, second.out) == (0, "")
    assert AdminPassword(data / "admin.hash").verify("from a file, thanks")


@pytest.mark.parametrize("secret", ["", "short", "x" * 1025, "with a\ttab in it, see"])
def test_the_verb_takes_no_password_that_is_none(data: Path, secret: str) -> None:
    """One line, exit code 2, and the one there was stays."""
    run("admin", "password", "--data", data, "--secret", "-", stdin=f"{PASSWORD}\n")

    done = run("admin", "password", "--data", data, "--secret", "-", stdin=f"{secret}\n")

    assert (done.code, done.err.count("\n")) == (2, 1)
    assert AdminPassword(data / "admin.hash").verify(PASSWORD)


def test_the_verb_needs_a_ca(tmp_path: Path) -> None:
    """A password in a folder that no server uses would have somebody search for long."""
    done = run("admin", "password", "--data", tmp_path / "none")

    assert done.code == 2
    assert "run.py init" in done.err
