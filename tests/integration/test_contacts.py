"""Contacts on a real PostgreSQL: what is signed, and what comes in between a look and a write."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.errors import RaiseException

from activities.licensing.records import lock_container
from activities.licensing.signing import RECEIPT_TYPE, LicenceFile, SigningKeys, verify
from events.backend_facts import LicenceRenewed
from events.errors import Code
from events.lease import Lease
from events.statements import DeactivationStatement
from events.terms import Kind, Serial, VendorId
from infra import wiring
from infra.wiring import keys, open_backend
from tests.integration.stock import NOW, Stock

pytestmark = pytest.mark.integration


async def test_whoever_is_frozen_in_a_transaction_does_not_hold_a_container_for_ever(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock.container("D-1", "L-1")
    monkeypatch.setattr(wiring, "TRANSACTION_SECONDS", 1)
    async with open_backend(stock.settings) as frozen:
        with suppress(psycopg.Error):  # it thaws, and learns that its transaction is over
            async with frozen._transaction() as tx:
                await lock_container(tx, stock.vendor, Serial("D-1"))
                async with asyncio.timeout(20):
                    answer = await stock.contact("D-1")

    assert len(answer.files) == 1


async def test_a_check_in_renews_the_leases_and_signs_new_files(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.licence("L-3", "D-1", lease=Lease())

    answer = await stock.contact("D-1", days=5)

    jwks = keys(stock.settings).jwks(stock.vendor)
    claims = [verify(file, jwks, NOW) for file in answer.files]
    assert (answer.refused, [claim["sub"] for claim in claims]) == (False, ["L-1", "L-2"])
    renewed = await stock.facts(LicenceRenewed)
    assert [fact.file for fact in renewed] == list(answer.files)
    assert {fact.expires for fact in renewed} == {NOW + timedelta(days=5 + 7 + 3)}
    assert len({claim["status"]["status_list"]["idx"] for claim in claims}) == 2
    again = await stock.contact("D-1", days=6)
    assert [verify(file, jwks, NOW)["status"] for file in again.files] == [claim["status"] for claim in claims]


async def test_a_block_that_comes_in_between_look_and_write_refuses(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock.container("D-1", "L-1")
    sign = SigningKeys.sign
    meanwhile = [lambda: asyncio.run(elsewhere())]

    async def elsewhere() -> None:
        async with open_backend(stock.settings) as backend:
            await replace(stock, backend=backend).lost("D-1")

    def signing(keys: SigningKeys, vendor: VendorId, file: LicenceFile) -> str:
        while meanwhile:
            thread = Thread(target=meanwhile.pop())
            thread.start()
            thread.join()
        return sign(keys, vendor, file)

    monkeypatch.setattr(SigningKeys, "sign", signing)
    answer = await stock.contact("D-1")

    assert (answer.code, answer.files, meanwhile) == (Code.BLOCKED, (), [])
    assert await stock.facts(LicenceRenewed) == []


async def test_what_a_contact_is_judged_by_changes_only_with_its_stream(stock: Stock) -> None:
    await stock.container("D-1", "L-1")

    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        await connection.execute("update backend.licences set generation = 2 where vendor = %s", (stock.vendor,))
        with pytest.raises(RaiseException, match="no fact says so"):
            await connection.commit()


async def test_a_receipt_is_signed_and_says_what_was_given_back(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    statement = DeactivationStatement(contact="C-1", serial="A-1", generation=1, occurred=NOW)

    answer = await stock.backend.return_activation(stock.vendor, statement, NOW)

    claims = verify(answer.receipt, keys(stock.settings).jwks(stock.vendor), NOW, RECEIPT_TYPE)
    assert (claims["sub"], claims["generation"], claims["jti"]) == ("A-1", 1, "C-1")
