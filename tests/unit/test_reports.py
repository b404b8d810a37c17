"""Whose report a number means at the command line: numbers are a reporter's own."""

import pytest

from events.errors import Code, RefusalError
from events.terms import Role
from portal.cli.reports import case_of
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
