"""What goes from Switch to a worker over stdin."""

import json

import pytest

from switch.worker.spec import BadSpecError, WorkerSpec, worker_environment

SPEC = WorkerSpec(model_path="m.gguf", model_name="m", socket_path="w.sock", aliases=("n",), n_ctx=64, n_seq_max=2)


def test_a_spec_survives_the_pipe() -> None:
    assert WorkerSpec.parse(SPEC.line()) == SPEC
    assert SPEC.line().count("\n") == 1


def test_memory_is_for_all_sequences_unless_said() -> None:
    assert SPEC.total_kv_tokens == 128
    assert WorkerSpec.parse(json.dumps({**json.loads(SPEC.line()), "kv_tokens": 100})).total_kv_tokens == 100


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n_ctx": "64"}, "n_ctx"),
        ({"n_ctx": True}, "n_ctx"),
        ({"n_ctx": 0}, "n_ctx"),
        ({"use_extra_bufts": 1}, "use_extra_bufts"),
        ({"aliases": "n"}, "aliases"),
        ({"chat_template": 1}, "chat_template"),
        ({"n_batch": 1}, "n_batch"),
        ({"kv_tokens": 10}, "kv_tokens"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_member_is_named(change: dict[str, object], reason: str) -> None:
    with pytest.raises(BadSpecError, match=reason):
        WorkerSpec.parse(json.dumps({**json.loads(SPEC.line()), **change}))


@pytest.mark.parametrize("line", ["", "nonsense", "[]", "null", '{"model_path": "m"}', b"\xff"])
def test_what_is_no_spec_is_said_so(line: str | bytes) -> None:
    with pytest.raises(BadSpecError):
        WorkerSpec.parse(line)


def test_the_environment_is_added_to_not_replaced() -> None:
    assert worker_environment({"HOME": "h"}).items() >= {"HOME": "h"}.items()


def test_threads_never_spin_for_minutes_whatever_the_host_prefers() -> None:
    told = worker_environment({"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "INFINITE"})
    assert "OMP_WAIT_POLICY" not in told
    assert told["GOMP_SPINCOUNT"].isdigit()
