"""Requests that are there at once: they run together, share a commit, and do not mix."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from http.client import HTTPResponse
from pathlib import Path

import pytest
from bottle import request
from sqlalchemy import Engine, event

from app.http.rounds import MOST_AT_ONCE, Rounds, do_elsewhere, let_others_catch_up
from app.store import Sharing, SqlStore, open_store
from ca.deviations import Deviations
from ca.errors import ChallengeRejected
from ca.ports import Peer
from ca.profiles import Profile
from tests.test_http import serving
from tests.test_http_limits import POST, web_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A store whose transactions wait for the rest of their round."""
    store = open_store(f"sqlite:///{tmp_path}/scepbox.db", Sharing(let_others_catch_up))
    yield store
    store.close()


@pytest.fixture
def commits() -> Iterator[list[object]]:
    """One entry for each commit of any database."""
    seen: list[object] = []
    see = seen.append
    event.listen(Engine, "commit", see)
    yield seen
    event.remove(Engine, "commit", see)


def test_a_round_shares_one_commit(store: SqlStore, commits: list[object]) -> None:
    """Each commit waits for the disk; a crowd of devices must not wait in line for it."""
    rounds, alive = Rounds(), []
    for _ in range(MOST_AT_ONCE):
        rounds.add(lambda: alive.append(store.transact(lambda repository: repository.is_alive())))

    rounds.run()

    assert alive == [True] * MOST_AT_ONCE
    assert len(commits) == 1


def test_who_comes_back_to_the_store_shares_again(store: SqlStore, commits: list[object]) -> None:
    """A refusal has two transactions: the one that was undone, and the one that keeps it."""
    rounds, refused = Rounds(), []

    def spend_then_note() -> None:
        with pytest.raises(ChallengeRejected) as refusal:
            store.transact(_refuse)
        store.transact(lambda repository: repository.is_alive())
        refused.append(refusal.value)

    for _ in range(3):
        rounds.add(spend_then_note)

    rounds.run()

    assert len(refused) == 3
    assert len(commits) == 2


def _refuse(_: object) -> None:
    raise ChallengeRejected


def test_a_round_is_bounded() -> None:
    """The first of a thousand must not wait until the last was served."""
    rounds = Rounds()
    served: list[int] = []
    for number in range(MOST_AT_ONCE + 1):
        rounds.add(partial(served.append, number))

    rounds.run()

    assert served == list(range(MOST_AT_ONCE))
    assert rounds
    rounds.run()
    assert not rounds


def test_one_that_breaks_leaves_the_others_whole(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in the answer to one device is told in the log, and the rest of the round goes on."""
    rounds, served = Rounds(), []

    def breaks() -> None:
        let_others_catch_up()
        raise RuntimeError("a bug")

    rounds.add(breaks)
    rounds.add(lambda: served.append("served"))

    rounds.run()

    assert served == ["served"]
    assert "a bug" in caplog.text


def test_outside_of_a_round_nobody_is_waited_for() -> None:
    """The command line uses the same store."""
    let_others_catch_up()


def test_requests_of_a_round_keep_their_own_peer_and_path() -> None:
    """Bottle keeps the request in a variable of the thread, which all of a round share."""

    def report(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        before = request.environ["HTTP_X_NAME"]
        let_others_catch_up()
        return f"{before} {request.environ['HTTP_X_NAME']} {message.decode()}".encode()

    with serving(web_of(report)) as served, ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(8)]
        for number, connection in enumerate(connections):
            connection.sendall(POST + b"X-Name: %d\r\nContent-Length: 1\r\n\r\n%d" % (number, number))

        for number, connection in enumerate(connections):
            with closing(HTTPResponse(connection)) as response:
                response.begin()
                assert response.read() == f"{number} {number} {number}".encode()


def test_requests_behind_each_other_on_one_connection_are_answered_in_order() -> None:
    """RFC 9112 9.3.2: a client may send the next before it has the answer to the last."""

    def echo(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        let_others_catch_up()
        return message

    with serving(web_of(echo)) as served, served.connect() as connection:
        connection.sendall(b"".join(POST + b"Content-Length: 1\r\n\r\n%d" % number for number in range(5)))

        received = b""
        while len(bodies := re.findall(rb"\r\n\r\n(\d)", received)) < 5:
            received += connection.recv(10_000)
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]


def test_who_connects_while_a_round_is_served_is_in_the_next() -> None:
    """Taken one by one, with a round in between, the last of thirty devices would wait for a second."""
    begun, go_on, seen = threading.Event(), threading.Event(), []
    inside: list[bytes] = []

    def report(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        if message == b"f":
            begun.set()
            go_on.wait(30)
            return message
        inside.append(message)
        let_others_catch_up()
        seen.append(len(inside))
        return message

    with serving(web_of(report)) as served, ExitStack() as stack:
        first = stack.enter_context(served.connect())
        first.sendall(POST + b"Content-Length: 1\r\n\r\nf")
        assert begun.wait(30)
        others = [stack.enter_context(served.connect()) for _ in range(8)]
        for other in others:
            other.sendall(POST + b"Content-Length: 1\r\n\r\no")
        go_on.set()

        assert [_body(one) for one in (first, *others)] == [b"f", *[b"o"] * 8]
    assert seen == [8] * 8


def test_who_is_elsewhere_keeps_nobody_waiting() -> None:
    """A tenth of a second of arithmetic for one device is none of the others' business."""
    go_on, woken, served = threading.Event(), threading.Event(), []
    rounds = Rounds(woken.set)

    def slow() -> None:
        do_elsewhere(lambda: go_on.wait(30))
        served.append("slow")

    rounds.add(slow)
    rounds.add(lambda: served.append("quick"))
    rounds.run()
    meanwhile, idle = list(served), not rounds
    rounds.add(lambda: served.append("later"))
    rounds.run()
    go_on.set()

    assert (meanwhile, idle) == (["quick"], True)
    assert woken.wait(30)
    assert rounds
    rounds.run()
    assert served == ["quick", "later", "slow"]
    assert not rounds


def test_what_breaks_elsewhere_breaks_its_own_task(caplog: pytest.LogCaptureFixture) -> None:
    """Told in the log, as what breaks in a round is."""
    woken = threading.Event()
    rounds, served = Rounds(woken.set), []
    rounds.add(lambda: do_elsewhere(lambda: 1 // 0))
    rounds.run()

    assert woken.wait(30)
    rounds.run()
    rounds.add(lambda: served.append("served"))
    rounds.run()

    assert served == ["served"]
    assert "ZeroDivisionError" in caplog.text


def test_outside_of_a_round_it_is_done_at_once() -> None:
    """In a test, or a program that serves nobody."""
    done: list[int] = []

    do_elsewhere(lambda: done.append(threading.get_ident()))

    assert done == [threading.get_ident()]


def test_a_server_answers_others_meanwhile() -> None:
    """And then whoever waited, unless he has left, with what he asked for."""
    go_on = threading.Event()

    def report(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        if message == b"s":
            do_elsewhere(lambda: go_on.wait(30))
        return message + str(request.environ["HTTP_X_NAME"]).encode()

    def send(connection: socket.socket, what: bytes) -> None:
        connection.sendall(POST + b"X-Name: %b\r\nContent-Length: 1\r\n\r\n%b" % (what.upper(), what))

    with serving(web_of(report)) as served, served.connect() as slow, served.connect() as quick:
        with served.connect() as leaving:
            send(leaving, b"s")
        send(slow, b"s")
        send(quick, b"q")
        first = _body(quick)
        go_on.set()

        assert (first, _body(slow)) == (b"qQ", b"sS")
        send(quick, b"q")
        assert _body(quick) == b"qQ"


def _body(connection: socket.socket) -> bytes:
    with closing(HTTPResponse(connection)) as response:
        response.begin()
        body: bytes = response.read()
    return body
