"""What each role may do stands in one table."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from events.errors import Code, RefusalError
from events.principal import PrincipalRole
from events.roles import MAY, Act, document, may, must_be_allowed
from infra.main import app

ROOT = Path(__file__).parents[2]


def test_every_act_has_a_row_and_every_role_may_do_something() -> None:
    assert MAY.keys() == set(Act)
    assert {role for roles in MAY.values() for role in roles} == set(PrincipalRole)


def test_a_delegate_reports_and_gives_evidence_and_never_fetches_codes_or_links() -> None:
    assert may([PrincipalRole.DELEGATE], Act.REPORT_LOSS)
    assert may([PrincipalRole.DELEGATE], Act.GIVE_EVIDENCE)
    assert not may([PrincipalRole.DELEGATE], Act.FETCH_CODE)


def test_only_a_supervisor_decides_and_only_the_back_office_states_inventory() -> None:
    assert [role for role in PrincipalRole if may([role], Act.DECIDE)] == [PrincipalRole.SUPERVISOR]
    assert [role for role in PrincipalRole if may([role], Act.STATE_INVENTORY)] == [PrincipalRole.BACK_OFFICE]


def test_an_auditor_changes_nothing() -> None:
    assert {act for act in Act if may([PrincipalRole.AUDITOR], act)} == {Act.SEE_ALL, Act.AUDIT}


def test_whoever_has_several_roles_may_do_what_any_of_them_may() -> None:
    both = [PrincipalRole.AUDITOR, PrincipalRole.SUPERVISOR]
    must_be_allowed(both, Act.DECIDE)
    must_be_allowed(both, Act.AUDIT)


def test_what_no_role_may_is_refused_and_says_which_roles_may() -> None:
    with pytest.raises(RefusalError, match="needs one of supervisor") as refused:
        must_be_allowed([PrincipalRole.HOLDER], Act.DECIDE)
    assert refused.value.code == Code.ROLE_MISSING


def test_the_page_is_the_table() -> None:
    assert (ROOT / "docs" / "roles.md").read_text() == document()
    shown = CliRunner().invoke(app, ["roles", "--markdown"])
    assert (shown.exit_code, shown.output) == (0, document())
