"""What doors show of the views: rows as models, and what is worked out from them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationInfo, field_validator

from events.case_facts import CaseApproved
from events.measure_life import in_effect
from events.measure_subject import Subject
from events.terms import MeasureState, Status
from projections.read.pending_action import PendingAction
from workflows.case import CaseState
from workflows.exposure import Exposure, exposure


class View(BaseModel):
    """A row as doors show it."""

    model_config = ConfigDict(frozen=True)


class VendorView(View):
    """A vendor, and the version of its policy that is in force."""

    vendor: str
    issuer: str
    added: datetime
    policy_version: int | None


class DelegationView(View):
    """A delegation. `stands`: the delegate acts for the holders now, as far as the views know."""

    delegation: str
    delegate: str | None
    holders: tuple[str, ...]
    until: datetime | None
    given: datetime | None
    given_by: str | None
    revoked: datetime | None
    revoked_by: str | None
    stands: bool


class LicenceView(View):
    """A generation of a licence. `effective`: the backend would activate or renew it, as far as the views know; not
    after its contract has `ended`."""

    licence: str
    generation: int
    effective: bool
    serial: str
    holder: str
    product: str
    ticket: str
    value_cents: int
    issued: datetime
    expires: datetime | None
    case_id: str | None
    superseded_by: str | None
    file: str | None
    stop_gap: bool
    borrowed_until: datetime | None
    lease_stage: str | None
    ended: datetime | None


class ReportOf(View):
    """The case of a report, and who made it, in which role."""

    case_id: str
    role: str
    name: str


class MeasureView(View):
    """A blocking measure of a case; what it aims at is in the blacklist from `effective` on, unless it is lifted."""

    serial: str
    case_id: str
    measure: str
    subject: Subject
    ordered: datetime
    effective: datetime
    state: str
    delivered: datetime | None
    ended: datetime | None
    confirmed_by: str | None


class AccessState(StrEnum):
    """How far access data have come. A link that is too old is offered anew when somebody asks for it."""

    OFFERED = "offered"
    TOO_OLD = "too_old"
    SET = "set"


class AccessView(View):
    """A generation of a cloud container's access data. `until` is when the link to set them ends, or ended."""

    generation: int
    state: AccessState
    case_id: str | None
    offered: datetime | None
    until: datetime | None
    set_at: datetime | None

    @classmethod
    def at(cls, now: datetime, **row: Any) -> Self:
        """Access data as they are at an instant."""
        too_old = row["until"] is not None and row["until"] <= now
        state = AccessState.SET if row["set_at"] else AccessState.TOO_OLD if too_old else AccessState.OFFERED
        return cls(state=state, **row)


class ContainerView(View):
    """A container with the licences that were ever in it and the measures against it.

    `status` is `blocked` where a measure against all of it is in effect, `access data blocked` where one against the
    access data is that its holder last set, else `good`. `access`, of a cloud container, has the access data that its
    holder last set and those that are owed, the newest first. No fact says that wrong passwords lock them for a while.
    """

    serial: str
    kind: str
    holder: str
    status: str
    registered: datetime
    last_contact: datetime | None
    refused_contacts: int
    generation: int
    sessions_ended: int
    access: list[AccessView]
    licences: list[LicenceView]
    measures: list[MeasureView]


class CaseLine(View):
    """A case in a list."""

    case_id: str
    status: str
    outcome: str | None
    serial: str
    kind: str
    reason: str
    holder: str | None
    received: datetime
    target: str | None
    watch_until: datetime | None
    material: int
    """The number of the case's last material fact: a decision names the one that it was made on."""
    due: datetime | None
    """When a decision is due; of a closed case none is."""
    value_cents: int | None = None
    """What the lost licences are worth together; None while it is not known what is lost."""
    reasons: list[str] = []
    """Why policy decided as it did."""

    @field_validator("due")
    @classmethod
    def _is_open(cls, due: datetime | None, info: ValidationInfo) -> datetime | None:
        return None if info.data.get("status") == Status.CLOSED else due


class FactView(View):
    """A fact in a case's history."""

    sequence: int
    type: str
    recorded: datetime
    hash: str
    data: dict[str, JsonValue]


class FlagView(View):
    """A verdict that spoke against a holder."""

    holder: str
    case_id: str
    verdict: str
    flagged: datetime


class CaseView(CaseLine):
    """A case with all that is known of it, and what somebody who decides on it must know.

    `awaited` is what it waits for, `asked` the evidence that was asked for and not brought, `first_approval` who gave
    the first of two approvals, `condition_until` when the stop-gap of a condition ends, `goodwill` who granted it,
    `flags` the verdicts against the holder. `former` is the last case of the same loss, which recovered nothing, and
    `beside` one that has a part of what was reported. `state` is the state that the case itself is in.
    """

    awaited: PendingAction | None
    asked: list[str]
    evidence: list[str]
    four_eyes: bool
    first_approval: str | None
    escalated_to: list[str]
    goodwill: str | None
    condition: str | None
    condition_until: datetime | None
    waits_until: datetime | None
    replacement_lost: str | None
    former: str | None
    beside: str | None
    flags: list[FlagView]
    state: dict[str, JsonValue]
    exposure: Exposure | None
    """None until the backend has said what is lost."""
    measures: list[MeasureView]
    replacements: list[LicenceView]
    history: list[FactView]


def container_status(measures: list[MeasureView], whole: Subject, access_data: Subject, at: datetime) -> str:
    stands = {one.subject for one in measures if in_effect(one.state, one.ordered, one.effective, at)}
    if whole in stands:
        return "blocked"
    return "access data blocked" if access_data in stands else "good"


def to_decide(state: CaseState, history: list[FactView]) -> dict[str, Any]:
    """What somebody who decides on a case must know, from its state and facts."""
    granted = [one.data["by"] for one in history if one.type == CaseApproved.type() and one.data.get("goodwill")]
    bridged = state.condition is not None and state.status is Status.WATCHING
    return {
        "asked": [name for name in state.asked if name not in (*state.report.evidence, *state.evidence)],
        "evidence": list(dict.fromkeys((*state.report.evidence, *state.evidence))),
        "four_eyes": state.four_eyes,
        "first_approval": state.standing_approval,
        "escalated_to": list(state.escalated_to),
        "goodwill": granted[-1] if granted else None,
        "condition": state.condition,
        "condition_until": state.watch_until if bridged else None,
        "waits_until": state.waits_until,
        "replacement_lost": state.replacement_lost,
        "former": state.report.former,
        "beside": state.report.beside,
    }


def exposure_of(state: CaseState, licences: list[LicenceView], measures: list[MeasureView]) -> Exposure | None:
    """The exposure of a case: its lost generations as they were last renewed, and what was confirmed of them. None
    while it is not known what is lost."""
    if state.facts is None:
        return None
    renewed = {(one.licence, one.generation): one for one in licences if one.serial == state.report.serial}
    lost = []
    for item in state.licences:
        latest = renewed.get((item.licence, item.generation))
        lost.append(item.model_copy(update={"expires": latest.expires}) if latest else item)
    return exposure(
        lost, {one.subject: one.ended for one in measures if one.state == MeasureState.CONFIRMED and one.ended}
    )
