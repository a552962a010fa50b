"""Who is calling, and what they may do.

A person's token is `vx11_` and 43 random characters (256 bits); the house keeps only its SHA-256. The
admin token comes from VX11_TOKEN or from a 0600 file made at first start. Services sign a JWT of
seconds among themselves that carries the caller on whose behalf they act, so rights do not grow on the
way. Wrong, expired and revoked tokens get the same answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import jwt
from fastapi import Request
from jwt.types import Options
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.clock import Clock
from config.db import Database, prepare_runtime_folder
from config.db_schema.kernel import ApiToken
from config.errors import AuthRequired, Forbidden, NotFound, RoleRequired, Unavailable
from config.logs import hide
from config.settings import Settings

TOKEN_PREFIX = "vx11_"
EVERYBODY = "*"  # as the `user` of a list: no name of anybody's
TOKEN_HEADER = "x-vx11-token"
_RAW_TOKEN_HEADER = TOKEN_HEADER.encode()
_SERVICE_TOKEN_LIFE = timedelta(seconds=60)
_REUSED_UNTIL = timedelta(seconds=30)  # what a token that is used again has left
_KNOWN_FOR_SEC = 1.0  # how long a revoked token may still pass: the cost of not asking the database each time
_KNOWN_MAX = 1024
_LOOK_AGAIN_SEC = 0.9  # for whoever stays: a token is revoked within a second
_ADMIN_ID = "admin"
_JWT_OPTIONS: Options = {"require": ["exp", "iss", "sub"], "verify_exp": False}


class Role(StrEnum):
    """What kind of caller; each role may do all that the ones before it may, `system` everything."""

    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"
    SYSTEM = "system"


class Scope(StrEnum):
    """One right; routes name the scope they need, `lowest_role` says who has it."""

    CHAT = "chat"
    STATUS_READ = "status:read"
    EVENTS_READ = "events:read"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    JOBS_ALL = "jobs:all"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    POWER_READ = "power:read"
    POWER_WRITE = "power:write"
    PLANS_READ = "plans:read"
    PLANS_WRITE = "plans:write"
    PLANS_ALL = "plans:all"
    TOKENS_ADMIN = "tokens:admin"
    AUTONOMY = "autonomy"
    CONVERSATIONS_ALL = "conversations:all"
    MAINTENANCE = "maintenance"
    FLEET = "fleet"


_LOWEST: dict[Scope, Role] = {
    Scope.CHAT: Role.USER,
    Scope.STATUS_READ: Role.USER,
    Scope.JOBS_READ: Role.USER,
    Scope.JOBS_WRITE: Role.USER,
    Scope.JOBS_ALL: Role.OPERATOR,
    Scope.MODELS_READ: Role.USER,
    Scope.EVENTS_READ: Role.OPERATOR,
    Scope.MODELS_WRITE: Role.OPERATOR,
    Scope.POWER_READ: Role.USER,
    Scope.POWER_WRITE: Role.OPERATOR,
    Scope.PLANS_READ: Role.USER,
    Scope.PLANS_WRITE: Role.USER,
    Scope.PLANS_ALL: Role.OPERATOR,
    Scope.AUTONOMY: Role.OPERATOR,
    Scope.CONVERSATIONS_ALL: Role.ADMIN,
    Scope.TOKENS_ADMIN: Role.ADMIN,
    Scope.MAINTENANCE: Role.ADMIN,
    Scope.FLEET: Role.SYSTEM,
}
_RANK = {role: rank for rank, role in enumerate(Role)}


def lowest_role(scope: Scope) -> Role:
    """The first role that holds `scope`; those above hold it too."""
    return _LOWEST[scope]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a request. `token_id` names the token, never holds it; `service` is set when a
    service passes the request on or acts for itself."""

    user: str
    role: Role
    token_id: str
    service: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether this caller's role holds `scope`."""
        return _RANK[self.role] >= _RANK[_LOWEST[scope]]

    def require(self, scope: Scope) -> None:
        """RoleRequired unless this caller may do `scope`."""
        if not self.may(scope):
            raise RoleRequired(
                f"This needs the right {scope.value!r}; the token has the role {self.role.value!r}.",
                hint=f"Use a token of the role {_LOWEST[scope].value!r} or above.",
            )

    def whose(self, user: str | None, everybodys: Scope) -> str | None:
        """Whose things a list is to show where `user` is asked for: the caller's own unless somebody is named.

        Another's, and everybody's (asked for as `*`, answered as None), are for who has that right; whoever has not is
        told that there is nothing, as of a single thing of another's.
        """
        if user in (None, self.user):
            return self.user
        if not self.may(everybodys):
            raise NotFound("There is no such thing.", hint="Leave `user` out: what is shown then is yours.")
        return None if user == EVERYBODY else user

    @classmethod
    def of_service(cls, service: str) -> Caller:
        """The service itself, acting on nobody's behalf."""
        return cls(user=f"service:{service}", role=Role.SYSTEM, token_id=f"service:{service}", service=service)


class Authority:
    """Identifies callers for one service, and signs for that service towards its peers."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, service: str) -> None:
        self._db = database
        self._clock = clock
        self._service = service
        admin = admin_token(settings)
        hide(admin)
        self._admin_hash = sha256_of(admin)
        self._key = _service_key(settings)
        self._known: dict[str, tuple[float, Caller]] = {}
        self._signed: dict[Caller, tuple[datetime, str]] = {}

    def known(self, token: str) -> Caller | None:
        """The caller behind `token` if that was settled a moment ago or needs no database; else None."""
        digest = sha256_of(token)
        if hmac.compare_digest(digest, self._admin_hash):
            return Caller("admin", Role.ADMIN, _ADMIN_ID)
        if token.startswith("eyJ"):  # how every JWT begins: base64url of '{"'
            return self._service_caller(token)
        found = self._known.get(digest)
        return found[1] if found and found[0] > self._clock.monotonic() else None

    async def identify(self, token: str | None) -> Caller:
        """The caller behind `token`; AuthRequired without one, Forbidden for one that is not good."""
        if not token:
            raise AuthRequired("This call needs a token.", hint="Send it in the header X-VX11-Token.")
        caller = self.known(token)
        if caller is None:
            caller = await self._db.reading(self._look_up, sha256_of(token))
        return caller

    async def turned_bad(self, caller: Caller) -> Forbidden:
        """Returned once the token that `caller` came with is no longer good: for what lasts longer than a request."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SEC)
            try:
                await self._db.reading(self._must_be_good, caller)
            except Forbidden as error:
                return error
            except Unavailable:  # that nobody can tell revokes nothing
                continue

    def sign(self, caller: Caller) -> str:
        """A token of seconds that tells a peer who this service is and for whom it acts."""
        now = self._clock.now()
        cached = self._signed.get(caller)
        if cached and _REUSED_UNTIL <= cached[0] - now <= _SERVICE_TOKEN_LIFE:  # also when somebody has set the clock
            return cached[1]
        expires_at = now + _SERVICE_TOKEN_LIFE
        claims = {
            "iss": self._service,
            "sub": caller.user,
            "role": caller.role.value,
            "tid": caller.token_id,
            "exp": expires_at,
        }
        token = jwt.encode(claims, self._key, algorithm="HS256")
        _bound(self._signed)
        self._signed[caller] = (expires_at, token)
        return token

    def seal(self, purpose: str, message: bytes) -> str:
        """HMAC-SHA256 of `message`, hexadecimal, under a key of the house that is for this purpose alone."""
        key = hmac.digest(self._key.encode(), f"seal {purpose}".encode(), "sha256")
        return hmac.digest(key, message, "sha256").hex()

    def _service_caller(self, token: str) -> Caller:
        try:
            # The expiry is checked here and not by the library, because it would read the wall clock.
            claims = jwt.decode(token, self._key, algorithms=["HS256"], options=_JWT_OPTIONS)
            if claims["exp"] > self._clock.now().timestamp():
                return Caller(claims["sub"], Role(claims["role"]), claims["tid"], service=claims["iss"])
        except (jwt.InvalidTokenError, KeyError, ValueError):
            pass
        raise _not_good()

    def _must_be_good(self, session: Session, caller: Caller) -> None:
        """Forbidden where the caller's token is not; that of the admin and those of services are in no table."""
        if caller.token_id != _ADMIN_ID and caller.role is not Role.SYSTEM:
            self._good(session.get(ApiToken, caller.token_id))

    def _good(self, row: ApiToken | None) -> ApiToken:
        if row is None or row.revoked_at is not None:
            raise _not_good()
        if row.expires_at is not None and row.expires_at <= self._clock.now():
            raise _not_good()
        return row

    def _look_up(self, session: Session, digest: str) -> Caller:
        row = self._good(session.scalar(select(ApiToken).where(ApiToken.token_sha256 == digest)))
        caller = Caller(row.user, Role(row.role), row.token_id)
        _bound(self._known)
        self._known[digest] = (self._clock.monotonic() + _KNOWN_FOR_SEC, caller)
        return caller


class Requires:
    """A FastAPI dependency: the caller of this request, once it is known to hold `scope`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, request: Request) -> Caller:
        """AuthRequired, Forbidden or RoleRequired where the request may not go on."""
        authority: Authority = request.app.state.house.auth
        caller = await authority.identify(token_in(request.scope))
        caller.require(self._scope)
        return caller


def token_in(scope: Mapping[str, Any]) -> str | None:
    """The token in an ASGI scope's headers: X-VX11-Token, or Authorization: Bearer."""
    headers = dict(scope["headers"])
    token = headers.get(_RAW_TOKEN_HEADER)
    if token:
        return bytes(token).decode("latin-1")
    kind, _, value = bytes(headers.get(b"authorization", b"")).decode("latin-1").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None


def new_token() -> str:
    """A fresh token of 256 random bits; shown once, never stored."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def sha256_of(token: str) -> str:
    """What the house keeps of a token. Plain SHA-256 is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


def admin_token(settings: Settings) -> str:
    """The admin token: the setting, or the 0600 file, made now if this is the first start."""
    if settings.token is not None:
        return settings.token.get_secret_value()
    return _secret_file(_secrets_folder(settings) / "admin.token", new_token)


def _service_key(settings: Settings) -> str:
    return _secret_file(_secrets_folder(settings) / "service.key", lambda: secrets.token_hex(32))


def _secrets_folder(settings: Settings) -> Path:
    return settings.secrets_path or settings.runtime_path


def _secret_file(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made there on first use; two processes at once agree on one."""
    if not path.exists():
        prepare_runtime_folder(path.parent)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # pids are no names: each container has its own
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(descriptor)  # an empty key after a power cut would be a key everybody knows
        try:
            os.link(draft, path)  # fails if somebody was faster: theirs is used
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _bound(cache: dict[Any, Any]) -> None:
    """Forget everything once the cache is full: cheap, and nobody can grow it without end."""
    if len(cache) >= _KNOWN_MAX:
        cache.clear()


def _not_good() -> Forbidden:
    return Forbidden("The token is wrong, expired or revoked.", hint="`./vx11 token` prints the admin token.")
