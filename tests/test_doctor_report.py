"""What becomes of what doctor found: causes before consequences, the worst first, told once."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from app.diagnosis.finding import Severity
from app.diagnosis.knowledge import knowledge
from app.diagnosis.node import Node
from app.doctor.examination import Request, plan
from app.doctor.folding import FOLDED, is_folded
from app.doctor.junit import junit
from app.doctor.report import Report, StepResult, make_report
from app.doctor.seen import Found
from app.doctor.showing import show
from app.doctor.target import Spelling, Target, Way
from app.personas import PERSONAS

KNOWN = knowledge()
URL = "http://ca.example/scep"


def report(*steps: tuple[Found, ...]) -> Report:
    """A report on steps that found so much."""
    results = [StepResult(f"step {number}", "why", found) for number, found in enumerate(steps, 1)]
    return make_report(URL, results, 7, KNOWN)


def ids(one: Report) -> list[str]:
    return [entry.finding.id for entry in one.entries]


def test_every_finding_that_is_folded_is_known() -> None:
    """A slip there would show a consequence beside its cause."""
    assert (
        FOLDED.keys() | {one for consequences in FOLDED.values() for one in consequences}
        <= KNOWN.findings.keys()
    )


@pytest.mark.parametrize("cause", FOLDED)
def test_no_two_findings_hide_each_other(cause: str) -> None:
    """Else neither would be told, and a broken server would pass."""
    assert not [other for other in FOLDED[cause] if is_folded(cause, other)]


def test_a_consequence_is_told_beneath_its_cause() -> None:
    """Blanks behind each capability are why no digest is found."""
    one = report((Found("caps-no-digest", "GetCACaps"), Found("caps-blanks", "GetCACaps", "'AES '")))

    assert ids(one) == ["caps-blanks"]
    assert one.entries[0].leads_to == ("caps-no-digest",)
    assert "it leads to caps-no-digest" in one.entries[0].why(KNOWN)


def test_only_what_came_after_the_end_is_beneath_it() -> None:
    """A server that stood until the last request fails at nothing because of that one."""
    late = Found("nonsense-fault", "unknown messageType", "closed", late=True)
    end = Found("message-type-kills", "unknown messageType", "gone", late=True)
    before = Found("nonsense-fault", "empty POST", "HTTP 500")

    folded, told = report((late,), (end,)), report((before,), (late,), (end,))

    assert {one.finding.id: one.leads_to for one in folded.entries} == {
        "message-type-kills": ("nonsense-fault",)
    }
    assert {one.finding.id: one.places for one in told.entries} == {
        "message-type-kills": "unknown messageType: gone",
        "nonsense-fault": "empty POST: HTTP 500",
    }


def test_who_stopped_tells_what_it_met_where_that_is_something_else() -> None:
    """What the doctor met elsewhere explains no client's stop."""
    one = report(
        (Found("http-error", "CertPoll", "HTTP 500: not implemented"),),
        (Found("http-error", "as ios: CertRep", "HTTP 500: illegal base64", ("ios",), "ios"),),
    )

    (entry,) = one.entries
    assert entry.places == ("CertPoll: HTTP 500: not implemented; as ios: CertRep: HTTP 500: illegal base64")


def test_where_nobody_answers_nothing_else_is_told() -> None:
    """What was not answered either says nothing."""
    assert ids(report((Found("unreachable", "GetCACaps"),), (Found("http-old", "HTTP/1.0"),))) == [
        "unreachable"
    ]


def test_the_worst_comes_first_and_what_was_seen_to_stop_somebody_before_the_rest() -> None:
    """Who reads three lines has read the right ones."""
    one = report(
        (Found("http-head", "HEAD"), Found("plus-lost", "bare +")),
        (Found("des-reply", "enrolment"), Found("oaep-reply", "as ios", "", ("ios",), "ios")),
    )

    assert ids(one) == ["oaep-reply", "plus-lost", "des-reply", "http-head"]
    severities = [list(Severity).index(entry.finding.severity) for entry in one.entries]
    assert all(before <= after for before, after in pairwise(severities))
    assert not one.passed
    assert [entry.finding.id for entry in one.fails()["ios"]] == ["oaep-reply", "plus-lost"]


def test_what_somebody_was_seen_to_stop_at_is_a_violation() -> None:
    """A redirect is a warning until somebody stands before it; a note counts for who asked for the client."""
    redirect = (Found("http-redirect", "as ios: GetCACaps", "", ("ios",), "ios"),)
    note = [StepResult("as cisco", "why", (Found("digest-refused", "as cisco", "", ("cisco",), "cisco"),))]

    assert report((Found("http-redirect", "POST"),)).passed
    assert not report(redirect).passed
    assert report(redirect).count(Severity.VIOLATION) == 1
    assert make_report(URL, note, 1, KNOWN).passed
    assert not make_report(URL, note, 1, KNOWN, asked=("cisco",)).passed


def test_who_stops_at_a_consequence_stops_at_its_cause() -> None:
    """Else a client that gets nothing would be told nowhere; when all of them stop, that is said."""
    stops = [Found("http-error", f"as {one}: GetCACert", "", (one,), one) for one in PERSONAS]

    one = report((Found("url-wrong", "GetCACaps", "HTTP 404"),), tuple(stops))

    (entry,) = one.entries
    assert set(entry.stopped) == PERSONAS.keys()
    assert entry.leads_to == ("http-error",)
    assert list(one.fails()) == ["everyone"]


def test_who_got_a_certificate_does_not_fail_for_what_is_only_known() -> None:
    """It would deny what was seen a moment ago; what comes after the certificate, and who stopped, stays."""
    found = (
        Found("ca-key-usage", "GetCACert"),
        Found("http-error", "CertPoll"),
        Found("ca-expired", "GetCACert"),
        Found("oaep-reply", "as ios", "", ("ios",), "ios"),
    )

    one = make_report(URL, [StepResult("a step", "why", found)], 1, KNOWN, enrolled=("ios",))

    failing = {client: {entry.finding.id for entry in entries} for client, entries in one.fails().items()}
    assert failing["ios"] == {"oaep-reply"}
    assert failing["macos"] == {"ca-key-usage", "oaep-reply"}
    assert failing["everyone"] == {"ca-expired"}
    named = {entry.finding.id for entry in one.entries if "ios" in entry.clients}
    assert named == {"oaep-reply", "ca-key-usage", "http-error"}


def test_who_only_read_has_passed_what_it_read() -> None:
    """It would go on with such a CA; what becomes of its message nobody has seen."""
    found = (Found("ca-key-usage", "GetCACert"), Found("plus-lost", "bare +"))

    one = make_report(URL, [StepResult("a step", "why", found)], 1, KNOWN, went_on=("ios",))

    failing = {client: {entry.finding.id for entry in entries} for client, entries in one.fails().items()}
    assert failing["ios"] == {"plus-lost"}
    assert failing["macos"] == {"ca-key-usage", "plus-lost"}


def test_nobody_is_said_to_fail_who_is_not_known_to() -> None:
    """IOS minds such a CA and goes on; whose key is certified for another does not fail at it."""
    found = (
        Found("ca-key-usage", "GetCACert"),
        Found("csr-signature-unchecked", "CSR signed wrongly"),
        Found("http-error", "CertPoll"),
    )
    steps = [StepResult("a step", "why", found)]

    every, windows = (make_report(URL, steps, 1, KNOWN, asked=asked) for asked in ((), ("windows",)))

    told = {client: [entry.finding.id for entry in entries] for client, entries in every.fails().items()}
    assert list(told) == ["everyone", "macos", "windows"]
    assert told["everyone"] == ["http-error"]
    assert list(windows.fails()) == ["everyone", "windows"]


def test_a_client_that_stops_is_as_grave_whether_it_was_asked_for_or_not() -> None:
    """StrongSwan gets no certificate without SHA-384 in either case."""
    stops = (Found("caps-no-sha384", "as strongswan: GetCACaps", "", ("strongswan",), "strongswan"),)
    steps = [StepResult("as strongswan", "why", stops)]

    severities = {
        make_report(URL, steps, 1, KNOWN, asked=asked).entries[0].severity for asked in ((), ("strongswan",))
    }

    assert severities == {Severity.VIOLATION}


def test_warnings_alone_pass() -> None:
    """A server that works with a blemish does not break a build."""
    assert report((Found("des-reply", "enrolment"),)).passed


def test_the_same_seen_by_many_is_told_once() -> None:
    """By doctor's own steps where they saw it; who stopped stands beside it."""
    one = report(
        (Found("http-media-type", "GetCACert", "text/html"),),
        (Found("http-media-type", "as ios: GetCACert", "text/html", ("ios",), "ios"),),
        (Found("http-media-type", "as sscep: GetCACert", "text/html", ("sscep",), "sscep"),),
    )

    (entry,) = one.entries
    assert entry.places == "GetCACert: text/html"
    assert entry.stopped == ("ios", "sscep")
    assert entry.clients[:2] == ("ios", "sscep")


def test_what_was_seen_is_told_with_all_the_steps_that_saw_it() -> None:
    """One line for a person: what, and not five times the same."""
    cut = [Found("des-reply", f"step {number}: CertRep", "DES-CBC") for number in range(5)]
    one = report(
        (*cut, Found("des-reply", "another", "nothing"), Found("des-reply", "step 0: CertRep", "DES-CBC"))
    )

    (entry,) = one.entries
    assert entry.places == "step 0, step 1, step 2, and 2 more: CertRep: DES-CBC; another: nothing"


@pytest.mark.parametrize(
    ("detail", "finding", "where", "told"),
    [
        ("", "ca-eku", "GetCACert", "extKeyUsage serverAuth"),
        ("now", "ca-expired", "GetCACert", "now"),
        ("", "html-body", "GetCACert", "Sign in"),
        ("", "fail-info-missing", "CertRep", "it is a FAILURE, and there is no failInfo"),
        ("", "caps-no-aes", "GetCACaps", "there is SHA-256"),
    ],
)
def test_what_stands_there_is_shown_where_inspect_says_no_more(
    detail: str, finding: str, where: str, told: str
) -> None:
    """A place alone is no help; what a stranger wrote there comes in one line, without tags and controls."""
    tree = Node("all")
    certificate = tree.add("certificate", "CN=CA", "certificate")
    certificate.add("extKeyUsage", "serverAuth")
    page = tree.add("text", "<html>\n<b>Sign\x1b\nin</b>", "http.response")
    listed = tree.add("GetCACaps", "1 lines", "GetCACaps")
    listed.add("capability", "SHA-256")
    for node, noted in (
        (certificate, "ca-eku"),
        (certificate, "ca-expired"),
        (page, "html-body"),
        (listed, "caps-no-aes"),
    ):
        node.note(noted)

    assert show(tree, finding, where, detail) == told


def test_junit_tells_each_finding_in_the_step_that_showed_it_first() -> None:
    """A violation fails, a warning is in the output, and what could not be tried is skipped."""
    steps = [
        StepResult("GetCACert", "why", (Found("ca-key-usage", "GetCACert", "\x1b[2J"),), seconds=1.5),
        StepResult("enrolment", "why", (Found("des-reply", "enrolment"), Found("ca-key-usage", "again"))),
        StepResult("renewal", "why", skipped="there is no certificate"),
    ]

    suite = ElementTree.fromstring(junit(make_report(URL, steps, 3, KNOWN), KNOWN))[0]

    assert {key: suite.get(key) for key in ("tests", "failures", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "skipped": "1",
    }
    certificate, enrolment, renewal = suite
    failure = certificate.find("failure")
    assert failure is not None
    assert failure.get("type") == "ca-key-usage"
    assert certificate.get("time") == "1.500"
    assert "\x1b" not in (failure.text or "")
    assert [child.tag for child in enrolment] == ["system-out"]
    assert [child.tag for child in renewal] == ["skipped"]


def test_what_xml_cannot_say_is_left_out() -> None:
    """Why a step was skipped may have the words of a stranger's server in it."""
    skipped = StepResult("enrolment", "why", skipped="it cannot be read: \x1b[2J\x00")

    document = junit(make_report(URL, [skipped], 1, KNOWN), KNOWN)

    assert b'<skipped message="it cannot be read:  [2J "' in document
    ElementTree.fromstring(document)


def test_requests_are_written_octet_for_octet() -> None:
    """What is asked is what the step says, and nothing that a library thinks better."""
    target = Target("http://ca.example:8080/scep?tenant=7")
    usual = "Host: ca.example:8080\r\nUser-Agent: scepbox\r\nConnection: close\r\n"

    assert target.write("GetCACaps", way=Way(version="1.0", suffix="/x")) == (
        f"GET /scep/x?tenant=7&operation=GetCACaps HTTP/1.0\r\n{usual}\r\n".encode()
    )
    assert b"Host" not in target.write("GetCACaps", way=Way(host=False))
    assert target.write("PKIOperation", b"m" * 1001, Way("POST", media_type=None, chunked=True)) == (
        f"POST /scep?tenant=7&operation=PKIOperation HTTP/1.1\r\n{usual}".encode()
        + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"
        + b"m" * 1000
        + b"\r\n1\r\nm\r\n0\r\n\r\n"
    )
    assert Target("http://ca.example").write("GetCACaps").startswith(b"GET /?operation=GetCACaps ")
    other = Way(other_slash=True)
    assert target.write("GetCACaps", way=other).startswith(b"GET /scep/?tenant=7&operation=GetCACaps ")
    assert Target("http://ca.example/scep/").write("x", way=other).startswith(b"GET /scep?operation=x ")
    ends = {"": False, "/": False, "/scep": True, "/scep/": True, "/cgi-bin/pkiclient.exe": False}
    assert {path: Target(f"http://ca.example{path}").may_end_in_slash for path in ends} == ends


def test_what_stands_in_the_query_of_an_address_is_not_shown() -> None:
    """It may be a token: the report goes to a CI, and a server may say it again."""
    target = Target("http://ca.example/scep?token=s%65cret-17&tenant=7&lonely")

    assert target.shown == "http://ca.example/scep?token=…&tenant=…&…"
    assert target.conceal("HTTP 302, to /login?next=secret-17, not s%65cret-17; 7") == (
        "HTTP 302, to /login?next=…, not …; 7"
    )
    assert Target("http://ca.example/scep").conceal("no query, no secret") == "no query, no secret"


def test_a_token_that_stands_alone_or_is_escaped_otherwise_is_not_shown_either() -> None:
    """No name tells that it is one; and of one that begins as another does, no end may be left."""
    alone = Target("http://ca.example/scep?open-sesame-17")
    others = Target("http://ca.example/scep?a=secret&b=secret-17&c=open%2Bses%61me")

    assert alone.query_names == ("…",)
    assert alone.conceal("HTTP 302, to /login?next=open-sesame-17") == "HTTP 302, to /login?next=…"
    assert others.query_names == ("a", "b", "c")
    assert others.conceal("secret-17, open+sesame, open%2Bsesame, open%2Bses%61me") == "…, …, …, …"


def test_an_address_is_looked_at_for_what_it_has() -> None:
    """A query may be lost, and a slash forgotten; where there is neither, nothing is sent for it."""
    planned = {
        url: {step.name for step in plan(Request(Target(f"http://ca.example{url}")))}
        for url in ("", "/scep", "/scep?token=seventeen", "/certsrv/mscep/mscep.dll")
    }

    common = set.intersection(*planned.values())
    assert {url: steps - common for url, steps in planned.items()} == {
        "": set(),
        "/scep": {"slash at the end"},
        "/scep?token=seventeen": {"slash at the end", "address"},
        "/certsrv/mscep/mscep.dll": set(),
    }


def test_base64_is_spelt_as_clients_spell_it() -> None:
    """Escaped as it should be, with + as iOS leaves it, and in lines as Cisco IOS breaks it."""
    message = bytes.fromhex("fbefbe") * 17

    assert Spelling.ESCAPED.of(b"\xfb\xef\xbe\xfb") == "%2B%2B%2B%2B%2Bw%3D%3D"
    assert Spelling.BARE_PLUS.of(b"\xfb\xef\xbe\xfb") == "+++++w%3D%3D"
    assert Spelling.WRAPPED.of(message) == "%2B" * 64 + "%0A" + "%2B" * 4 + "%0A"
