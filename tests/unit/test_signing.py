"""Licence files: read by a JOSE library that the product does not use, and by nobody once a byte has changed."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from activities.licensing.signing import TYPE, LicenceFile, SigningKeys, verify
from events.errors import Code, RefusalError
from events.terms import VendorId

ACME, ZETA = VendorId("acme"), VendorId("zeta")
ISSUED = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE = LicenceFile(
    issuer="urn:lostfound:acme",
    container="3-2",
    licence="L-1",
    generation=2,
    product="cad",
    ticket="T-1",
    issued=ISSUED,
    expires=ISSUED + timedelta(days=37),
    status_uri="https://vendor.example/status-lists/acme/1",
    status_index=41,
)


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    keys = SigningKeys(tmp_path / "keys")
    keys.create(ACME)
    keys.create(ZETA)
    return keys


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_another_jose_library_reads_a_licence_file(keys: SigningKeys) -> None:
    signed = keys.sign(ACME, FILE)

    read = jws.deserialize_compact(signed, KeySet.import_key_set(keys.jwks(ACME)), algorithms=["EdDSA"])

    claims = json.loads(read.payload)
    assert read.headers()["typ"] == TYPE
    assert (claims["iss"], claims["sub"], claims["generation"]) == ("urn:lostfound:acme", "L-1", 2)
    assert claims["exp"] - claims["iat"] == 37 * 86_400
    assert claims["status"]["status_list"] == {"idx": 41, "uri": "https://vendor.example/status-lists/acme/1"}


def test_a_changed_byte_is_refused_wherever_it_is(keys: SigningKeys) -> None:
    signed = keys.sign(ACME, FILE)
    jwks = keys.jwks(ACME)
    assert verify(signed, jwks, ISSUED)["sub"] == "L-1"

    for place in range(len(signed)):
        other = "A" if signed[place] != "A" else "B"
        changed = signed[:place] + other + signed[place + 1 :]
        if place == len(signed) - 1:
            continue  # the last character of base64 has bits that mean nothing
        with pytest.raises(RefusalError) as refusal:
            verify(changed, jwks, ISSUED)
        assert refusal.value.code is Code.BAD_SIGNATURE


def test_a_file_of_one_vendor_is_nothing_to_the_keys_of_another(keys: SigningKeys) -> None:
    with pytest.raises(RefusalError, match="none of these keys"):
        verify(keys.sign(ACME, FILE), keys.jwks(ZETA), ISSUED)


def test_a_file_that_ran_out_is_refused_and_says_when(keys: SigningKeys) -> None:
    signed = keys.sign(ACME, FILE)

    with pytest.raises(RefusalError, match="2026-04-07") as refusal:
        verify(signed, keys.jwks(ACME), ISSUED + timedelta(days=38))
    assert refusal.value.code is Code.EXPIRED


def test_rubbish_is_refused(keys: SigningKeys) -> None:
    for rubbish in ("", "a.b.c", "....", "\x00", signed_none()):
        with pytest.raises(RefusalError):
            verify(rubbish, keys.jwks(ACME), ISSUED)


def signed_none() -> str:
    import base64

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': TYPE})}.{part(FILE.claims())}."


def test_a_key_is_made_once_and_only_its_owner_may_read_it(keys: SigningKeys, tmp_path: Path) -> None:
    before = keys.jwks(ACME)

    keys.create(ACME)

    assert SigningKeys(tmp_path / "keys").jwks(ACME) == before
    assert stat.S_IMODE((tmp_path / "keys" / "acme.json").stat().st_mode) == 0o600
    assert "d" not in before["keys"][0]


def test_the_same_file_is_signed_with_the_same_bytes(keys: SigningKeys) -> None:
    assert keys.sign(ACME, FILE) == keys.sign(ACME, FILE)
