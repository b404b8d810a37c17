"""Licence files: JWS in compact form, signed with Ed25519; keys as JWK, published as a JWKS.

RFC 7515 (JWS), RFC 7517 (JWK), RFC 8037 (Ed25519 in JOSE), IETF Token Status List for the claim `status`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from events.errors import Code, RefusalError
from events.terms import Generation, LicenceId, ProductId, Serial, Ticket, VendorId

TYPE = "lostfound-licence+jwt"
ALGORITHM = "EdDSA"


@dataclass(frozen=True, slots=True)
class LicenceFile:
    """What a licence file says; `expires` None means that it runs for ever. `status_index` is its place in the
    vendor's status list, where the list at `status_uri` says whether it still stands."""

    issuer: str
    container: Serial
    licence: LicenceId
    generation: Generation
    product: ProductId
    ticket: Ticket
    issued: datetime
    expires: datetime | None
    status_uri: str
    status_index: int

    def claims(self) -> dict[str, object]:
        """The JWT claims (RFC 7519); times are whole seconds since 1970."""
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": self.licence,
            "jti": f"{self.licence}.{self.generation}",
            "iat": int(self.issued.timestamp()),
            "container": self.container,
            "generation": self.generation,
            "product": self.product,
            "ticket": self.ticket,
            "status": {"status_list": {"idx": self.status_index, "uri": self.status_uri}},
        }
        if self.expires is not None:
            claims["exp"] = int(self.expires.timestamp())
        return claims


class SigningKeys:
    """The signing keys of all vendors: one private JWK a file, `FOLDER/VENDOR.json`, readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[VendorId, OKPKey] = {}

    def create(self, vendor: VendorId) -> None:
        """Make a vendor's key, unless it has one; of two made at once, one stays."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(vendor)
        if path.exists():
            return
        key = OKPKey.generate_key("Ed25519", auto_kid=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(key.as_dict(private=True), file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()

    def jwks(self, vendor: VendorId) -> dict[str, list[dict[str, Any]]]:
        """The public half, as a JWKS."""
        public = dict(self._key(vendor).as_dict(private=False))
        return {"keys": [{**public, "use": "sig", "alg": ALGORITHM}]}

    def sign(self, vendor: VendorId, file: LicenceFile) -> str:
        """The licence file as a compact JWS."""
        key = self._key(vendor)
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}
        payload = json.dumps(file.claims(), separators=(",", ":"), sort_keys=True)
        return jws.serialize_compact(header, payload.encode(), key, algorithms=[ALGORITHM])

    def _key(self, vendor: VendorId) -> OKPKey:
        if vendor not in self._loaded:
            try:
                self._loaded[vendor] = OKPKey.import_key(json.loads(self._path(vendor).read_text()))
            except FileNotFoundError:
                raise RefusalError(
                    Code.UNKNOWN_VENDOR,
                    f"vendor {vendor} has no signing key; add it with `lostfound vendor add {vendor}`",
                ) from None
        return self._loaded[vendor]

    def _path(self, vendor: VendorId) -> Path:
        return self._folder / f"{vendor}.json"


def verify(file: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of a licence file whose signature one of these keys made; else `RefusalError`. Needs no network."""
    try:
        keys = KeySet.import_key_set(dict(jwks))  # type: ignore[arg-type]
        verified = jws.deserialize_compact(file.strip().encode(), keys, algorithms=[ALGORITHM])
        if verified.headers().get("typ") != TYPE:
            raise RefusalError(Code.BAD_SIGNATURE, f"this is a signed text, but not a licence file (typ is not {TYPE})")
        claims: dict[str, Any] = json.loads(verified.payload or b"")
    except (JoseError, ValueError) as error:
        raise RefusalError(
            Code.BAD_SIGNATURE,
            f"no key of this vendor signed this file as it is ({error}); ask the vendor for it again",
        ) from error
    return claims
