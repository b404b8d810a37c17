"""Licence files: JWS in compact form, signed with Ed25519; keys as JWK, published as a JWKS.

RFC 7515 (JWS), RFC 7517 (JWK), RFC 8037 (Ed25519 in JOSE), IETF Token Status List for the claim `status`.
"""

import json
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt import PyJWK, PyJWKSet
from jwt.algorithms import OKPAlgorithm

from events.errors import Code, RefusalError
from events.terms import VENDOR_PATTERN, ContactId, Generation, LicenceId, ProductId, Serial, Ticket, VendorId

TYPE = "lostfound-licence+jwt"
RECEIPT_TYPE = "lostfound-receipt+jwt"
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


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says: this activation of a container was given back, under the number of the contact."""

    issuer: str
    container: Serial
    generation: Generation
    contact: ContactId
    received: datetime

    def claims(self) -> dict[str, object]:
        """The JWT claims (RFC 7519); times are whole seconds since 1970."""
        return {
            "iss": self.issuer,
            "sub": self.container,
            "jti": self.contact,
            "iat": int(self.received.timestamp()),
            "generation": self.generation,
        }


class WrongKeyError(Exception):
    """The folder has another signing key than the vendor's, or none. `str()` is the sentence. Whoever signs may try
    again: the folder can be put right."""


class SigningKeys:
    """The signing keys of all vendors: one private JWK a file, `FOLDER/VENDOR.json`, readable by its owner only."""

    def __init__(self, folder: Path, known: Callable[[VendorId], str | None] = lambda _: None) -> None:
        """`known` tells the id of a vendor's key where it is known; it is asked until it was, once a vendor."""
        self._folder = folder
        self._known = known
        self._checked: set[VendorId] = set()
        self._loaded: dict[VendorId, PyJWK] = {}

    def create(self, vendor: VendorId, known: str | None = None) -> None:
        """Make a vendor's key, unless it has one; of two made at once, one stays.

        `known` is the id of the key that the vendor has: raises `WrongKeyError` where the folder has another, or none.
        """
        if known is not None:
            self._require(vendor, known)
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(vendor)
        if path.exists():
            return
        private = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
        jwk = {**private, "kid": _thumbprint(private), "use": "sig", "alg": ALGORITHM}
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(jwk, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()

    def key_id(self, vendor: VendorId) -> str:
        """The id of the key in the folder."""
        return str(json.loads(self._path(vendor).read_text())["kid"])

    def _require(self, vendor: VendorId, known: str) -> None:
        path = self._path(vendor)
        there = self.key_id(vendor) if path.exists() else None
        if there != known:
            has = f"holds another, {there}" if there else "is missing"
            raise WrongKeyError(
                f"vendor {vendor} has the signing key {known}, but {path} {has}: set LOSTFOUND_DATA_DIR to the folder"
                f" that it was made in, or copy {path.name} from there"
            )

    def jwks(self, vendor: VendorId) -> dict[str, list[dict[str, Any]]]:
        """The public half, as a JWKS."""
        private = self._jwk(vendor)
        return {"keys": [{name: value for name, value in private.items() if name != "d"}]}

    def derived(self, vendor: VendorId, purpose: bytes) -> bytes:
        """A secret of 32 bytes for another purpose than signing (HKDF, RFC 5869); the same for the same purpose."""
        seed = urlsafe_b64decode(self._jwk(vendor)["d"] + "==")
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(seed)

    def sign(self, vendor: VendorId, file: LicenceFile) -> str:
        """The licence file as a compact JWS."""
        return self._sign(vendor, TYPE, file.claims())

    def sign_receipt(self, vendor: VendorId, receipt: Receipt) -> str:
        """The receipt as a compact JWS."""
        return self._sign(vendor, RECEIPT_TYPE, receipt.claims())

    def _sign(self, vendor: VendorId, typ: str, claims: dict[str, object]) -> str:
        key = self._key(vendor)
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"typ": typ, "kid": key.key_id})

    def _key(self, vendor: VendorId) -> PyJWK:
        if vendor not in self._loaded:
            self._loaded[vendor] = PyJWK(self._jwk(vendor))
        return self._loaded[vendor]

    def _jwk(self, vendor: VendorId) -> dict[str, Any]:
        if vendor not in self._checked and (known := self._known(vendor)) is not None:
            self._require(vendor, known)
            self._checked.add(vendor)
        try:
            jwk: dict[str, Any] = json.loads(self._path(vendor).read_text())
        except FileNotFoundError:
            raise RefusalError(Code.UNKNOWN_VENDOR, f"vendor {vendor} has no signing key here", vendor=vendor) from None
        return jwk

    def _path(self, vendor: VendorId) -> Path:
        if not re.fullmatch(VENDOR_PATTERN, vendor):
            raise RefusalError(Code.UNKNOWN_VENDOR, f"{vendor!r} names no vendor", vendor=vendor)
        return self._folder / f"{vendor}.json"


def verify(file: str, jwks: Mapping[str, Any], now: datetime, typ: str = TYPE) -> dict[str, Any]:
    """The claims of a licence file that one of these keys signed and that still runs at `now`; else `RefusalError`.

    Needs no network. That the file was not superseded or blacklisted since is for the status list to say. A receipt is
    verified with its own `typ`.
    """
    try:
        header = jwt.get_unverified_header(file)
        if header.get("typ") != typ:
            raise RefusalError(Code.BAD_SIGNATURE, f"this is a signed file of another type than {typ}", type=typ)
        key = next((key for key in PyJWKSet.from_dict(dict(jwks)).keys if key.key_id == header.get("kid")), None)
        if key is None:
            raise RefusalError(
                Code.BAD_SIGNATURE, "none of these keys signed this file; get the vendor's keys (its JWKS) anew"
            )
        claims: dict[str, Any] = jwt.decode(file, key, algorithms=[ALGORITHM], options={"verify_exp": False})
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise RefusalError(
            Code.BAD_SIGNATURE,
            "no key of this vendor signed this file as it is; ask the vendor for it again",
        ) from error
    if "exp" in claims and claims["exp"] <= now.timestamp():
        ended = datetime.fromtimestamp(claims["exp"], UTC)
        raise RefusalError(
            Code.EXPIRED,
            f"this file ran until {ended:%Y-%m-%d %H:%M} UTC; let the container check in",
            until=ended.isoformat(),
        )
    return claims


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    """The key's name by RFC 7638: the SHA-256 of its required members."""
    required = json.dumps({name: jwk[name] for name in ("crv", "kty", "x")}, separators=(",", ":"), sort_keys=True)
    return urlsafe_b64encode(sha256(required.encode()).digest()).rstrip(b"=").decode()
