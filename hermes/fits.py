"""Whether a model fits this machine: the memory Switch would reserve for it, and the room on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.errors import NotEnoughMemory
from hermes.gguf import GgufHeader

# As Switch reserves it (switch/choose.py, need_mb; switch/pool.py, _kv_tokens): the interpreter, the library and
# compute buffers; keys and values in 16 bits; room for two conversations at once. tests/unit/hermes/test_fits.py
# compares the two.
OVERHEAD_MB: Final = 90
KV_BYTES_PER_VALUE: Final = 2
CONVERSATIONS: Final = 2
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """What a model would have to fit into; `prefix_ram_mb` is what Switch keeps of its prompts beside it."""

    budget_mb: int
    context_tokens: int
    parallel: int
    prefix_ram_mb: int = 0


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """The arithmetic of one model in memory, MiB; `kv_is_guessed` where the header does not tell its layers."""

    file_mb: int
    kv_mb: int
    around_mb: int
    context_tokens: int
    conversations: int
    budget_mb: int
    kv_is_guessed: bool

    @property
    def need_mb(self) -> int:
        """All of it."""
        return self.file_mb + self.kv_mb + self.around_mb

    @property
    def fits(self) -> bool:
        """Whether it could ever be loaded under this budget."""
        return self.need_mb <= self.budget_mb

    @property
    def said(self) -> str:
        """The arithmetic as a sentence."""
        kv = "guessed for its context" if self.kv_is_guessed else f"for {self.conversations} × {self.context_tokens}"
        verdict = "fits" if self.fits else f"{self.need_mb - self.budget_mb} MiB too many for"
        return (
            f"{self.file_mb} MiB of tensors + {self.kv_mb} MiB of memory {kv} tokens + {self.around_mb} MiB around it "
            f"= {self.need_mb} MiB, which is {verdict} the budget of {self.budget_mb} MiB."
        ).replace("which is fits", "which fits")


def memory_need(header: GgufHeader, size: int, machine: Machine) -> MemoryNeed:
    """What serving a file of `size` bytes with this header takes."""
    return need_of(size, header.context_length, header.kv_values_per_token, machine)


def need_of(size: int, context_length: int | None, kv_values_per_token: int | None, machine: Machine) -> MemoryNeed:
    """What serving a file of `size` bytes takes; what its header did not tell is None."""
    trained_for = context_length or machine.context_tokens
    context = min(machine.context_tokens, trained_for)
    conversations = min(CONVERSATIONS, machine.parallel)
    values = kv_values_per_token
    kv_bytes = size // 4 if values is None else context * conversations * values * KV_BYTES_PER_VALUE
    return MemoryNeed(
        file_mb=size // _MIB,
        kv_mb=(size + kv_bytes) // _MIB + 1 - size // _MIB,
        around_mb=OVERHEAD_MB + machine.prefix_ram_mb,
        context_tokens=context,
        conversations=conversations,
        budget_mb=machine.budget_mb,
        kv_is_guessed=values is None,
    )


def ensure_fits(name: str, need: MemoryNeed) -> None:
    """NotEnoughMemory, with the arithmetic, for a model that could never be loaded here."""
    if need.fits:
        return
    raise NotEnoughMemory(
        f"{name} cannot be served on this machine: {need.said}",
        hint="Take a smaller quantisation, raise VX11_MODEL_MEMORY_MB, or pull it all the same with force: true.",
        extra={"need_mb": need.need_mb, "budget_mb": need.budget_mb},
    )
