"""The administrator's site as ``serve`` starts it: its socket, and what is behind it."""

import errno
import ipaddress
import socket
from collections.abc import Callable

from bottle import Bottle

from app.admin.attempts import Attempts
from app.admin.gate import Gate, loopback_hosts
from app.admin.metrics_token import MetricsToken
from app.admin.password import AdminPassword
from app.admin.site import AdminSite
from app.cli.context import Refusal, say
from app.clock import utc_now
from app.config import OFF, Config, check_admin_address
from app.config.sections import ServerSection
from app.data_folder import DataFolder
from app.http.server import bind
from app.metrics.meter import Meter
from app.settings import Change
from app.store import SqlStore
from app.succession import load_succession
from app.wiring import build_statuses
from ca.policy.challenges import ChallengeKey

# An administrator and a few programs; the rest of a process's connections are the devices'.
ADMIN_CONNECTIONS = 32


def bind_admin(given: str | None, server: ServerSection) -> tuple[socket.socket | None, str]:
    """The socket of the site, and what is to be said of it; None for no site.

    It listens where *given* on the command line, else as the settings have it.

    Where nobody has asked for the address and it is taken, it goes on without: a second server on one
    machine is to start all the same.

    Raises:
        Refusal: The address that was asked for is none, or is taken.

    """
    asked = given is not None or "admin_listen" in server.model_fields_set
    try:
        address = check_admin_address(given) if given is not None else server.admin_listen
    except ValueError as error:
        raise Refusal(f"--admin-listen {error}") from error
    if address == OFF:
        return None, ""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        listener = bind(host, int(port))
    except OSError as error:
        why = f"{address}: {error.strerror or error}"
        if asked or error.errno not in (errno.EADDRINUSE, errno.EACCES):
            hint = "choose another with --admin-listen, or off"
            raise Refusal(f"cannot listen for the administrator on {why}; {hint}") from error
        return None, f"note: no administrator's site ({why}); choose another address with --admin-listen"
    if _is_loopback(host):
        return listener, ""
    return listener, (
        f"warning: at {address} the administrator's password crosses the network in clear; "
        "have a proxy with TLS in front, or listen on 127.0.0.1"
    )


def tell_if_closed(folder: DataFolder) -> None:
    """Say how the site is opened, where nobody can log in yet."""
    if not AdminPassword(folder.admin_password).is_set():
        how = folder.command("admin password")
        say(f"note: the administrator's site is closed until there is a password: {how}")


def open_admin_site(
    folder: DataFolder,
    store: SqlStore,
    key: ChallengeKey,
    listener: socket.socket,
    reload: Callable[[str], Change],
    meter: Meter,
) -> AdminSite:
    """What the site is made of that no reload changes."""
    password = AdminPassword(folder.admin_password)
    set_password = folder.command("admin password")
    hosts, token = loopback_hosts(listener.getsockname()[0]), MetricsToken(folder.metrics_token)
    gate = Gate(password, Attempts(), hosts, set_password, token)
    return AdminSite(gate, store, key, utc_now, reload, folder.command("reload"), meter)


def build_admin(folder: DataFolder, site: AdminSite, config: Config) -> Bottle:
    """The site for the CA of today and the settings in force."""
    # What is wrong with one of them is told where they serve.
    cas, _ = load_succession(folder, utc_now())
    return site.build(cas.current.certificate, config, build_statuses(cas, config, site.store))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
