"""OpenAI's request bodies, checked and turned into what a worker runs. Pure, and light to import.

The worker reads bodies with it; Switch refuses a bad one with it before a model is loaded.

    fields.py      members one by one, all faults told at once
    wish.py        what chats and completions ask for alike
    constraint.py  what an answer must look like    tools.py       what a model may call
    messages.py    the conversation                 chat.py        `parse_chat`
    completion.py  `parse_completion`               embedding.py   `parse_embedding`
"""

from switch.openai.chat import ChatRequest, parse_chat
from switch.openai.completion import CompletionRequest, parse_completion
from switch.openai.constraint import Constraint
from switch.openai.embedding import EmbeddingRequest, parse_embedding
from switch.openai.tools import Tools
from switch.openai.wish import Wish

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "Constraint",
    "EmbeddingRequest",
    "Tools",
    "Wish",
    "parse_chat",
    "parse_completion",
    "parse_embedding",
]
