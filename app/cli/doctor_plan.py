"""What ``doctor --dry-run`` prints: every request, before any is sent."""

from rich.console import Console
from rich.text import Text as RichText

from app.cli.context import print_json, say
from app.doctor.examination import Request, plan
from app.doctor.planned import Announced
from app.doctor.target import Target
from app.doctor.visit import STILL_THERE

_NO_ANSWER = "after a request that brings no answer"
_STILL_THERE = "whether it is the server that is gone"


def print_plan(request: Request, console: Console, *, as_json: bool) -> None:
    """Announce the requests of all steps, for people or for machines."""
    target = request.target
    steps = [(step.name, step.why, [one.announce(target) for one in step.requests]) for step in plan(request)]
    after = STILL_THERE.announce(target)
    if as_json:
        told = [*steps, (STILL_THERE.name, f"{_STILL_THERE}: {_NO_ANSWER}", [after])]
        print_json(
            [
                {"step": name, "why": why, "requests": [_as_json(one, target) for one in requests]}
                for name, why, requests in told
            ]
        )
        return
    _print_head(console, target, sum(one.times for _, _, requests in steps for one in requests))
    for number, (name, why, requests) in enumerate(steps, 1):
        console.print(RichText(f"{number:>3}. {name}: ", style="bold").append(why, style="not bold"))
        for one in requests:
            console.print(RichText(f"       {_in_words(one)}"))
    console.print(RichText(f"\n{_NO_ANSWER}, one more: {after.request}, {_STILL_THERE}"))
    say("nothing was sent")


def _print_head(console: Console, target: Target, count: int) -> None:
    line = RichText(f"{target.shown}: ", style="bold")
    line.append(f"at most {count} requests to {target.host}, one after the other", style="not bold")
    console.print(line)
    console.print("(or by GET) is for servers that do not offer POST, or where it does not work\n")


def _in_words(one: Announced) -> str:
    """A request in one line: where it goes, what is in it, and when it is sent."""
    way = one.request + (" (or by GET)" if one.otherwise else "")
    often = f"up to {one.times} times" if one.times > 1 else ""
    holds = ", ".join(filter(None, (one.holds, often, one.when)))
    return f"{way}: {holds}" if holds else way


def _as_json(one: Announced, target: Target) -> dict[str, object]:
    return {
        **_split(one.request),
        "otherwise": _split(one.otherwise) if one.otherwise else None,
        "host": target.host,
        "holds": one.holds,
        "when": one.when,
        "times": one.times,
    }


def _split(request: str) -> dict[str, str]:
    method, _, path = request.partition(" ")
    return {"method": method, "path": path}
