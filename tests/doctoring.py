"""``doctor`` at the servers that are wrong on purpose."""

import ssl
from itertools import cycle

from cryptography.hazmat.primitives.asymmetric import rsa

from app.doctor.examination import Request, examine
from app.doctor.report import Report
from app.doctor.target import Target
from app.personas import PERSONAS, Reach
from tests.faults.conduct import Conduct, Fault
from tests.faults.server import running
from tests.world import rsa_key

# Keys made once, and many enough that no two devices which are compared have the same.
_NUMBERS = cycle(range(100, 112))


def _next_key() -> rsa.RSAPrivateKey:
    return rsa_key(next(_NUMBERS))


def personas_of(fault: Fault) -> tuple[str, ...]:
    """The personas of the clients that a fault hurts, and one more to hold them against."""
    hurt = {*fault.clients, "sscep"} | ({"ios"} if "everyone" in fault.clients else set())
    return tuple(name for name, one in PERSONAS.items() if hurt & {name, one.family})


def examined(conduct: Conduct, personas: tuple[str, ...] = tuple(PERSONAS), *, asks: bool = True) -> Report:
    """The report on a server of that conduct; who *asks* has a challenge password, and gets certificates."""
    with running(conduct) as server:
        challenges = (server.challenge,) if asks else ()
        reach = Reach(trust=_trusting() if conduct.wants_certificate else None)
        target = Target(server.url)
        return examine(Request(target, challenges, personas=personas, reach=reach, make_key=_next_key))


def _trusting() -> ssl.SSLContext:
    """For what is behind a TLS certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
