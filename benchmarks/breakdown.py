"""Where the CPU of one enrolment goes, in our server's application: one process, one thread.

What is done in C by one call (RSA, SQLite) is timed call by call; what is left is shared out
among the parts of the Python program as samples tell.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from cProfile import Profile

from benchmarks.in_process import InProcessServer
from benchmarks.sampler import COMMIT, LOAD_KEY, RSA_PRIVATE, RSA_PUBLIC, STATEMENTS, Sampler

# By the name that the profiler gives to a function written in C, the first that fits.
_IN_C = (
    ("sign' of 'cryptography.hazmat.bindings._rust.openssl.rsa.RSAPrivateKey'", RSA_PRIVATE),
    ("decrypt' of 'cryptography.hazmat.bindings._rust.openssl.rsa.RSAPrivateKey'", RSA_PRIVATE),
    ("verify' of 'cryptography.hazmat.bindings._rust.openssl.rsa.RSAPublicKey'", RSA_PUBLIC),
    ("encrypt' of 'cryptography.hazmat.bindings._rust.openssl.rsa.RSAPublicKey'", RSA_PUBLIC),
    ("load_der_public_key", LOAD_KEY),
    ("'commit' of 'sqlite3", COMMIT),
    ("sqlite3", STATEMENTS),
)


def measure_in_process(server: InProcessServer, bodies: Sequence[bytes]) -> dict[str, float]:
    """CPU of the application for one enrolment, by part, in milliseconds.

    A third of *bodies* each goes to the whole, to the calls into C, and to the samples.
    """
    third = len(bodies) // 3
    started = time.thread_time()
    _post(server, bodies[:third])
    whole = time.thread_time() - started
    parts = _in_c(server, bodies[third : 2 * third])
    with Sampler() as sampler:
        _post(server, bodies[2 * third :])
    in_python = {part: count for part, count in sampler.counts.items() if part not in parts}
    scale = (whole - sum(parts.values())) / sum(in_python.values())
    parts |= {part: count * scale for part, count in in_python.items()}
    return {part: seconds * 1000 / third for part, seconds in parts.items()}


def _post(server: InProcessServer, bodies: Sequence[bytes]) -> None:
    for body in bodies:
        server.post(body)


def _in_c(server: InProcessServer, bodies: Sequence[bytes]) -> dict[str, float]:
    """CPU seconds inside the functions of ``_IN_C``; the profiler's own cost falls outside them."""
    profiler = Profile(time.thread_time)
    profiler.enable()
    _post(server, bodies)
    profiler.disable()
    seconds: dict[str, float] = defaultdict(float)
    for entry in profiler.getstats():
        part = next(
            (part for name, part in _IN_C if isinstance(entry.code, str) and name in entry.code), None
        )
        if part is not None:
            seconds[part] += entry.inlinetime
    return seconds
