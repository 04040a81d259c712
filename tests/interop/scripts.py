"""The two clients that live here, one in Ruby and one in JavaScript, and how to talk to them.

Both take one job as JSON on standard input, so that one set of tests serves them.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import peers

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Script:
    """A client, and the ciphers and digests its library has."""

    peer: peers.Peer
    command: tuple[str, ...]

    def ask(self, operation: str, url: str, **job: str | None) -> dict[str, Any]:
        """Run one operation; the client itself ends with an error where a reply is not right."""
        done = subprocess.run(
            self.command,
            input=json.dumps({"operation": operation, "url": url, **job}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{self.peer.name} {operation}: {done.stderr}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


RUBY = Script(peers.RUBY, ("ruby", str(HERE / "ruby/client.rb")))
NODE_FORGE = Script(peers.NODE_FORGE, ("node", str(HERE / "forge/client.js")))
