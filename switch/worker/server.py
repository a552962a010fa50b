"""HTTP over the Unix socket: a plain ASGI application, because a framework's memory counts once a loaded model.

    GET  /health               state, who runs, who waits, counts and rates
    POST /v1/chat/completions  OpenAI's chat, streamed or whole
    POST /v1/completions       OpenAI's completion, streamed or whole
    POST /v1/embeddings        OpenAI's embeddings

Nothing is sent before the first token is there, so every refusal has its proper status. When the client goes,
the request is cancelled. Errors are the house's problem+json; after the first byte, one `error` event ends the stream.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from config.clock import Clock
from config.errors import Internal, MethodNotAllowed, NotFound, TooLarge, UnknownModel, VX11Error
from config.logs import correlation_id
from config.problems.outgoing import MEDIA_TYPE, problem_body, problem_headers
from switch import openai
from switch.worker import answers, vectors
from switch.worker.embedding import Embedder
from switch.worker.engine import Engine
from switch.worker.limits import Limits
from switch.worker.outlet import End, GoneError, Outlet
from switch.worker.prompts import Prompt, Prompts
from switch.worker.sequence import Finish, Job
from switch.worker.speaking import Stream, gather, nothing_said, parts_of
from switch.worker.spec import WorkerSpec
from switch.worker.tool_format import Format

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY_BYTES = 16 << 20
_INLINE_BYTES = 20_000
_RANDOM_SEED = 0xFFFFFFFF  # what llama.cpp takes for "any"
_JSON: Headers = [(b"content-type", b"application/json")]
_STREAM: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What the server answers for: the engine, how to make prompts for it, what it can be asked for."""

    spec: WorkerSpec
    engine: Engine[Any]
    prompts: Prompts
    limits: Limits
    embedder: Embedder
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
            "/v1/embeddings": ("POST", self._embeddings),
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
            "embedding_context": served.embedder.facts(),
            **served.facts,
        }
        await _send_whole(send, json.dumps(body).encode())

    async def _chat(self, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        request = await _parsed(openai.parse_chat, body)
        self._check_model(request.wish.model)
        # Rendering runs the template of whoever made the model: beside the loop, whatever it does.
        prompt = await asyncio.to_thread(self._served.prompts.chat, request)
        form = self._served.prompts.format if request.tools else None
        await self._answer("chat", prompt, request.wish, receive, send, tools=request.tools, form=form)

    async def _completion(self, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        request = await _parsed(openai.parse_completion, body)
        self._check_model(request.wish.model)
        prompt = await _inline_if_small(len(body), self._served.prompts.completion, request.prompt)
        await self._answer("text", prompt, request.wish, receive, send)

    async def _embeddings(self, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        request = await _parsed(openai.parse_embedding, body)
        self._check_model(request.model)
        inputs = await asyncio.to_thread(lambda: [self._served.prompts.tokens(one) for one in request.inputs])
        async with vectors.computed(self._served.engine, self._served.embedder, inputs, _until_gone(receive)) as made:
            await _send_whole(send, vectors.body(request, self._served.spec.model_name, inputs, await made))

    def _check_model(self, name: str) -> None:
        spec = self._served.spec
        if name not in (spec.model_name, *spec.aliases):
            raise UnknownModel(f"This worker holds {spec.model_name}, not {name[:200]}.")

    async def _answer(
        self,
        kind: answers.Kind,
        prompt: Prompt,
        wish: openai.Wish,
        receive: Receive,
        send: Send,
        *,
        tools: openai.Tools | None = None,
        form: Format | None = None,
    ) -> None:
        """Run the jobs of a request and send what they give; cancelled when the client goes, or this coroutine is."""
        self._served.limits.check(wish)
        heading = answers.Heading(
            kind=kind,
            id=("chatcmpl-" if kind == "chat" else "cmpl-") + secrets.token_hex(12),
            created=int(self._served.clock.now().timestamp()),
            model=self._served.spec.model_name,
            dropped_messages=prompt.dropped_messages,
        )
        jobs = await self._jobs(prompt, wish, tools)
        async with self._running(jobs, receive) as outlets:
            parts = parts_of(outlets) if outlets else nothing_said(_empty(prompt), wish.choices)
            if wish.stream:
                stream = Stream(heading, wish.choices, form, include_usage=wish.include_usage)
                await stream.send(parts, lambda: _begin(send), lambda data, more: _send_part(send, data, more=more))
            else:
                with_chances = wish.logprobs is not None
                await _send_whole(send, await gather(heading, parts, wish.choices, form, with_chances=with_chances))

    async def _jobs(self, prompt: Prompt, wish: openai.Wish, tools: openai.Tools | None) -> list[Job]:
        """One job a choice, each with a seed of its own; none where not a single token is wanted."""
        sampling = wish.sampling
        if wish.constraint or tools:
            sampling = await asyncio.to_thread(self._served.limits.sampling, wish, tools)
        if wish.max_tokens == 0:
            return []
        seeds = ((sampling.seed + place) % _RANDOM_SEED for place in range(wish.choices))
        seeded = (dataclasses.replace(sampling, seed=seed) for seed in seeds)
        return [Job(prompt.tokens, each, wish.stops, wish.max_tokens, wish.logprobs, wish.reuse) for each in seeded]

    @asynccontextmanager
    async def _running(self, jobs: Sequence[Job], receive: Receive) -> AsyncIterator[list[Outlet]]:
        """The jobs run inside; whoever leaves before their end, client or server, cancels them."""
        engine, outlets = self._served.engine, [Outlet() for _ in jobs]
        watch = asyncio.create_task(_until_gone(receive))
        for outlet in outlets:
            watch.add_done_callback(partial(_tell_gone, outlet))
        tickets = []
        try:
            for job, outlet in zip(jobs, outlets, strict=True):
                tickets.append(engine.submit(job, outlet))
            yield outlets
        finally:
            watch.cancel()
            for ticket in tickets:
                engine.cancel(ticket)


def _tell_gone(outlet: Outlet, _watch: asyncio.Task[None]) -> None:
    outlet.push("", GoneError())


def _empty(prompt: Prompt) -> End:
    """The end of an answer that was not to hold a single token."""
    return End(Finish.LENGTH, len(prompt.tokens), 0, 0.0, 0.0)


async def _parsed(parse: Callable[[bytes], Any], body: bytes) -> Any:
    return await _inline_if_small(len(body), parse, body)


async def _inline_if_small(size: int, work: Callable[[Any], Any], argument: Any) -> Any:
    """`work` on a large argument runs in a thread, so that the streams of others flow on."""
    return work(argument) if size <= _INLINE_BYTES else await asyncio.to_thread(work, argument)


def _header(scope: MutableMapping[str, Any], name: bytes) -> str:
    """The value of a header, or nothing."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


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


async def _begin(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _STREAM})


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
    if body or not more:
        await send({"type": "http.response.body", "body": body, "more_body": more})
