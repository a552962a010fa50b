"""Which local model or command-line program fits a task, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from config.contracts.tools import EngineCandidate, EngineChoice, EngineKind, EngineQuery

# What a model of one kind can stand in for, at a discount: a chat model continues text and writes code after a fashion.
_STANDS_IN: dict[tuple[str, str], float] = {
    ("chat", "completion"): 0.6,
    ("completion", "chat"): 0.2,
    ("chat", "code"): 0.6,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may do a task; `context_tokens` None: not known, so not held against it. `obstacle`: why it cannot now."""

    name: str
    kind: EngineKind
    task_types: tuple[str, ...]
    context_tokens: int | None
    size_mb: int
    usage_count: int
    obstacle: str | None = None
    tags: tuple[str, ...] = field(default=())


def choose(query: EngineQuery, candidates: Sequence[Candidate]) -> EngineChoice:
    """The best engine for a task, with every candidate's score explained; none where nothing fits."""
    busiest = max((candidate.usage_count for candidate in candidates), default=0)
    judged = [_judged(query, candidate, busiest) for candidate in candidates]
    judged.sort(key=lambda one: (one.excluded_because is not None, -one.score, one.name))
    best = judged[0] if judged and judged[0].excluded_because is None else None
    if best is None:
        return EngineChoice(engine=None, kind=None, said=_nothing_fits(query, judged), candidates=judged)
    said = f"{best.name} fits {query.task_type} best: {', '.join(best.reasons)}."
    return EngineChoice(engine=best.name, kind=best.kind, said=said, candidates=judged)


def _judged(query: EngineQuery, candidate: Candidate, busiest: int) -> EngineCandidate:
    obstacle = _obstacle(query, candidate)
    score, reasons = (0.0, []) if obstacle else _score(query, candidate, busiest)
    return EngineCandidate(
        name=candidate.name, kind=candidate.kind, score=round(score, 3), reasons=reasons, excluded_because=obstacle
    )


def _obstacle(query: EngineQuery, candidate: Candidate) -> str | None:
    if candidate.kind not in query.kinds:
        return f"it is a {candidate.kind} engine, which was not asked for"
    if candidate.obstacle is not None:
        return candidate.obstacle
    if _task_fit(query, candidate) == 0:
        return f"it does {' and '.join(candidate.task_types)}, not {query.task_type}"
    wanted, has = query.context_tokens, candidate.context_tokens
    if wanted is not None and has is not None and has < wanted:
        return f"its context is {has} tokens, {wanted} are wanted"
    if query.max_size_mb is not None and candidate.size_mb > query.max_size_mb:
        return f"it takes {candidate.size_mb} MiB, at most {query.max_size_mb} are wanted"
    return None


def _task_fit(query: EngineQuery, candidate: Candidate) -> float:
    exact = query.task_type in (*candidate.task_types, *candidate.tags)
    return 1.0 if exact else max((_STANDS_IN.get((t, query.task_type), 0.0) for t in candidate.task_types), default=0.0)


def _score(query: EngineQuery, candidate: Candidate, busiest: int) -> tuple[float, list[str]]:
    """Task 0.5, staying on this machine 0.2, size 0.2 (larger models answer better), being used 0.1."""
    task = _task_fit(query, candidate)
    size = min(1.0, candidate.size_mb / 4096) if candidate.kind == "local" else 1.0
    used = candidate.usage_count / busiest if busiest else 0.0
    reasons = [f"made for {query.task_type}" if task == 1 else f"can stand in for {query.task_type}"]
    reasons.append(
        f"runs here in {candidate.size_mb} MiB" if candidate.kind == "local" else "a program of this machine"
    )
    if candidate.usage_count:
        reasons.append(f"used {candidate.usage_count} times")
    return 0.5 * task + 0.2 * (candidate.kind == "local") + 0.2 * size + 0.1 * used, reasons


def _nothing_fits(query: EngineQuery, judged: Sequence[EngineCandidate]) -> str:
    if not judged:
        return "There is no model and no program here yet; GET /hermes/catalog lists models that can be pulled."
    closest = "; ".join(f"{one.name}: {one.excluded_because}" for one in judged[:5])
    return f"No engine fits {query.task_type}. {closest}."
