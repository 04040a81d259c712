"""The parts of the program, and which of them is at work, looked at every so often.

A profiler that follows every call makes small functions look dear; a look now and then does not.
"""

import linecache
import random
import re
import signal
from collections import Counter
from types import FrameType

_MEAN_SECONDS, _LEAST_SECONDS = 0.0003, 0.00001
RSA_PRIVATE = "RSA private-key operations"
RSA_PUBLIC = "RSA public-key operations"
LOAD_KEY = "OpenSSL reading public keys"
STATEMENTS = "SQLite: statements"
COMMIT = "SQLite: commit, onto the disk"
REST = "rest: Python's own library"
# By file and text of a line, the first that fits. Work in C belongs to the line that calls it.
_RULES = [
    (re.compile(file), re.compile(text), part)
    for file, text, part in (
        ("/ca/algorithms/", r"\.sign\(|key\.decrypt\(", RSA_PRIVATE),
        ("/ca/algorithms/", r"\.verify\(|key\.encrypt\(", RSA_PUBLIC),
        ("/ca/algorithms/", "load_der_public_key", LOAD_KEY),
        ("/ca/algorithms/(ciphers|digests)", "", "symmetric ciphers, digests"),
        ("/sqlalchemy/engine/default|/app/store/", r"\.commit\(|COMMIT", COMMIT),
        ("/sqlalchemy/engine/default", r"cursor\.execute", STATEMENTS),
        ("/app/store/", r"\.(execute|fetch)", STATEMENTS),
        ("/sqlalchemy/|/app/store/", "", "SQLAlchemy and the repository"),
        ("/ca/asn1/writer", "", "ASN.1, writing"),
        ("/ca/asn1/", "", "ASN.1, reading"),
        ("/ca/journal|/logging/|/app/logs", "", "log"),
        (r"/app/http/|/bottle\.py", "", "bottle and the endpoint"),
        ("/ca/x509/", "", "names, extensions, CSRs (ca/x509)"),
        ("/ca/pkcs7/", "", "CMS (ca/pkcs7)"),
        ("/ca/scep/", "", "SCEP messages (ca/scep)"),
        ("/ca/algorithms/|/cryptography/", "", "choosing algorithms (ca/algorithms)"),
        ("/ca/", "", "policy, issuing, responder"),
    )
]


class Sampler:
    """While it is entered: how often each part of the program was found at work in the main thread.

    The waits between two looks are random, as the program repeats itself and would be met at the
    same places again and again.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._known: dict[tuple[str, int], str] = {}

    def __enter__(self) -> "Sampler":
        signal.signal(signal.SIGALRM, self._sample)
        signal.siginterrupt(signal.SIGALRM, False)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        part = ""
        while frame is not None and not part:
            part = self._part(frame.f_code.co_filename, frame.f_lineno or 0)
            frame = frame.f_back
        self.counts[part or REST] += 1
        self._wait()

    @staticmethod
    def _wait() -> None:
        """Set the timer, for once: no look interrupts another."""
        signal.setitimer(signal.ITIMER_REAL, max(random.expovariate(1 / _MEAN_SECONDS), _LEAST_SECONDS))

    def _part(self, file: str, number: int) -> str:
        """The part of a line; empty where only the calling line can tell."""
        part = self._known.get((file, number))
        if part is None:
            line, slashed = linecache.getline(file, number), file.replace("\\", "/")
            fitting = (part for where, text, part in _RULES if where.search(slashed) and text.search(line))
            part = self._known[file, number] = next(fitting, "")
        return part
