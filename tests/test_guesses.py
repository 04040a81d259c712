"""Guesses at challenge passwords: how many there may be, whom that concerns, and that nobody can tell."""

import logging
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from app.guesses import GuessCounter
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.policy.challenges import new_challenge
from ca.policy.source import source_of
from ca.ports import Peer
from ca.scep.messages import Failure, Outcome
from tests.world import SECRET, Device, World, certificate_of, rsa_key

REFUSED = Failure(FailInfo.BAD_REQUEST, "challenge password not accepted")
HERE, THERE = "192.0.2.7", "198.51.100.1"


@pytest.fixture
def world() -> Iterator[World]:
    """A CA with a static password that a person chose; three wrong ones from one source, six overall."""
    world = World()
    policy = replace(world.responder.policy, guesses=GuessCounter(3, 6))
    world.responder = replace(world.responder, policy=policy)
    yield world
    world.store.close()


def _reply(world: World, device: Device, secret: str | None, transaction_id: str, remote: str) -> bytes:
    message = device.message(world.ca, device.csr(secret), transaction_id=transaction_id)
    return world.responder.respond(message, world.profile, Peer(remote), Deviations())


def _ask(world: World, secret: str | None, remote: str = HERE, *, number: int = 1) -> Outcome:
    """Device *number* asks with that password, from that address."""
    device = Device(f"ipad-{number}", rsa_key(number))
    return device.read(_reply(world, device, secret, f"t{number}", remote), world.ca, f"t{number}")


def _guess(world: World, times: int, remote: str = HERE) -> None:
    for number in range(times):
        assert _ask(world, f"guess {number}", remote) == REFUSED


def test_who_guessed_too_often_is_not_believed_when_it_is_right(world: World) -> None:
    """Otherwise the limit would only be on what is worth nothing anyhow."""
    _guess(world, 3)

    assert _ask(world, SECRET) == REFUSED
    assert world.issued() == []


def test_a_few_mistakes_are_nobodys_end(world: World) -> None:
    """Who mistypes a password types it once more."""
    _guess(world, 2)

    certificate_of(_ask(world, SECRET))


def test_others_are_not_locked_out_by_one_source(world: World) -> None:
    """However often it guesses: what it may not is no guess of all together either."""
    _guess(world, 20)

    certificate_of(_ask(world, SECRET, THERE))


def test_many_sources_together_are_one_guesser(world: World) -> None:
    """Who has a thousand addresses guesses no more often than who has two."""
    for last in range(1, 7):
        _guess(world, 1, f"203.0.113.{last}")

    assert _ask(world, SECRET, THERE) == REFUSED


@pytest.mark.parametrize("uses", [1, None])
def test_a_password_that_cannot_be_guessed_is_never_locked_out(world: World, uses: int | None) -> None:
    """Behind one proxy all devices have one address, and one of them may be a stranger's."""
    secret = new_challenge()
    world.add_challenge(secret, uses=uses, guessable=False)
    _guess(world, 9)

    certificate_of(_ask(world, secret))


def test_after_a_while_it_is_believed_again(world: World) -> None:
    """The window slides: nobody waits for longer than two of it."""
    guesses = GuessCounter(3, 6, seconds=1)
    policy = replace(world.responder.policy, guesses=guesses)
    world.responder = replace(world.responder, policy=policy)
    _guess(world, 3)
    assert _ask(world, SECRET) == REFUSED

    time.sleep(2.1)

    certificate_of(_ask(world, SECRET))


def test_a_password_that_is_missing_is_no_guess(world: World) -> None:
    """A router that was told of none asks every minute; it must not lock its neighbours out."""
    for _ in range(9):
        assert _ask(world, None) == REFUSED

    certificate_of(_ask(world, SECRET))


@pytest.mark.parametrize("known", ["spent", "bound", "expired", "of another profile"])
def test_a_guess_that_hits_is_counted_like_one_that_misses(world: World, known: str) -> None:
    """The count would tell which guess hit: it decides whether a password known to the guesser works."""
    match known:
        case "spent":
            world.add_challenge("hit", uses=1)
            certificate_of(_ask(world, "hit", THERE, number=2))
        case "bound":
            world.add_challenge("hit", subject="CN=another")
        case "expired":
            world.add_challenge("hit", valid=timedelta(seconds=1))
            world.now += timedelta(seconds=1)
        case _:
            world.add_challenge("hit", profile="phones")
    _guess(world, 2)
    assert _ask(world, "hit") == REFUSED

    assert _ask(world, SECRET) == REFUSED


def test_refusals_beyond_the_limit_are_counted_and_not_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A transaction for each would have the disk work for whoever guesses; the log has them all."""
    with caplog.at_level(logging.INFO, "ca.responder"):
        _guess(world, 9)
    refused = world.store.read(lambda repository: list(repository.list_requests(world.now, "refused")))

    certificate_of(_ask(world, SECRET, THERE))

    assert len(refused) == 3
    assert len(caplog.messages) == 9
    assert "unknown challenge password; too many wrong guesses from this address" in caplog.messages[-1]
    assert [(one.outcome, one.rule) for one in world.audited()] == [
        *[("refused", "ChallengeRejected")] * 3,
        ("refused", "RefusalTally"),
        ("issued", "challenge 1"),
    ]
    assert world.audited()[3].detail.startswith("6 further refusals")


def test_a_breach_is_told_beyond_the_limit_too(world: World) -> None:
    """Who has a password that nobody can guess did not guess it, whatever he did before."""
    secret = new_challenge()
    world.add_challenge(secret, guessable=False)
    certificate_of(_ask(world, secret, THERE, number=2))
    _guess(world, 9)

    assert _ask(world, secret) == REFUSED

    assert (world.audited()[-1].outcome, world.audited()[-1].rule) == ("breach", "ChallengeReused")


@contextmanager
def _statements() -> Iterator[list[str]]:
    """What the database is asked to do meanwhile, without the values."""
    seen: list[str] = []

    def trace(statement: str) -> None:
        seen.append(re.sub(r"x?'[^']*'|[0-9]+", "?", statement, flags=re.IGNORECASE))

    def watch(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(trace)

    event.listen(Pool, "checkout", watch)
    try:
        yield seen
    finally:
        event.remove(Pool, "checkout", watch)


@pytest.mark.parametrize("uses", [1, None])
def test_beyond_the_limit_the_right_guess_looks_like_a_wrong_one(uses: int | None) -> None:
    """The same words, the same length and the same work: or the limit would only slow the guesser down."""
    with _statements() as statements:
        world = World(uses=uses)
        policy = replace(world.responder.policy, guesses=GuessCounter(1, 6))
        world.responder = replace(world.responder, policy=policy)
        device = Device()
        _guess(world, 1)
        seen = []
        for secret in (SECRET, SECRET.upper()):
            statements.clear()
            reply = _reply(world, device, secret, "t1", HERE)
            seen.append((device.read(reply, world.ca), len(reply), tuple(statements)))
    world.store.close()

    assert seen[0] == seen[1]
    assert seen[0][0] == REFUSED
    assert any("challenge" in statement for statement in seen[0][2])
    assert not any("UPDATE" in statement or "INSERT" in statement for statement in seen[0][2])


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_a_source_is_an_address_or_a_network_of_ipv6(remote: str, source: str) -> None:
    """A single customer of most providers has all the addresses of one."""
    assert source_of(remote) == source


def test_processes_share_the_limit() -> None:
    """Each counts for itself; together they let no more guesses through, but for the rounding."""
    limit = GuessCounter(10, 100, processes=4)

    taken = 0
    while not limit.is_exhausted(HERE):
        limit.note_wrong(HERE)
        taken += 1

    assert taken == 3


def test_what_is_counted_is_bounded() -> None:
    """Who has a network of networks fills no memory with them."""
    limit = GuessCounter(10, 100)
    for number in range(10_000):
        limit.note_wrong(f"2001:db8:{number:x}::1")

    assert limit.is_exhausted(THERE)
    assert limit._limiter is not None
    assert len(limit._limiter.storage.storage) <= 102  # type: ignore[attr-defined]
