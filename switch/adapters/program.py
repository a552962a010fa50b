"""Command-line programs of hermes' table `cli_providers`: run by argv template, never by a shell."""

from __future__ import annotations

from config import deadline
from config.clock import Clock
from config.db_schema import new_id
from config.errors import BadPeer, Invalid, NotFound, PeerTimeout, Unavailable
from config.programs import ProgramResult, call_of, run_program, scrubbed_environment
from config.streaming import Head
from switch.adapters.provider import Items
from switch.chat_answer import beyond_programs, events, plain, prompt_text, whole
from switch.orders import Asker, Order
from switch.programs import ProgramRow

_OUTPUT_LIMIT = 4 * 2**20
_JSON = Head(200, ((b"content-type", b"application/json"),))
_EVENTS = Head(200, ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")))


class Program:
    """One command-line program as a provider of chats."""

    def __init__(self, row: ProgramRow, clock: Clock, timeout_sec: float) -> None:
        self._row = row
        self._clock = clock
        self._timeout_sec = timeout_sec

    async def ask(self, order: Order, asker: Asker) -> Items:
        """Answer an order; see `Provider`. Its answer is there at once or not at all, streamed or not."""
        beyond = beyond_programs(order.request)
        if beyond:
            raise Invalid(
                f"{self._row.name} is a command-line program: it cannot honour {', '.join(beyond)}.",
                errors=[{"field": name, "message": "not offered by programs"} for name in beyond],
            )
        model = order.model or self._row.name
        named = model if model in self._row.models else None
        call = call_of(
            self._row.path, self._row.argv, self._row.model_argv, prompt=prompt_text(order.request), model=named
        )
        try:
            result = await run_program(
                call.argv,
                stdin=call.stdin,
                timeout_sec=deadline.within(self._timeout_sec),
                output_limit=_OUTPUT_LIMIT,
                environment=scrubbed_environment(self._row.environment),
            )
        except NotFound as error:
            raise Unavailable(error.detail, hint="POST /hermes/discover looks for programs again.") from error
        text = self._text(result)
        answer_id, created = new_id("chatcmpl"), int(self._clock.now().timestamp())
        if order.stream:
            yield _EVENTS
            for event in events(answer_id, created, model, text):
                yield event
        else:
            yield _JSON
            yield whole(answer_id, created, model, text)

    def _text(self, result: ProgramResult) -> str:
        name = self._row.name
        if result.timed_out:
            raise PeerTimeout(f"{name} did not answer within {result.seconds:.0f} s.")
        if result.truncated:
            raise BadPeer(f"{name} said more than {_OUTPUT_LIMIT} bytes.")
        if result.code != 0:
            raise BadPeer(f"{name} ended with exit code {result.code}.")  # its stderr may hold paths and keys
        text = plain(result.stdout)
        if not text:
            raise BadPeer(f"{name} said nothing.")
        return text
