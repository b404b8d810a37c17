"""Evidence: for whose report it is, and the files that go with it."""

from dataclasses import replace
from typing import Any

import pytest

from events.errors import Code, NotYetKnownError, RefusalError
from events.evidence import EvidenceFile, MediaType
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import Evidence
from events.statements import EvidenceStatement
from events.terms import Reporter, Role
from tests.contract.stock import NOW, Stock
from tests.given import principal

CRM, DESK = (Reporter(role=Role.BACK_OFFICE, name=name) for name in ("crm", "desk"))
PHOTO = EvidenceFile(sha256="5f" * 32, media_type=MediaType.JPEG, size=181_204)


def statement(number: str = "E-1", reporter: Reporter = CRM, **more: Any) -> EvidenceStatement:
    return EvidenceStatement.model_validate(
        {
            **{"statement": number, "report": "R-1", "serial": "3-1", "reporter": reporter.model_dump()},
            **{"evidence": ["photo"], "occurred": NOW, **more},
        }
    )


async def given(stock: Stock, said: EvidenceStatement, *files: EvidenceFile) -> CaseKey:
    return await stock.backend.give_evidence(principal(stock.vendor), said, NOW, files)


async def brought(stock: Stock, key: CaseKey) -> list[Evidence]:
    return [one for one in dict(await stock.observer.messages(stock.vendor))[key] if isinstance(one, Evidence)]


async def lost_twice(stock: Stock) -> tuple[CaseKey, CaseKey]:
    """Two cases of one container, by reports of one number and two reporters."""
    await stock.container("3-1", "L-1", "L-2")
    cases = [
        await stock.claim(stock.loss("3-1", licence).model_copy(update={"report": "R-1", "reporter": reporter}))
        for licence, reporter in (("L-1", CRM), ("L-2", DESK))
    ]
    return cases[0], cases[1]


async def test_files_reach_the_case_with_the_evidence_and_once(stock: Stock) -> None:
    mine, _ = await lost_twice(stock)
    said = statement(files=[PHOTO.sha256])

    assert [await given(stock, said, PHOTO) for _ in range(2)] == [mine, mine]

    (content,) = await brought(stock, mine)
    assert (content.evidence, content.files) == (("photo",), (PHOTO,))


async def test_a_number_that_brought_another_file_is_taken(stock: Stock) -> None:
    mine, _ = await lost_twice(stock)
    await given(stock, statement(files=[PHOTO.sha256]), PHOTO)

    with pytest.raises(RefusalError) as refused:
        await given(stock, statement())

    assert refused.value.code == Code.REPORT_ID_TAKEN
    assert len(await brought(stock, mine)) == 1


async def test_evidence_is_for_the_report_of_whom_it_names(stock: Stock) -> None:
    mine, theirs = await lost_twice(stock)

    assert await given(stock, statement("E-1")) == mine
    assert await given(stock, statement("E-2", report_by=DESK.model_dump())) == theirs
    assert [one.by for one in await brought(stock, theirs)] == ["crm"]


async def test_evidence_for_a_report_that_this_author_never_made_waits(stock: Stock) -> None:
    await lost_twice(stock)

    with pytest.raises(NotYetKnownError) as unknown:
        await given(stock, statement(report_by={"role": "holder", "name": "h-1"}))

    assert unknown.value.code == Code.NO_CASE


async def test_another_vendors_report_of_the_same_number_gets_nothing(stock: Stock) -> None:
    mine, theirs = await lost_twice(stock)
    other = replace(stock, vendor="zeta")

    with pytest.raises(NotYetKnownError) as unknown:
        await given(other, statement())

    assert unknown.value.code == Code.UNKNOWN_CONTAINER
    assert [await brought(stock, key) for key in (mine, theirs)] == [[], []]
