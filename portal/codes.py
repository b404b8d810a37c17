"""What each code of a refusal means at each door: one table, which `docs/codes.md` is made from.

It says with which exit code a command ends, which status an HTTP answer has, and whether the same may be asked again.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from events.errors import Code

REFUSED: Final = 1
WRONGLY_TYPED: Final = 2


class Again(StrEnum):
    """Whether trying again helps."""

    NO = "no"
    """Never: ask for something else, or mend what was sent."""
    LATER = "later"
    """The same may be taken later, without anybody doing anything."""
    MENDED = "once mended"
    """The same is taken once somebody did what the sentence says."""


class CodeRow(NamedTuple):
    """What is said of a code: with which exit code a command ends, and which status an HTTP answer has."""

    exit_code: int
    http_status: int
    again: Again
    meaning: str


def _wrong(http_status: int, meaning: str) -> CodeRow:
    """What was sent or typed is wrong in itself."""
    return CodeRow(WRONGLY_TYPED, http_status, Again.NO, meaning)


def _no(http_status: int, meaning: str) -> CodeRow:
    return CodeRow(REFUSED, http_status, Again.NO, meaning)


def _later(http_status: int, meaning: str) -> CodeRow:
    return CodeRow(REFUSED, http_status, Again.LATER, meaning)


def _mended(http_status: int, meaning: str) -> CodeRow:
    return CodeRow(REFUSED, http_status, Again.MENDED, meaning)


CODES: Final[Mapping[Code, CodeRow]] = {
    # What was sent
    Code.NOT_JSON: _wrong(400, "the value is not JSON"),
    Code.NOT_CLOUDEVENT: _wrong(400, "it is no CloudEvent 1.0"),
    Code.TOMBSTONE: _wrong(400, "the record has no value"),
    Code.NO_KEY: _wrong(400, "the record has no key"),
    Code.TOO_LARGE: _no(413, "it is longer than what is taken"),
    Code.UNREADABLE: _no(400, "the batch or the record cannot be read"),
    Code.FILE_TYPE: _no(415, "the file is none of the types that evidence may be"),
    Code.FILE_DAMAGED: _mended(500, "the file that is kept is no longer what was sent; it can be sent again"),
    Code.UNKNOWN_FILE: _mended(404, "no file with this hash was sent"),
    Code.INFLATES_TOO_FAR: _no(413, "the batch inflates to more than is taken"),
    Code.UNKNOWN_TYPE: _wrong(422, "this type or version is not taken"),
    Code.INVALID_DATA: _wrong(422, "the data are not as they must be"),
    Code.INVALID_LOSS: _wrong(422, "nothing of this kind can be lost so"),
    Code.UNREADABLE_FILE: _no(400, "the file cannot be read"),
    Code.POLICY_TOO_LARGE: _no(413, "the policy is longer than what is taken"),
    Code.KIND_MISMATCH: _no(409, "the container is of another kind"),
    Code.CONTAINER_FULL: _no(409, "the container holds as many licences as it can"),
    Code.HOLDER_IS_AN_ADDRESS: _no(400, "a holder is called by an e-mail address; use the vendor's own pseudonym"),
    Code.CONTRADICTS_INVENTORY: _no(409, "it was stated before, and otherwise"),
    Code.REPORT_ID_TAKEN: _no(409, "its reporter used this number for another statement"),
    Code.DECISION_ID_TAKEN: _no(409, "this number is another decision's on this case"),
    # What is not there
    Code.UNKNOWN_VENDOR: _mended(404, "no vendor of this name was added"),
    Code.UNKNOWN_CONTAINER: _later(404, "no such container is known, yet"),
    Code.UNKNOWN_CASE: _no(404, "the vendor has no such case"),
    Code.UNKNOWN_LICENCE: _later(404, "no such licence is known, yet"),
    Code.NO_FILE: _no(404, "the licence has no file, for it was not issued here"),
    Code.UNKNOWN_DEAD_LETTER: _no(404, "there is no dead letter about this place, or its bytes are gone"),
    Code.UNKNOWN_POSITION: _no(404, "no record stands at this place of the log"),
    Code.ANOTHER_RECORD: _no(409, "another record stands at this place now"),
    Code.NO_LICENCE: _later(404, "the lost container holds no licence, yet"),
    Code.LICENCE_ENDED: _no(409, "the contracts of all licences that this is about have ended"),
    Code.LIES_AHEAD: _later(409, "it says of a later time that it has come"),
    Code.NO_CASE: _later(404, "no case looks for this, yet"),
    Code.NOT_SET_ASIDE: _no(404, "nothing of this name is set aside"),
    Code.VENDOR_EXISTS: _no(409, "the vendor is there already, with another policy"),
    # Who may
    Code.ROLE_MISSING: _no(403, "no role of whoever asks may do that; `lostfound roles` lists what each may"),
    Code.NOT_A_SUPERVISOR: _no(403, "this person is no supervisor of the vendor"),
    Code.OWN_CASE: _no(403, "this person reported the loss or profits from it"),
    Code.SAME_SUPERVISOR: _no(403, "this person has approved already, and two must"),
    Code.NOT_ESCALATED_TO: _no(403, "the case was escalated to others"),
    Code.NO_GOODWILL: _no(403, "this person may not approve beyond the quota"),
    # Where a case stands
    Code.NOTHING_TO_DECIDE: _no(409, "the case does not wait for this decision"),
    Code.STALE: _no(409, "the case has moved on since the fact that the decision was made on"),
    Code.BEYOND_QUOTA: _no(409, "the quota is used up, and nobody said that goodwill is meant"),
    Code.NO_CONDITION: _no(409, "nothing is issued for this loss that a condition could limit"),
    Code.TOO_LATE: _no(409, "the case has gone on, and this can no longer be undone"),
    Code.REPLACEMENT_LOST: _no(409, "the replacement was lost too, so the original can only be retired"),
    Code.NOT_BLOCKED: _later(409, "a measure that must be ordered first is not"),
    Code.RELEASE_AWAITED: _later(409, "measures of other cases still block the container"),
    Code.GENERATION_CONFLICT: _later(409, "the generation is not the one that is expected, or its facts are under way"),
    Code.GENERATION_EXHAUSTED: _no(409, "the generation is the last that there is"),
    # Contacts, access data and activation
    Code.BAD_LINK: _no(403, "the link is wrong, used or too old"),
    Code.BAD_ACCESS_DATA: _no(401, "the access data are wrong"),
    Code.LOCKED_OUT: _later(429, "too many wrong passwords were tried"),
    Code.FINGERPRINT_MISMATCH: _no(403, "the machine is not the one that the activation is for"),
    Code.ACTIVATION_CODE_MISSING: _no(403, "the activation needs a one-time code"),
    Code.ACTIVATION_CODE_WRONG: _no(403, "the one-time code is wrong or used"),
    Code.GENERATION_MISSING: _no(422, "the contact does not say which generation it is of"),
    Code.MACHINE_STOLEN: _no(403, "the machine is one that an open case calls stolen"),
    Code.SUPERSEDED: _no(403, "there is a newer generation"),
    Code.BLOCKED: _no(403, "it is blocked"),
    Code.ENDED: _no(403, "the contract of the licence has ended"),
    # Files and policies
    Code.BAD_SIGNATURE: _no(422, "no key of the vendor signed the file as it is"),
    Code.EXPIRED: _no(422, "the file has run out"),
    Code.UNREADABLE_POLICY: _no(404, "there is no such version of the policy, or it cannot be read"),
    # The installation
    Code.BUSY: _later(503, "others are at work on the same, for too long to wait"),
    Code.TOO_MANY_WAITING: _later(503, "too many records of this vendor wait already"),
    Code.INTERNAL_ERROR: _mended(500, "an error of lostfound itself, which its log describes"),
    Code.INSTALLATION: _mended(503, "this installation is not set up as it must be"),
    Code.LOG_DAMAGED: _mended(503, "the log has a record that cannot be folded"),
    Code.NEWER_RELEASE: _mended(503, "the log has a fact that only a later release knows"),
    Code.NOT_DAMAGED: _no(409, "the record is sound, and is not set aside"),
}


def document() -> str:
    """`docs/codes.md`."""
    lines = ["# Codes", ""]
    lines += ["Whatever is refused has a code, which stays the same, and a sentence, which may change.", ""]
    lines += ["Made from the table that every door goes by; `lostfound codes --markdown` prints it.", ""]
    lines += ["| code | meaning | again | exit code | HTTP status |", "|---|---|---|---|---|"]
    for code, row in CODES.items():
        lines.append(f"| `{code}` | {row.meaning} | {row.again} | {row.exit_code} | {row.http_status} |")
    lines += ["", "Whether trying again helps:", ""]
    lines += [f"- **{Again.NO}**: never; ask for something else, or mend what was sent"]
    lines += [f"- **{Again.LATER}**: the same may be taken later; the inbox waits for a bounded time by itself"]
    lines += [f"- **{Again.MENDED}**: the same is taken once somebody did what the sentence says"]
    return "\n".join(lines) + "\n"
