"""Actions of the rooms around: looking for faults and drift, audio, the browser, telling people.

Resources: `incidents`, `drift`, `audio`, `network`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.auth import Scope
from madre.actions.action import Action, Arguments, Domain, Heard, Nothing, Risk, StepType

_Path = Annotated[str, Field(min_length=1, max_length=1024)]


class Notice(Arguments):
    """What people are to be told; empty: how the steps before went."""

    message: Annotated[str, Field(max_length=1000), Heard.TEXT] = ""


class PatchPlan(Arguments):
    """What the patch is to be about; empty: whatever drift was found."""

    scope: Annotated[str, Field(max_length=256)] = ""


class Audio(Arguments):
    """One audio file, relative to the workspace."""

    path: Annotated[_Path, Heard.FILE]


class Mix(Arguments):
    """The files to be mixed."""

    paths: Annotated[tuple[_Path, ...], Field(min_length=2, max_length=64), Heard.FILES]


class Convert(Audio):
    """One audio file, and the format it is to have."""

    format: Annotated[Literal["wav", "flac", "mp3", "ogg", "aiff"], Heard.CHOICE]


class Page(Arguments):
    """A page's address."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2048), Heard.URL]


ROWS = (
    Action(
        "comm.notify",
        Domain.OPERATOR,
        "Tell people something",
        Notice,
        Scope.CHAT,
        Risk.LOW,
        StepType.CALL_SWITCH,
        owner="switch",
        lane="comm/notify",
        says=("notify", "send message"),
    ),
    Action(
        "scan.run",
        Domain.HORMIGUERO,
        "Look for faults",
        Nothing,
        Scope.STATUS_READ,
        Risk.LOW,
        StepType.CALL_HORMIGUERO,
        owner="hormiguero",
        reads=("incidents", "machine"),
        finds=("incidents", "problems"),
        says=("scan", "scan system", "scan incidents", "scan problems", "show incidents"),
    ),
    Action(
        "scan.drift",
        Domain.SCAN,
        "Compare what is with the manifest",
        Nothing,
        Scope.STATUS_READ,
        Risk.LOW,
        StepType.CALL_MANIFESTATOR,
        owner="manifestator",
        reads=("drift",),
        lane="structure/fs_drift",
        finds=("drift",),
        says=("scan drift", "check drift", "show drift", "discover drift", "drift"),
    ),
    Action(
        "patch.plan",
        Domain.PATCH,
        "Draw up a patch for the drift that was found; applies nothing",
        PatchPlan,
        Scope.PLANS_WRITE,
        Risk.LOW,
        StepType.CALL_MANIFESTATOR,
        owner="manifestator",
        reads=("drift",),
        lane="structure/fs_drift",
        says=("prepare patch", "write patch", "prepare plan patch"),
    ),
    Action(
        "audio.analyze",
        Domain.AUDIO,
        "Measure an audio file",
        Audio,
        Scope.JOBS_WRITE,
        Risk.LOW,
        StepType.CALL_SHUB,
        owner="shub",
        reads=("audio",),
        lane="audio/analyze",
        says=("scan audio", "scan {path}", "check audio", "check {path}"),
    ),
    Action(
        "audio.master",
        Domain.AUDIO,
        "Master an audio file",
        Audio,
        Scope.JOBS_WRITE,
        Risk.MED,
        StepType.CALL_SHUB,
        owner="shub",
        reads=("audio",),
        writes=("audio",),
        lane="audio/master",
        says=("master", "master audio", "master {path}"),
    ),
    Action(
        "audio.mix",
        Domain.AUDIO,
        "Mix audio files into one",
        Mix,
        Scope.JOBS_WRITE,
        Risk.MED,
        StepType.CALL_SHUB,
        owner="shub",
        reads=("audio",),
        writes=("audio",),
        lane="audio/mix",
        says=("mix", "mix audio", "mix {paths}"),
    ),
    Action(
        "audio.restore",
        Domain.AUDIO,
        "Remove noise and faults from an audio file",
        Audio,
        Scope.JOBS_WRITE,
        Risk.MED,
        StepType.CALL_SHUB,
        owner="shub",
        reads=("audio",),
        writes=("audio",),
        lane="audio/restore",
        says=(
            "restore audio",
            "restore {path}",
            "clean audio",
            "clean {path}",
            "delete noise {path}",
            "clean noise {path}",
        ),
    ),
    Action(
        "audio.convert",
        Domain.AUDIO,
        "Write an audio file in another format",
        Convert,
        Scope.JOBS_WRITE,
        Risk.MED,
        StepType.CALL_SHUB,
        owner="shub",
        reads=("audio",),
        writes=("audio",),
        lane="audio/convert",
        says=("convert", "convert audio", "convert {path}"),
    ),
    Action(
        "browser.open",
        Domain.OPERATOR,
        "Look at a web page",
        Page,
        Scope.JOBS_WRITE,
        Risk.MED,
        StepType.CALL_BROWSER,
        owner="operator",
        reads=("network",),
        says=("open {url}", "visit {url}", "show {url}", "open page"),
    ),
)
