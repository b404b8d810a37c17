"""What doors read from the views. Every query names its vendor; none of them grants anything: views lag."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from events.case_facts import LossReported
from events.measure_life import sql_in_effect
from events.measure_subject import Subject
from events.postgres_sessions import open_session
from events.sizes import READING
from events.stream_position import StreamPosition
from events.terms import Aim, CaseId, Kind, LicenceId, PersonId, Reason, ReportId, Serial, Status, VendorId
from projections.read.pending_action import pending_action
from projections.read.views import (
    AccessState,
    AccessView,
    CaseLine,
    CaseView,
    ContainerView,
    DelegationView,
    FactView,
    FlagView,
    LicenceView,
    MeasureView,
    ReportOf,
    VendorView,
    View,
    container_status,
    exposure_of,
    to_decide,
)
from projections.view_schemas import current, use
from workflows.case import CaseState
from workflows.policy import Policy, UnreadablePolicyError, read_policy

CASES_LIMIT = 1_000


Row = TypeVar("Row", bound=View)

LINE = "case_id, status, outcome, serial, kind, reason, holder, received, target, watch_until, material, due"
WHY = """coalesce(state -> 'reasons', '[]') as reasons,
    (select sum((one ->> 'value_cents')::numeric)::bigint
        from jsonb_array_elements(state -> 'facts' -> 'licences') one) as value_cents"""
"""Why policy decided on a case as it did, and what the lost licences are worth together."""
SOUGHT = {
    "serial": "(serial = %(serial)s or target = %(serial)s)",
    "holder": "holder = %(holder)s",
    "ticket": "case_id in (select case_id from case_tickets where vendor = %(vendor)s and ticket = %(ticket)s)",
    "report": "case_id in (select case_id from case_reports where vendor = %(vendor)s and report = %(report)s"
    " union all select case_id from addressed where vendor = %(vendor)s and statement = 'report/' || %(report)s)",
}
"""How the cases are found that a word names; a serial is that of the lost container or of the one that replaces it."""
CURRENT_ACCESS = f"""(
    select coalesce(max(access.generation), 1) from access
    where access.vendor = containers.vendor and access.serial = containers.serial and (
        access.set_at is not null or exists (
            select from cases where cases.vendor = access.vendor and cases.case_id = access.case_id
            and cases.reason = '{Reason.STOLEN}'
        )
    )
)"""
"""The current generation of a cloud container's access data: those that are set, and those that replace stolen ones,
which count from their offer on. Those of a reset count once they are set."""
LICENCE = f"""
    select licence, generation, serial, holder, product, ticket, value_cents, issued, expires, case_id, superseded_by,
        file, stop_gap, borrowed_until, lease_stage, ended,
        superseded_by is null and ended is null
        and generation = max(generation) over (partition by licence) and not exists (
            select from measures where measures.vendor = licences.vendor and measures.serial = licences.serial
            and {sql_in_effect("%(at)s")} and subject in (
                '{Aim.LICENCE}/' || licences.licence || '/' || licences.generation,
                (
                    select case when containers.kind = '{Kind.CLOUD}'
                        then '{Aim.ACCESS_DATA}/' || containers.serial || '/' || {CURRENT_ACCESS}
                        else '{Aim.CONTAINER}/' || containers.serial || '/' || containers.generation end
                    from containers where containers.vendor = licences.vendor and containers.serial = licences.serial
                )
            )
        ) and not exists (
            select from containers join activations using (vendor, serial, generation)
            where containers.vendor = licences.vendor and containers.serial = licences.serial
            and activations.returned <= %(at)s
        ) as effective
    from licences where vendor = %(vendor)s
    and licence in (select licence from licences where vendor = %(vendor)s and {{which}})
    order by licence, generation
"""
"""The generations of licences; a measure stands under the container that holds what it aims at."""
MEASURE = (
    "select serial, case_id, measure, subject, ordered, effective, state, delivered, ended, confirmed_by from measures"
    " where vendor = %s"
)
CONTAINER = "serial, kind, holder, registered, last_contact, refused_contacts, generation, sessions_ended"


class NoViewsError(Exception):
    """There are no views yet: `up` or `setup` makes them."""


@dataclass(frozen=True)
class Queries:
    """Reads the views in use, all of one transaction from one state of them."""

    connection: AsyncConnection[Any]

    async def vendors(self) -> list[VendorView]:
        """All vendors of the installation; for its administrator only."""
        return await self._all(
            VendorView,
            "select vendor, issuer, added, (select max(policy_version) from policies p where p.vendor = v.vendor)"
            " as policy_version from vendors v order by vendor",
        )

    async def cases(
        self,
        vendor: VendorId,
        status: str | None = None,
        limit: int = CASES_LIMIT,
        after: CaseId | None = None,
        is_open: bool = False,
        **sought: str | None,
    ) -> list[CaseLine]:
        """The vendor's cases, the latest received first; `after` is the last case of the page before. `is_open`: only
        those that are not closed. `sought` are words of `SOUGHT`: only cases that each of them names."""
        conditions = _conditions(status, is_open, sought)
        if after is not None:
            conditions.append(
                "(received, case_id) <"
                " (select received, case_id from cases where vendor = %(vendor)s and case_id = %(after)s)"
            )
        return await self._all(
            CaseLine,
            f"select {LINE}, {WHY} from cases where {' and '.join(conditions)}"
            " order by received desc, case_id desc limit %(limit)s",
            {"vendor": vendor, "status": status, "after": after, "limit": limit, **sought},
        )

    async def count_cases(
        self, vendor: VendorId, status: str | None = None, is_open: bool = False, **sought: str | None
    ) -> int:
        """How many cases `cases` finds without a limit."""
        cursor = await self.connection.execute(
            f"select count(*) from cases where {' and '.join(_conditions(status, is_open, sought))}",
            {"vendor": vendor, "status": status, **sought},
        )
        row = await cursor.fetchone()
        return row[0] if row else 0

    async def line(self, vendor: VendorId, case: CaseId) -> CaseLine | None:
        """One case as lists show it, or None."""
        found = await self._all(
            CaseLine, f"select {LINE} from cases where vendor = %s and case_id = %s", (vendor, case)
        )
        return found[0] if found else None

    async def case(self, vendor: VendorId, case: CaseId) -> CaseView | None:
        """One case with its measures, its replacements and its history, or None."""
        cursor = self.connection.cursor()
        found = await cursor.execute(
            f"select {LINE}, state from cases where vendor = %s and case_id = %s", (vendor, case)
        )
        row = await found.fetchone()
        if row is None:
            return None
        history = await self._all(
            FactView,
            "select sequence, type, recorded, encode(hash, 'hex') as hash, data from history"
            " where vendor = %s and case_id = %s order by sequence",
            (vendor, case),
        )
        licences = await self._licences(vendor, "case_id", case, datetime.now(UTC))
        measures = await self._all(
            MeasureView, f"{MEASURE} and case_id = %s order by ordered, measure, subject", (vendor, case)
        )
        named = dict(zip((*LINE.split(", "), "state"), row, strict=True))
        state = CaseState.model_validate_json(json.dumps(named["state"]), context=READING)
        return CaseView(
            **named,
            **to_decide(state, history),
            reasons=list(state.reasons),
            value_cents=sum(one.value_cents for one in state.licences) if state.facts else None,
            awaited=pending_action(state, await self._supervisors(vendor), await self._policy_of(vendor, state)),
            flags=await self._flags(vendor, named["holder"]),
            exposure=exposure_of(state, licences, measures),
            measures=measures,
            replacements=[licence for licence in licences if licence.case_id == case],
            history=history,
        )

    async def licence(self, vendor: VendorId, licence: LicenceId, at: datetime | None = None) -> list[LicenceView]:
        """All generations of a licence, the first first; empty when there is none. They are effective, or not, at an
        instant (default: now)."""
        return await self._licences(vendor, "licence", licence, at or datetime.now(UTC))

    async def container(self, vendor: VendorId, serial: Serial, at: datetime | None = None) -> ContainerView | None:
        """A container as it is at an instant (default: now), or None."""
        cursor = await self.connection.execute(
            f"select {CONTAINER} from containers where vendor = %s and serial = %s", (vendor, serial)
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        named = dict(zip(CONTAINER.split(", "), row, strict=True))
        now = at or datetime.now(UTC)
        licences = await self._licences(vendor, "serial", serial, now)
        measures = await self._all(MeasureView, f"{MEASURE} and serial = %s order by ordered", (vendor, serial))
        access = await self._access(vendor, serial, now)
        last_set = next((one.generation for one in access if one.state is AccessState.SET), 1)
        whole = Subject(Aim.CONTAINER, serial, named["generation"])
        access_data = Subject(Aim.ACCESS_DATA, serial, last_set)
        return ContainerView(
            **named,
            status=container_status(measures, whole, access_data, now),
            access=access,
            licences=[licence for licence in licences if licence.serial == serial],
            measures=measures,
        )

    async def _access(self, vendor: VendorId, serial: Serial, at: datetime) -> list[AccessView]:
        """The access data that the holder last set, and those that are owed; the newest first."""
        cursor = self.connection.cursor(row_factory=dict_row)
        await cursor.execute(
            "select generation, case_id, offered, until, set_at from access where vendor = %(vendor)s"
            " and serial = %(serial)s and generation >= (select coalesce(max(generation), 1) from access"
            " where vendor = %(vendor)s and serial = %(serial)s and set_at is not null) order by generation desc",
            {"vendor": vendor, "serial": serial},
        )
        return [AccessView.at(at, **row) for row in await cursor.fetchall()]

    async def blacklist(self, vendor: VendorId, at: datetime) -> list[MeasureView]:
        """What the vendor's blacklist holds at an instant: not a generation of a container that any case made good
        again since, which had a measure against it."""
        stands = f"measure = 'blacklisting' and {sql_in_effect('%s')} and not exists (select from reinstatements r"
        stands += " join measures o on (o.vendor, o.serial, o.case_id) = (r.vendor, r.serial, r.case_id)"
        stands += " where (o.vendor, o.serial, o.subject) = (measures.vendor, measures.serial, measures.subject)"
        stands += f" and starts_with(measures.subject, '{Aim.CONTAINER}/'))"
        return await self._all(MeasureView, f"{MEASURE} and {stands} order by serial, case_id, subject", (vendor, at))

    async def case_of_report(self, vendor: VendorId, report: ReportId) -> CaseId | None:
        """The case that a report opened or joined, or None."""
        cursor = await self.connection.execute(
            "select case_id from case_reports where vendor = %(vendor)s and report = %(report)s"
            " union all select case_id from addressed where vendor = %(vendor)s and statement = 'report/' || %(report)s"
            " order by case_id limit 1",
            {"vendor": vendor, "report": report},
        )
        row = await cursor.fetchone()
        return row[0] if row else None

    async def reached(self, vendor: VendorId, position: StreamPosition) -> bool:
        """Whether the views have what stands at a position of one of the vendor's streams."""
        cursor = await self.connection.execute(
            "select exists (select from streams where vendor = %s and stream = %s and sequence >= %s)",
            (vendor, position.stream, position.sequence),
        )
        row = await cursor.fetchone()
        return position.sequence == 0 or bool(row and row[0])

    async def reports_of(self, vendor: VendorId, report: ReportId) -> list[ReportOf]:
        """The reports of this number, whoever made each, and their cases: numbers are a reporter's own."""
        return await self._all(
            ReportOf,
            "select r.case_id, h.data -> 'reporter' ->> 'role' as role, h.data -> 'reporter' ->> 'name' as name"
            " from case_reports r join history h on (h.vendor, h.case_id) = (r.vendor, r.case_id)"
            " and h.type = %(type)s and h.data ->> 'report' = r.report"
            " and (h.sequence = 1 or h.data ->> 'beside' is null)"  # else another case has it
            " where r.vendor = %(vendor)s and r.report = %(report)s"
            " union select case_id, role, said_by from addressed"
            " where vendor = %(vendor)s and statement = 'report/' || %(report)s and role is not null"
            " order by role, name, case_id",
            {"vendor": vendor, "report": report, "type": LossReported.type()},
        )

    async def delegations(
        self, vendor: VendorId, at: datetime, delegate: str | None, holder: str | None, limit: int
    ) -> list[DelegationView]:
        """The delegations of a person and for a holder, where these are named: the latest given first."""
        return await self._all(
            DelegationView,
            "select delegation, delegate, holders, until, given, given_by, revoked, revoked_by,"
            " given is not null and revoked is null and until > %(at)s as stands from delegations"
            " where vendor = %(vendor)s and (%(delegate)s::text is null or delegate = %(delegate)s)"
            " and (%(holder)s::text is null or holders ? %(holder)s)"
            " order by given desc nulls last, delegation limit %(limit)s",
            {"vendor": vendor, "at": at, "delegate": delegate, "holder": holder, "limit": limit},
        )

    async def stands_by_holder(self, vendor: VendorId) -> dict[str, dict[str, int]]:
        """How many of each holder's cases stand where, such as `{"H-7": {"watching": 1, "closed: rejected": 2}}`."""
        cursor = await self.connection.execute(
            "select holder, status || coalesce(': ' || outcome, '') as stands, count(*) from cases"
            " where vendor = %s and holder is not null group by 1, 2 order by 1, 2",
            (vendor,),
        )
        found: dict[str, dict[str, int]] = {}
        for holder, stands, cases in await cursor.fetchall():
            found.setdefault(holder, {})[stands] = cases
        return found

    async def has_replacement(self, vendor: VendorId) -> bool:
        """Whether any licence was issued to replace another."""
        cursor = await self.connection.execute(
            "select exists (select from licences where vendor = %s and case_id is not null)", (vendor,)
        )
        row = await cursor.fetchone()
        return bool(row and row[0])

    async def policy(self, vendor: VendorId, version: int | None) -> dict[str, Any] | None:
        """A version of the vendor's policy, or the one in force; None where there is none."""
        cursor = await self.connection.execute(
            "select policy_version, policy from policies where vendor = %(vendor)s"
            " and (%(version)s::int is null or policy_version = %(version)s) order by policy_version desc limit 1",
            {"vendor": vendor, "version": version},
        )
        row = await cursor.fetchone()
        return None if row is None else {**row[1], "policy_version": row[0]}

    async def _supervisors(self, vendor: VendorId) -> list[PersonId]:
        policy = await self.policy(vendor, None)
        return list(policy.get("supervisors", ())) if policy else []

    async def _policy_of(self, vendor: VendorId, state: CaseState) -> Policy:
        """The policy that a case was decided under. Before it was, where the policy is not in the views yet, and where
        this release cannot read it, an empty one that leaves nobody out."""
        found = await self.policy(vendor, state.policy_version) if state.policy_version else None
        try:
            return read_policy(found) if found else Policy()
        except UnreadablePolicyError:
            return Policy()

    async def _flags(self, vendor: VendorId, holder: str | None) -> list[FlagView]:
        """The verdicts that speak against a holder, of this case too."""
        return await self._all(
            FlagView,
            "select holder, case_id, verdict, flagged from flags where vendor = %s and holder = %s"
            " order by flagged, case_id",
            (vendor, holder),
        )

    async def _licences(self, vendor: VendorId, column: str, value: str, at: datetime) -> list[LicenceView]:
        query = LICENCE.format(which=f"{column} = %(value)s")
        return await self._all(LicenceView, query, {"vendor": vendor, "value": value, "at": at})

    async def _all(self, view: type[Row], query: str, values: Any = ()) -> list[Row]:
        cursor = self.connection.cursor(row_factory=class_row(view))
        await cursor.execute(query, values)
        return await cursor.fetchall()


def _conditions(status: str | None, is_open: bool, sought: Mapping[str, str | None]) -> list[str]:
    """Which cases are meant."""
    conditions = ["vendor = %(vendor)s", *(SOUGHT[name] for name, value in sought.items() if value is not None)]
    if status is not None:
        conditions.append("status = %(status)s")
    if is_open:
        conditions.append(f"status <> '{Status.CLOSED}'")
    return conditions


@asynccontextmanager
async def open_queries(dsn: str) -> AsyncIterator[Queries]:
    """Queries over one snapshot of the views in use. Raises `NoViewsError` and `psycopg.OperationalError`."""
    async with await open_session(dsn) as connection, connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        schema = await current(connection)
        if schema is None:
            raise NoViewsError("it holds no views yet")
        await use(connection, schema)
        yield Queries(connection)
