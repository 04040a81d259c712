"""When a CA became the CA of today, by its file: read, and doubted where a clock must have been wrong."""

from datetime import UTC, datetime, timedelta

from app.ca_folder import CaFolder
from ca.issuing.authority import BACKDATE
from ca.succession import UNDER_WAY

_NEVER = datetime.min.replace(tzinfo=UTC)
_ENDED = "the CA before it issues nothing any more to who writes to it"
_MEND = "if it was activated less than an hour ago, write that time into the file, as 2027-01-31T12:00:00Z"


def end_of_change(folder: CaFolder, now: datetime, complaints: list[str]) -> datetime:
    """Until when the CA before that of *folder* issues to those whose enrolment was under way.

    A file of which nothing can be made ends that at once, and is told in *complaints*: no service has to
    stop for it.
    """
    path = folder.activated
    try:
        told, written = path.read_text("ascii").strip(), path.stat().st_mtime
        activated = datetime.fromisoformat(told)
    except OSError as error:
        complaints.append(f"{path}: {error.strerror}; {_ENDED}; {_MEND}")
        return _NEVER
    except ValueError:
        complaints.append(f"{path} is no time; {_ENDED}; {_MEND}")
        return _NEVER
    activated = activated if activated.tzinfo else activated.replace(tzinfo=UTC)
    if activated > now + BACKDATE:
        # The promised hour is kept, and no more than that.
        complaints.append(
            f"{path} says {told}, which is still to come: a clock was or is wrong; until it says the time of "
            "the change, the CA before it issues for an hour from each start"
        )
        return now + UNDER_WAY
    late = timedelta(seconds=int(written - activated.timestamp()))
    if late > BACKDATE and activated + UNDER_WAY <= now < activated + late + UNDER_WAY:
        complaints.append(f"{path} says {told} and was written {late} later; {_ENDED}; {_MEND}")
    return activated + UNDER_WAY
