"""What a person needs to use a running fleet: its address, its token, and one line to paste."""

from __future__ import annotations

import json
import shlex

from scripts.terminal import Terminal

_QUESTION = "Why is the sky blue?"
_MAX_TOKENS = 200


def print_card(terminal: Terminal, address: str, token: str, model: str | None) -> None:
    """Print it; without a model the line lists the models there are."""
    terminal.headline("VX11 is up")
    terminal.say(f"  address  {address}")
    terminal.say(f"  token    {token}")
    terminal.say(f"\n{curl_line(address, token, model)}")


def curl_line(address: str, token: str, model: str | None) -> str:
    """One line for a POSIX shell: a question to `model`, the answer streams."""
    header = f"X-VX11-Token: {token}"
    if model is None:
        return shlex.join(["curl", f"{address}/v1/models", "-H", header])
    messages = [{"role": "user", "content": _QUESTION}]
    body = {"model": model, "stream": True, "max_tokens": _MAX_TOKENS, "messages": messages}
    headers = ("-H", header, "-H", "Content-Type: application/json")
    text = json.dumps(body, separators=(",", ":"))
    return shlex.join(["curl", "-N", f"{address}/v1/chat/completions", *headers, "-d", text])
