"""Access data of a cloud container: which are owed, what a link sets, what a loss renews, and what a sign-in is.
Pure functions of what is known of the container."""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from activities.licensing.containers import Container
from activities.licensing.guess_rules import Guesses
from activities.licensing.judgement import Refused
from events.backend_facts import ContactRefused
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseKey, ContactAnswer, Issued, IssueOrder, NoTargetFound, SignInAnswer
from events.statements import ContactStatement
from events.terms import (
    CaseId,
    Contact,
    ContactId,
    Generation,
    Kind,
    Recovery,
    Serial,
    VendorId,
    is_name,
    next_generation,
)

LINK_DAYS: Final = 14
"""How long a link is good. A case that ends earlier ends it."""
RECOGNISED: Final = 3
"""So many of the latest generations of access data are compared with a password."""
FORMER: Final = 24
"""So many of the latest generations of access data are not set again."""
PASSWORD_LENGTH: Final = range(12, 1025)


@dataclass(frozen=True, slots=True)
class Access:
    """A generation of access data, offered from when until when, for which case. `password` is what it is known by,
    None until the holder has set one; `ended`: its case is over, or a theft overtook it."""

    generation: Generation
    case_id: CaseId | None
    offered: datetime
    until: datetime
    password: str | None = None
    set_at: datetime | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """What recovers access data: an `offer` that is kept, whether they are `rotated` now, and the answer."""

    answer: Issued | NoTargetFound
    offer: Access | None = None
    rotated: bool = False


def must_be_cloud(container: Container) -> Container:
    """The container; raises `RefusalError` where it is none that has access data."""
    if container.kind is not Kind.CLOUD:
        raise RefusalError(
            Code.KIND_MISMATCH,
            f"container {container.serial} is of kind {container.kind}; only a cloud container has access data",
            serial=container.serial,
            kind=container.kind,
        )
    return container


def can_be(password: str) -> bool:
    """Whether this can be a password: neither too short nor too long, and without half of a surrogate pair."""
    return len(password) in PASSWORD_LENGTH and not any("\ud800" <= letter <= "\udfff" for letter in password)


def must_be_a_password(password: str) -> None:
    """Refuse what cannot be a password."""
    if not can_be(password):
        first, last = PASSWORD_LENGTH[0], PASSWORD_LENGTH[-1]
        raise RefusalError(
            Code.INVALID_DATA,
            f"a password has {first} to {last} characters of Unicode; choose another",
            least=first,
            most=last,
        )


def offer(generation: int, case: CaseId | None, at: datetime, before: Access | None = None) -> Access:
    """Access data offered to their holder. `before`: they were offered already; for the same case they are offered
    since then, and only the link is another."""
    since = before.offered if before and before.case_id == case else at
    return Access(generation, case, since, at + timedelta(days=LINK_DAYS))


def owed(container: Container, known: Iterable[Access]) -> Access | None:
    """The newest access data that their holder has yet to set: first ones, or those of a case that is open and that no
    theft has overtaken."""
    missing = (one for one in known if one.generation >= container.generation and one.set_at is None and not one.ended)
    return max(missing, key=lambda one: one.generation, default=None)


def handed_out(container: Container, known: Sequence[Access], at: datetime) -> tuple[Access, bool]:
    """The access data of which the holder gets the link, and whether they are offered for it now: the first ones, or
    those of a reset or rotation. Raises `RefusalError` where none are owed."""
    found = owed(container, known)
    if found is not None and found.until > at:
        return found, False
    if found is not None:
        return offer(found.generation, found.case_id, at, found), True
    if any(one.generation == container.generation for one in known):
        raise RefusalError(
            Code.BAD_LINK,
            f"no access data of {container.serial} are owed: they are set, or the case that owed them is over;"
            " report them forgotten or stolen to have new ones",
            serial=container.serial,
        )
    return offer(container.generation, None, at), True


def link_name(serial: Serial, access: Access) -> str:
    """What the token of a link is derived from: another time to its end is another link."""
    return f"link/{serial}/{access.generation}/{access.until.timestamp()}"


def taken(found: Access | None, expected: str, token: str, at: datetime) -> Access:
    """The access data that a link sets, if they are `found` to be owed, the token is as `expected`, and in time. Raises
    `RefusalError`. Takes as long for any wrong token."""
    same = hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogatepass"))
    if found is None or not same or found.until <= at:
        raise RefusalError(Code.BAD_LINK, "this link is wrong, used or too old; ask the vendor for a new one")
    return found


def former(found: Access, known: Iterable[Access]) -> list[Access]:
    """The access data before the ones that are `found` to be owed, the latest first: as they may be stolen, they must
    not become good again."""
    before = [one for one in known if one.password is not None and one.generation < found.generation]
    return sorted(before, key=lambda one: -one.generation)[:FORMER]


def must_be_another(good_before: bool) -> None:
    """Refuse to set a password that was `good_before`."""
    if good_before:
        raise RefusalError(
            Code.INVALID_DATA,
            "this password was good for the container before, and whoever has it must not get in again; choose another",
        )


def renewal(order: IssueOrder, claimed: int, container: Container, known: Iterable[Access], at: datetime) -> Renewal:
    """Recover the access data that a case `claimed`: a reset waits for the holder, a rotation is done at once. Data
    that were offered for another case, which lapsed, are offered anew."""
    following = next_generation(claimed)
    before = next((one for one in known if one.generation == following), None)
    again = before is None or (before.set_at is None and before.case_id != order.key.case)
    offered = offer(following, order.key.case, at) if again else None
    found = offered or before
    assert found is not None
    rotates = order.recovery is Recovery.ROTATION
    done = found.offered if rotates else found.set_at
    answer = (
        Issued(at=done, target=container.serial, licences=()) if done else NoTargetFound(at=found.offered, tickets=())
    )
    return Renewal(answer, offered, rotated=rotates and container.generation == claimed)


def lapsing(known: Iterable[Access], case: CaseId, at: datetime) -> list[Access]:
    """The access data that nobody sets any more because their case is over, be their link over already or not; those
    that lapsed when a theft overtook their case are none of them."""
    return [
        replace(one, until=min(one.until, at))
        for one in known
        if one.case_id == case and one.set_at is None and (one.until > at or not one.ended)
    ]


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody signs in: under the number of this contact, from an origin as `guesses.named` says (None: not told),
    `at` by the clock of the door. `compared`: the password was, and is of this `generation` of access data (None: of
    none)."""

    vendor: VendorId
    contact: ContactId
    serial: Serial
    origin: str | None
    at: datetime
    compared: bool = False
    generation: Generation | None = None

    def __post_init__(self) -> None:
        if not is_name(self.contact):
            raise RefusalError(
                Code.INVALID_DATA,
                f"a contact's number has up to 80 letters, digits and ._:@+-, not {self.contact[:100]!a};"
                " give this contact another",
                contact=self.contact[:100],
            )


def compared(container: Container, known: Iterable[Access]) -> list[Access]:
    """The access data that a password is compared with, the current ones first."""
    set_ = [one for one in known if one.password is not None and one.generation <= container.generation]
    return sorted(set_, key=lambda one: -one.generation)[:RECOGNISED]


@dataclass(frozen=True, slots=True)
class SignInKnown:
    """What is known when somebody signs in: the answer that the number had `before`, of which access data the session
    that it opened then is (None: it opened none, or that has ended), the cases that block the access data, by which
    they were superseded (None: they are the current ones), and who guessed; guesses count as it is `now` by the one
    clock that counts them."""

    session: str
    now: datetime
    guesses: Guesses
    before: ContactAnswer | None = None
    opened: Generation | None = None
    blocked_by: tuple[CaseKey, ...] = ()
    superseded_by: tuple[CaseKey, ...] | None = None


def superseded_by(attempt: SignIn, container: Container, known: Iterable[Access]) -> tuple[CaseKey, ...] | None:
    """The cases by which the access data of a sign-in were superseded, or None where they are the current ones."""
    if attempt.generation is None or attempt.generation >= container.generation:
        return None
    later = (one.case_id for one in known if one.generation == next_generation(attempt.generation))
    return tuple(CaseKey(vendor=attempt.vendor, case=case, serial=attempt.serial) for case in later if case)


@dataclass(frozen=True, slots=True)
class SignInJudgement:
    """What becomes of a sign-in. Without an `answer` it is a contact, judged as every contact is. `refused`: it is
    none, which is kept and stated. `replayed`: a number that was served shows access data that are blocked or
    superseded; the first time it is stated, and these cases learn of it. `guesses` is what is known of those who guess
    from now on."""

    guesses: Guesses
    answer: SignInAnswer | None = None
    refused: Code | None = None
    replayed: Refused | None = None


def judge_sign_in(attempt: SignIn, known: SignInKnown) -> SignInJudgement:
    """What becomes of a sign-in. A number that served other access data before proves nothing: it is a guess."""
    before, guesses = known.before, known.guesses.bounded(known.now)
    if before is not None and _keeps_out(before):
        return SignInJudgement(known.guesses, SignInAnswer(session=None, code=before.code, cases=before.cases))
    if before is not None and attempt.generation and known.opened == attempt.generation:
        return SignInJudgement(known.guesses, SignInAnswer(session=known.session, code=before.code, files=before.files))
    if not attempt.compared or not guesses.may_guess(attempt.origin, known.now):
        return _no_contact(Code.LOCKED_OUT, before, guesses)
    if before is not None and (known.blocked_by or known.superseded_by is not None):
        code = Code.BLOCKED if known.blocked_by else Code.SUPERSEDED
        cases = tuple(dict.fromkeys([*known.blocked_by, *(known.superseded_by or ())]))
        answer = SignInAnswer(session=None, code=code, cases=cases)
        return SignInJudgement(known.guesses, answer, replayed=Refused(code, cases))
    if before is not None or attempt.generation is None:
        return _no_contact(Code.BAD_ACCESS_DATA, before, guesses.after_wrong(attempt.origin, known.now))
    return SignInJudgement(guesses.after_right(attempt.origin))


def _no_contact(code: Code, before: ContactAnswer | None, guesses: Guesses) -> SignInJudgement:
    answer = SignInAnswer(session=None, code=code)
    return SignInJudgement(guesses, answer, refused=None if before else code)


def signed_in(answer: ContactAnswer, session: str) -> SignInAnswer:
    """What a sign-in is answered that was judged as a contact."""
    if _keeps_out(answer):
        return SignInAnswer(session=None, code=answer.code, cases=answer.cases)
    return SignInAnswer(session=session, code=answer.code, files=answer.files)


def _keeps_out(answer: ContactAnswer) -> bool:
    """Whether a contact that was refused so gets no session: the end of a licence's contract keeps nobody from the
    others."""
    return answer.refused and answer.code != Code.ENDED


def refused_sign_in(attempt: SignIn, code: Code) -> tuple[ContactAnswer, ContactRefused]:
    """What is kept and stated of a sign-in with a password of no access data, or of one that was not compared."""
    refused = ContactRefused.model_validate({**contacted(attempt), "cases": (), "code": code})
    return ContactAnswer(refused=True, code=code), refused


def contacted(attempt: SignIn) -> dict[str, object]:
    """What every fact about a sign-in says."""
    return {
        "contact": attempt.contact,
        "serial": attempt.serial,
        "occurred": attempt.at,
        "how": Contact.SIGN_IN,
    }


def contact_of(attempt: SignIn) -> ContactStatement:
    """A sign-in as the contact that it is."""
    return ContactStatement(
        contact=attempt.contact,
        serial=attempt.serial,
        occurred=attempt.at,
        how=Contact.SIGN_IN,
        generation=attempt.generation,
    )
