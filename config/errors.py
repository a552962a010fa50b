"""The one error tree of VX11: what went wrong, in words a person can act on.

Pure Python, no framework: any layer may raise these. `problems.py` writes them as RFC 9457
problem+json, and a calling client turns that body back into the same class, so an error keeps its
meaning over any number of hops.

    VX11Error
    ├── BadRequest 400 bad_request
    │   └── ContextOverflow 400 context_overflow       the prompt is longer than the model's context
    ├── AuthRequired 401 auth_required
    ├── Forbidden 403 forbidden                         the token is wrong, expired or revoked
    │   ├── RoleRequired 403 role_required              the token is good, the role too low
    │   ├── OffByPolicy 403 off_by_policy               asleep, and waking by request is off
    │   └── ControlDisabled 403 control_disabled        service control needs its setting
    ├── NotFound 404 not_found
    │   ├── UnknownModel 404 unknown_model
    │   ├── ServiceAbsent 404 service_absent            this build does not hold that room
    │   └── LaneMissing 404 lane_missing                no lane leads from this intent to anyone
    ├── MethodNotAllowed 405 method_not_allowed
    ├── Conflict 409 conflict
    │   ├── NotEnoughMemory 409 not_enough_memory       the arithmetic is in the detail
    │   ├── StillAtWork 409 still_at_work               the first request with this Idempotency-Key
    │   ├── ConfirmationRefused 409 confirmation_refused  the token was used, is too old, or is another plan's
    │   └── StalePlan 409 stale_plan                    what the plan was made against has changed: `changes[]`
    ├── TooLarge 413 too_large
    ├── Invalid 422 invalid                             `errors[]` names each field
    │   └── BadModelFile 422 bad_model_file             not a whole GGUF file, or not the one that was promised
    ├── TooManyRequests 429 rate_limited                carries Retry-After
    ├── Internal 500 internal                           a bug of ours; the log has the rest
    │   └── StartFailed 500 start_failed                a service would not come up
    ├── BadPeer 502 bad_peer                            a peer answered something unusable
    ├── Unavailable 503 unavailable                     carries Retry-After where one is known
    │   ├── Waking 503 waking
    │   ├── ModelFailed 503 model_failed                a model did not load, or its worker died
    │   └── BreakerOpen 503 breaker_open
    ├── PeerTimeout 504 peer_timeout
    │   └── DeadlineExceeded 504 deadline_exceeded      the wait there is would be longer, or was
    └── DiskFull 507 disk_full
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

_BY_CODE: dict[str, type[VX11Error]] = {}


class VX11Error(Exception):
    """Root of the tree; only its subclasses are raised.

    `detail` says what happened to whom, in one sentence. `hint` holds the one call or act that would
    mend it. `retry_after_sec` becomes the Retry-After header. `errors` lists invalid fields as
    `{"field", "message"}`. `extra` holds further members of the problem body; its keys are part of
    the contract of the class that sets them.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init_subclass__(cls, *, status: int, code: str, title: str) -> None:
        super().__init_subclass__()
        if code in _BY_CODE:
            raise TypeError(f"error code {code!r} is taken by {_BY_CODE[code].__name__}")
        cls.status, cls.code, cls.title = status, code, title
        _BY_CODE[code] = cls

    def __init__(
        self,
        detail: str,
        *,
        hint: str | None = None,
        retry_after_sec: float | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.retry_after_sec = retry_after_sec
        self.errors = [dict(error) for error in errors]
        self.extra = dict(extra or {})


class BadRequest(VX11Error, status=400, code="bad_request", title="Bad request"):
    """The request cannot be understood or served as it stands."""


class ContextOverflow(BadRequest, status=400, code="context_overflow", title="Prompt too long"):
    """The prompt does not fit the model's context; `extra` holds prompt_tokens and context_tokens."""


class AuthRequired(VX11Error, status=401, code="auth_required", title="Token required"):
    """No token came with the request."""


class Forbidden(VX11Error, status=403, code="forbidden", title="Forbidden"):
    """The token is wrong, expired or revoked."""


class RoleRequired(Forbidden, status=403, code="role_required", title="Role too low"):
    """The token is good, but its role may not do this."""


class OffByPolicy(Forbidden, status=403, code="off_by_policy", title="Asleep by policy"):
    """The service sleeps and may not be woken by a request; `hint` holds the call that opens a window."""


class ControlDisabled(Forbidden, status=403, code="control_disabled", title="Service control is off"):
    """Starting and stopping single services needs VX11_ALLOW_SERVICE_CONTROL=1."""


class NotFound(VX11Error, status=404, code="not_found", title="Not found"):
    """There is no such thing, or it belongs to another user."""


class UnknownModel(NotFound, status=404, code="unknown_model", title="Unknown model"):
    """No enabled model has this name; another is never used in its place."""


class ServiceAbsent(NotFound, status=404, code="service_absent", title="Service absent"):
    """This build of the fleet does not hold that service; of an order, `extra` holds absent: all that it would need."""


class LaneMissing(NotFound, status=404, code="lane_missing", title="Lane missing"):
    """No registered action, or no lane of the rails, leads from an intent to anyone; nothing was done."""


class MethodNotAllowed(VX11Error, status=405, code="method_not_allowed", title="Method not allowed"):
    """The path exists, but not for this HTTP method."""


class Conflict(VX11Error, status=409, code="conflict", title="Conflict"):
    """The thing is in a state that forbids this."""


class NotEnoughMemory(Conflict, status=409, code="not_enough_memory", title="Not enough memory"):
    """What would run does not fit the budget; the arithmetic is in the detail."""


class StillAtWork(Conflict, status=409, code="still_at_work", title="Still at work"):
    """The first request with this Idempotency-Key has no answer yet, and its service says that it lives."""


class ConfirmationRefused(Conflict, status=409, code="confirmation_refused", title="Confirmation refused"):
    """A token does not let this plan run: used, too old, void, or given for something else; `extra` holds reason."""


class StalePlan(Conflict, status=409, code="stale_plan", title="Plan is stale"):
    """The state that a plan was made against has changed; `extra` holds changes, each `{what, was, now}`."""


class TooLarge(VX11Error, status=413, code="too_large", title="Body too large"):
    """The body is over the limit of the service; `extra` holds limit_bytes."""


class Invalid(VX11Error, status=422, code="invalid", title="Invalid input"):
    """The body is well-formed, but a field is not as the contract says."""


class BadModelFile(Invalid, status=422, code="bad_model_file", title="Bad model file"):
    """A file is not a whole GGUF model, or not the one whose SHA-256 was promised."""


class TooManyRequests(VX11Error, status=429, code="rate_limited", title="Too many requests"):
    """The caller is over its share for now."""


class Internal(VX11Error, status=500, code="internal", title="Internal error"):
    """A bug of ours. The answer names the correlation id; the log holds the rest."""


class StartFailed(Internal, status=500, code="start_failed", title="Start failed"):
    """A service would not come up; what had been started for it was stopped again."""


class BadPeer(VX11Error, status=502, code="bad_peer", title="Bad answer from a peer"):
    """A peer or provider answered something that cannot be used."""


class Unavailable(VX11Error, status=503, code="unavailable", title="Unavailable"):
    """Not now; Retry-After says when to ask again."""


class Waking(Unavailable, status=503, code="waking", title="Waking up"):
    """The service is on its way up, but was not ready in time."""


class ModelFailed(Unavailable, status=503, code="model_failed", title="Model failed"):
    """A model did not load or its worker died; it rests for a while before the next try."""


class BreakerOpen(Unavailable, status=503, code="breaker_open", title="Circuit breaker open"):
    """The peer failed several times in a row and is left alone for a while."""


class PeerTimeout(VX11Error, status=504, code="peer_timeout", title="Peer timed out"):
    """A peer did not answer before the deadline."""


class DeadlineExceeded(PeerTimeout, status=504, code="deadline_exceeded", title="Deadline exceeded"):
    """The request's deadline passed while it waited, or will; nothing was computed for it."""


class DiskFull(VX11Error, status=507, code="disk_full", title="Disk full"):
    """There is not enough free space; the detail says how much is missing."""


def error_class(code: str) -> type[VX11Error] | None:
    """The class that owns `code`, or None for a code that this version does not know."""
    return _BY_CODE.get(code)
