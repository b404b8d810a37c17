"""Whose report a number means at the command line: numbers are a reporter's own."""

import pytest

from events.errors import Code, RefusalError
from events.terms import CaseId, Kind, Reason, Role
from portal.cli.reports import _must_be_a_loss, case_of, turned_up
from projections.read.views import ReportOf

CRMS = ReportOf(case_id="case-1", role="back_office", name="crm")
HOLDERS = ReportOf(case_id="case-2", role="holder", name="h-2")


def test_the_speakers_own_report_is_meant_or_else_the_only_one() -> None:
    assert case_of("R-4", [CRMS, HOLDERS], Role.BACK_OFFICE, "crm") == "case-1"
    assert case_of("R-4", [CRMS, HOLDERS], Role.HOLDER, "h-2") == "case-2"
    assert case_of("R-4", [HOLDERS], Role.BACK_OFFICE, "crm") == "case-2"
    assert case_of("R-4", [], Role.BACK_OFFICE, "crm") is None


def test_a_number_that_several_others_used_is_refused() -> None:
    with pytest.raises(RefusalError, match="say with --report-by and --report-role whose it is") as refused:
        case_of("R-4", [CRMS, HOLDERS], Role.BACK_OFFICE, "erp")
    assert refused.value.code is Code.NO_CASE


def test_a_container_that_turned_up_is_told_with_the_cases_that_take_it_in_or_why_none_does() -> None:
    one, two = CaseId("c-1"), CaseId("c-2")
    assert turned_up("F-1", "3-1", "found", [one]).startswith("Statement F-1 says that 3-1 was found; case c-1 takes")
    assert "was returned; cases c-1, c-2 take it in.\n`lostfound" in turned_up("F-1", "3-1", "returned", [one, two])
    assert turned_up("F-1", "3-1", "found", []) == (
        "Statement F-1 was made before, or every case of 3-1 is closed; `lostfound case list --serial 3-1` shows them."
    )


def test_a_reason_that_is_not_for_the_kind_is_refused_with_those_that_are() -> None:
    _must_be_a_loss("C-1", Kind.CLOUD, Reason.STOLEN)
    with pytest.raises(RefusalError, match=r"C-1 is of kind cloud, .*; valid: forgotten, stolen$") as refused:
        _must_be_a_loss("C-1", Kind.CLOUD, Reason.LOST)
    assert refused.value.code is Code.INVALID_LOSS
