"""Prompts in VX11's own words."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from config.contracts.prompts import (
    AdviceAnswer,
    AdviceRequest,
    RoutedAnswer,
    RoutedPrompt,
    SwitchChat,
    SwitchChatAnswer,
    TaskState,
    TaskTicket,
)
from config.streaming import Streamed, while_connected
from switch.routes.rights import Chatter, TheFlows

router = APIRouter(prefix="/switch", tags=["prompts"])


@router.post("/chat", summary="A chat; streamed it gives OpenAI's chunks", response_model=SwitchChatAnswer)
async def chat(body: SwitchChat, request: Request, flows: TheFlows, caller: Chatter) -> SwitchChatAnswer | Response:
    if body.stream:
        return Streamed(flows.chats.streamed(body, caller))
    return await while_connected(request.receive, flows.chats.chat(body, caller))


@router.post("/route-v5", summary="A prompt, answered at once by whom Switch chooses")
async def route(body: RoutedPrompt, request: Request, flows: TheFlows, caller: Chatter) -> RoutedAnswer:
    return await while_connected(request.receive, flows.chats.route(body, caller))


@router.post(
    "/task", summary="A prompt, kept and answered in its turn; honours Idempotency-Key", status_code=202,
    response_model=TaskTicket,
)  # fmt: skip
async def put_task(body: RoutedPrompt, request: Request, flows: TheFlows, caller: Chatter) -> Response:
    return await flows.house.idempotency.once_within(
        request, caller, 202, lambda keep: flows.tasks.put(body, caller, keep)
    )


@router.get("/task/{task_id}", summary="How a task stands, and its answer; another user's is 404")
async def show_task(task_id: str, flows: TheFlows, caller: Chatter) -> TaskState:
    return await flows.tasks.show(task_id, caller)


@router.post("/task/{task_id}/cancel", summary="End a task, waiting or being answered; one that is over stays as it is")
async def cancel_task(task_id: str, flows: TheFlows, caller: Chatter) -> TaskState:
    return await flows.tasks.cancel(task_id, caller)


@router.post("/advice", summary="What a local model makes of an incident; says so when none can be asked")
async def advice(body: AdviceRequest, request: Request, flows: TheFlows, caller: Chatter) -> AdviceAnswer:
    return await while_connected(request.receive, flows.chats.advice(body, caller))
