"""Rows of jobs as the wire shows them. Pure."""

from __future__ import annotations

from config.contracts.spawning import Attempt, Daughter, Job
from config.db_schema.spawner import DaughterAttempt, DaughterRow, DaughterTask


def job_on_wire(row: DaughterTask) -> Job:
    """A job as lists show it."""
    return Job.model_validate(row, from_attributes=True)


def daughter_on_wire(row: DaughterRow) -> Daughter:
    """One life of a job."""
    return Daughter.model_validate(row, from_attributes=True)


def attempt_on_wire(row: DaughterAttempt) -> Attempt:
    """One try of a job."""
    return Attempt.model_validate(row, from_attributes=True)
