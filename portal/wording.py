"""What each door adds to a refusal: what is to be done next, in the words of who reads it there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from events.errors import Code, RefusalError
from events.statements import ContainerStatement, LicenceStatement


@dataclass(frozen=True)
class Wording:
    """A door's words. A remedy may name parameters of the refusal, such as `{case}`; where the refusal has not all of
    them, it is left out."""

    remedies: Mapping[Code, str]

    def sentence(self, refusal: RefusalError) -> str:
        """What is wrong, and what to do next."""
        try:
            remedy = self.remedies.get(refusal.code, "").format_map(refusal.parameters)
        except KeyError:
            remedy = ""
        return f"{refusal.sentence}; {remedy}" if remedy else refusal.sentence

    def worded(self, refusal: RefusalError) -> RefusalError:
        """The same refusal, of which the sentence says both."""
        return type(refusal)(refusal.code, self.sentence(refusal), **refusal.parameters)


COMMAND_LINE: Final = Wording(
    {
        Code.UNKNOWN_VENDOR: "`lostfound vendor list` names those that there are, `lostfound vendor add` adds one",
        Code.UNKNOWN_CASE: "`lostfound case list` names those that there are",
        Code.UNKNOWN_CONTAINER: "check its serial",
        Code.UNKNOWN_LICENCE: "check its name",
        Code.NO_LICENCE: "`lostfound container show {serial}` shows what is in it",
        Code.NO_CASE: "`lostfound case list --serial {serial}` shows the cases of that container",
        Code.VENDOR_EXISTS: "put this one in force with `lostfound policy adopt`",
        Code.UNREADABLE_POLICY: "`lostfound vendor list` shows the version of {vendor} that is in force",
        Code.NOT_SET_ASIDE: "`lostfound status` names those that are",
        Code.NOTHING_TO_DECIDE: "`lostfound case show {case}` says where it stands",
        Code.STALE: "look at it again with `lostfound case show {case}`, then decide on that",
        Code.NOT_ESCALATED_TO: "`lostfound case show {case}` says to whom",
        Code.BEYOND_QUOTA: "to approve beyond it, use --goodwill and say --why",
        Code.TOO_LATE: "`lostfound found SERIAL` says so, with the container's serial",
        Code.REPLACEMENT_LOST: "leave out --reinstate",
    }
)
"""Whoever types commands."""

INBOX: Final = Wording(
    {
        Code.UNKNOWN_VENDOR: "have it added to this installation, and send this again",
        Code.UNKNOWN_CONTAINER: f"state {ContainerStatement.type()} for it first",
        Code.UNKNOWN_LICENCE: f"state {LicenceStatement.type()} for it first",
        Code.NO_LICENCE: f"state {LicenceStatement.type()} for it first",
    }
)
"""A back-office system that sends events, and reads the dead letters."""
