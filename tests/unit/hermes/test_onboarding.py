"""How far a program got, by what was seen of it; and the files that declare programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.contracts.tools import ProgramEntry
from config.programs import ProgramResult, call_of
from hermes.onboarding import Evidence, standing_of, version_in
from hermes.providers import load_programs, parse_programs

ENTRY = load_programs()["codex"]
GOOD: dict[str, Any] = {"name": "mine", "title": "Mine", "argv": ["mine", "{prompt}"], "probe": ["mine", "-v"]}


def result(out: str = "", err: str = "", *, code: int = 0, timed_out: bool = False) -> ProgramResult:
    return ProgramResult(code, out.encode(), err.encode(), timed_out, truncated=False, seconds=1.0)


RESULTS = st.none() | st.builds(
    ProgramResult,
    code=st.integers(-15, 3),
    stdout=st.binary(max_size=40),
    stderr=st.binary(max_size=40),
    timed_out=st.booleans(),
    truncated=st.booleans(),
    seconds=st.floats(0, 10),
)


@given(
    st.booleans(), RESULTS, RESULTS, RESULTS, st.none() | st.just("KEY"), st.sampled_from([*load_programs().values()])
)
def test_no_step_goes_well_after_one_that_failed_and_every_obstacle_has_a_remedy(
    is_found: bool,
    probe: ProgramResult | None,
    authentication: ProgramResult | None,
    listing: ProgramResult | None,
    credential: str | None,
    entry: ProgramEntry,
) -> None:
    standing = standing_of(entry, Evidence(is_found, probe, authentication, listing, credential))
    outcomes = [step.outcome for step in standing.steps]
    assert [step.step for step in standing.steps] == ["found", "probed", "authenticated", "ready"]
    if "failed" in outcomes:
        after = outcomes[outcomes.index("failed") + 1 :]
        assert set(after) <= {"waiting"}
    assert (standing.state == "ready") == (standing.obstacle is None)
    if standing.obstacle is not None:
        assert standing.obstacle.hint
        assert standing.obstacle.detail


def test_a_variable_that_signs_it_in_counts_before_its_own_status() -> None:
    seen = Evidence(True, result("codex-cli 1.2.3"), result(err="Not logged in", code=1), None, "CODEX_API_KEY")
    assert (standing_of(ENTRY, seen).state, standing_of(ENTRY, seen).authentication) == ("ready", "yes")


def test_versions_are_found_among_words_and_colours() -> None:
    assert version_in(result("\x1b[32mtool\x1b[0m v1.2.3-beta.1 (abc)")) == "1.2.3-beta.1"
    assert version_in(result("", "2026.11")) == "2026.11"
    assert version_in(result("none")) is None


@pytest.mark.parametrize("name", load_programs())
def test_what_ships_is_documented_and_can_be_asked(name: str) -> None:
    entry = load_programs()[name]
    assert entry.documentation.startswith("https://")
    assert entry.install
    assert entry.login
    call = call_of(f"/bin/{name}", entry.argv, entry.model_argv, prompt="--help", model="m")
    assert "m" in " ".join(call.argv)
    assert (call.stdin is None) != ("{prompt}" not in " ".join(entry.argv))
    assert not any(part == "--help" for part in call.argv)


@pytest.mark.parametrize(
    "change",
    [
        {"argv": []},
        {"argv": ["sub/mine"]},
        {"argv": ["mine", "{prompt}", "{secret}"]},
        {"probe": ["mine", "{prompt}"]},
        {"listing": {"argv": ["mine"], "item": "no group"}},
        {"listing": {"argv": ["mine"], "item": "("}},
        {"authentication": {"argv": ["mine"], "says": "["}},
        {"environment": ["A=B"]},
        {"name": "../mine"},
        {"surprise": 1},
    ],
)
def test_a_declaration_that_is_none_is_a_value_error(change: dict[str, Any]) -> None:
    assert parse_programs(json.dumps({"programs": [GOOD]}))
    with pytest.raises(ValueError, match=r"\S"):
        parse_programs(json.dumps({"programs": [{**GOOD, **change}]}))
    with pytest.raises(ValueError, match="twice"):
        parse_programs(json.dumps({"programs": [GOOD, GOOD]}))
