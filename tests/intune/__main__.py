"""``python -m tests.intune --port 0``: runs the simulator, and prints the settings that lead to it."""

import argparse
import sys

from tests.intune.simulator import CLIENT_SECRET, CODES, IntuneSimulator
from tests.services import Received, Reply


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.intune", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=0, help="where to listen on 127.0.0.1; 0 takes a free one"
    )
    simulator = IntuneSimulator(parser.parse_args().port)
    answer = simulator.service.answer

    def told(request: Received) -> Reply:
        reply = answer(request)
        print(f"{request.method} {request.path}: {reply.status} {simulator.steps[-1]}", file=sys.stderr)
        return reply

    simulator.service.answer = told
    print(simulator.settings("intune.secret"), flush=True)
    print(f"# the secret: printf %s '{CLIENT_SECRET}' > DATA/intune.secret; chmod 600 DATA/intune.secret")
    print(f"# a challenge password such as x:{CODES[8]} is refused with that code:")
    print("#   " + " ".join(CODES), flush=True)
    try:
        simulator.service.server.serve_forever()
    except KeyboardInterrupt:
        simulator.service.server.server_close()


main()
