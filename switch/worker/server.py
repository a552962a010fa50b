"""HTTP over the Unix socket: a plain ASGI application, because a framework's memory counts once a loaded model.

    GET  /health               state, who runs, who waits, counts and rates
    POST /v1/chat/completions  OpenAI's chat, streamed or whole
    POST /v1/completions       OpenAI's completion, streamed or whole

Nothing is sent before the first token is there, so every refusal has its proper status. When the client goes,
the request is cancelled. Errors are the house's problem+json; after the first byte, one `error` event ends the stream.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from config.clock import Clock
from config.errors import (
    BadRequest,
    ContextOverflow,
    Internal,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnknownModel,
    VX11Error,
)
from config.logs import correlation_id
from config.problems.outgoing import MEDIA_TYPE, problem_body, problem_headers
from switch import openai
from switch.worker import answers
from switch.worker.engine import Engine
from switch.worker.outlet import GoneError, Outlet
from switch.worker.sequence import Job
from switch.worker.spec import WorkerSpec
from switch.worker.template import ChatTemplate

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY_BYTES = 16 << 20
_INLINE_CHARACTERS = 20_000
_JSON: Headers = [(b"content-type", b"application/json")]
_STREAM: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What the server answers for: the engine, how to make prompts for it, and what to call it."""

    spec: WorkerSpec
    engine: Engine[Any]
    tokenize: Callable[[str], list[int]]
    n_vocab: int
    template: ChatTemplate | None
    bos_text: str
    facts: dict[str, Any]
    clock: Clock


class Worker:
    """The ASGI application."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._routes: dict[str, tuple[str, Callable[[Receive, Send], Awaitable[None]]]] = {
            "/health": ("GET", self._health),
            "/v1/chat/completions": ("POST", self._chat),
            "/v1/completions": ("POST", self._completion),
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; an error that comes before the answer began is a problem."""
        path = scope["path"]
        correlation_id.set(_header(scope, b"x-correlation-id"))
        try:
            method, answer = self._routes.get(path, ("", None))
            if answer is None:
                raise NotFound(f"A worker has no path {path}.")
            if scope["method"] != method:
                raise MethodNotAllowed(f"{scope['method']} is not offered at {path}.")
            await answer(receive, send)
        except GoneError:
            _log.info("the client left before its answer was whole")
        except VX11Error as error:
            await _send_problem(send, error, path)
        except Exception:  # border: a bug in one answer must not take the worker down, nor go unsaid
            _log.exception("an answer broke")
            await _send_problem(send, Internal("Something broke inside; the log has the rest."), path)

    async def _health(self, receive: Receive, send: Send) -> None:
        served, meter = self._served, self._served.engine.meter
        body = {
            "state": "ready" if served.engine.error is None else "failed",
            "model": served.spec.model_name,
            **served.engine.snapshot(),
            "requests": meter.requests,
            "cancelled": meter.cancelled,
            "failed": meter.failed,
            "steps": meter.steps,
            "prompt_tokens": meter.prompt_tokens,
            "generated_tokens": meter.generated_tokens,
            "prompt_tokens_per_second": round(meter.prompt_rate.per_second, 2),
            "decode_tokens_per_second": round(meter.decode_rate.per_second, 2),
            **served.facts,
        }
        await _send_whole(send, json.dumps(body).encode())

    async def _chat(self, receive: Receive, send: Send) -> None:
        request = openai.parse_chat(await _body(receive))
        served = self._served
        if served.template is None:
            raise BadRequest(
                f"The model {served.spec.model_name} has no chat template, so it cannot chat.",
                hint="Use POST /v1/completions, or a model tuned for instructions.",
            )
        prompt = served.template.render(request.messages)
        # The tokenizer adds the begin mark itself; a template that also spells it out would double it.
        if served.bos_text:
            prompt = prompt.removeprefix(served.bos_text)
        await self._answer("chat", await self._tokens(prompt), request.wish, receive, send)

    async def _completion(self, receive: Receive, send: Send) -> None:
        request = openai.parse_completion(await _body(receive))
        await self._answer("text", await self._tokens(request.prompt), request.wish, receive, send)

    async def _tokens(self, prompt: str | list[int]) -> list[int]:
        """The prompt as tokens; a long text is cut in a thread, so that the streams of others flow on."""
        served = self._served
        if isinstance(prompt, list):
            if max(prompt) >= served.n_vocab:
                raise BadRequest(f"The prompt names token {max(prompt)}; the model has {served.n_vocab}.")
            tokens = prompt
        elif len(prompt) > _INLINE_CHARACTERS:
            tokens = await asyncio.to_thread(served.tokenize, prompt)
        else:
            tokens = served.tokenize(prompt)
        if not tokens:
            raise BadRequest("The prompt is empty.")
        _check_fits(len(tokens), served.spec.n_ctx)
        return tokens

    async def _answer(
        self, kind: answers.Kind, prompt: list[int], wish: openai.Wish, receive: Receive, send: Send
    ) -> None:
        """Run the job and send its answer; cancelled when the client goes, or this coroutine is."""
        spec, outlet = self._served.spec, Outlet()
        if wish.model not in (spec.model_name, *spec.aliases):
            raise UnknownModel(f"This worker holds {spec.model_name}, not {wish.model}.")
        heading = answers.Heading(
            kind=kind,
            id=("chatcmpl-" if kind == "chat" else "cmpl-") + secrets.token_hex(12),
            created=int(self._served.clock.now().timestamp()),
            model=spec.model_name,
        )
        job = Job(prompt, wish.sampling, wish.stops, wish.max_tokens)
        async with self._running(job, outlet, receive):
            if wish.stream:
                await _stream(answers.Events(heading), outlet, wish, send)
            else:
                await _gather(heading, outlet, send)

    @asynccontextmanager
    async def _running(self, job: Job, outlet: Outlet, receive: Receive) -> AsyncIterator[None]:
        """The job runs inside; whoever leaves before its end, client or server, cancels it."""
        ticket = self._served.engine.submit(job, outlet)
        watch = asyncio.create_task(_until_gone(receive))
        watch.add_done_callback(lambda _task: outlet.push("", GoneError()))
        try:
            yield
        finally:
            watch.cancel()
            self._served.engine.cancel(ticket)


def _header(scope: MutableMapping[str, Any], name: bytes) -> str:
    """The value of a header, or nothing."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(events: answers.Events, outlet: Outlet, wish: openai.Wish, send: Send) -> None:
    """Send the answer as it comes. What one step gave goes out in one write."""
    text, end, _ = await outlet.take()
    await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
    opening = events.opening()
    try:
        while end is None:
            await _send_part(send, opening + events.text(text))
            opening = b""
            text, end, _ = await outlet.take()
        last = events.text(text) if text else b""
        await _send_part(send, opening + last + events.closing(end, include_usage=wish.include_usage), more=False)
    except VX11Error as error:
        await _send_part(send, answers.failure(error), more=False)


async def _gather(heading: answers.Heading, outlet: Outlet, send: Send) -> None:
    """Send the answer once it is whole."""
    texts: list[str] = []
    end = None
    while end is None:
        text, end, _ = await outlet.take()
        texts.append(text)
    await _send_whole(send, answers.whole(heading, "".join(texts), end))


def _check_fits(prompt_tokens: int, n_ctx: int) -> None:
    """At least one token of the answer must fit beside the prompt; raises ContextOverflow."""
    if prompt_tokens >= n_ctx:
        raise ContextOverflow(
            f"The prompt has {prompt_tokens} tokens; the context of this model holds {n_ctx}, answer included.",
            extra={"prompt_tokens": prompt_tokens, "context_tokens": n_ctx},
        )


async def _body(receive: Receive) -> bytes:
    """The whole body; raises TooLarge before more than the limit is held."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"The body is over {MAX_BODY_BYTES} bytes.", extra={"limit_bytes": MAX_BODY_BYTES})
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send_problem(send: Send, error: VX11Error, path: str) -> None:
    headers = {"content-type": MEDIA_TYPE, **problem_headers(error)}
    body = json.dumps(problem_body(error, openai=path.startswith("/v1/"))).encode()
    await _send_whole(
        send, body, error.status, [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    )


async def _send_whole(send: Send, body: bytes, status: int = 200, headers: Headers = _JSON) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await _send_part(send, body, more=False)


async def _send_part(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
