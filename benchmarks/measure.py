"""The steps of a run: keys, requests, warm-up, the measured load, and the look at the replies."""

from cryptography.hazmat.primitives.asymmetric import rsa
from rich.console import Console
from rich.progress import track

from benchmarks.cpu import ThreeOperations, tree_seconds
from benchmarks.load import apply_load
from benchmarks.messages import Enrolment, Target, count_successes, make_enrolments
from benchmarks.report import Point
from benchmarks.servers import Server

console = Console(stderr=True)


def make_keys(count: int) -> list[rsa.RSAPrivateKey]:
    """RSA keys for the devices to share."""
    numbers = track(range(count), "making device keys", console=console)
    return [rsa.generate_private_key(65537, 2048) for _ in numbers]


def prepare(target: Target, count: int, keys: list[rsa.RSAPrivateKey], words: str) -> list[Enrolment]:
    """All requests of a point, before any of them is sent."""
    making = make_enrolments(target, keys, count)
    return list(track(making, f"making requests: {words}", total=count, console=console))


def measure(
    server: Server,
    connections: int,
    enrolments: list[Enrolment],
    warm_up: int,
    *,
    operations: ThreeOperations,
    serials: set[int],
) -> Point:
    """Send the first *warm_up* for warmth, time the others, and only then look at the replies.

    *serials* are the serial numbers that the server gave in the run so far.
    """
    console.print(f"measuring {server.name} at {connections} connections")
    address, timed = server.target.address, enrolments[warm_up:]
    early = apply_load(address, [one.http for one in enrolments[:warm_up]], connections)
    unit = operations.milliseconds()
    before = tree_seconds(server.pid)
    result = apply_load(address, [one.http for one in timed], connections)
    cpu_seconds = tree_seconds(server.pid) - before
    unit = (unit + operations.milliseconds()) / 2
    count_successes(enrolments[:warm_up], early.responses, serials)
    successes, distinct = count_successes(timed, result.responses, serials)
    return Point(
        server=server.name,
        connections=connections,
        requests=len(timed),
        successes=successes,
        distinct=distinct,
        seconds=result.seconds,
        latencies=result.latencies,
        cpu_seconds=cpu_seconds,
        three_operations=unit,
    )
