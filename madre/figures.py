"""What is measured of every service: samples come in, figures of the last minute go out. Pure.

A service that was not in the last sample is forgotten, because it sleeps; one whose counters fell has begun anew,
and what was known of the life before is forgotten too. One that is younger than a minute is taken to have counted from
nothing at its start, so that what a short life did is not overlooked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from config.contracts.power import ServiceFigures, ServiceTraffic, ServiceUsage
from madre.drivers import Usage
from madre.traffic import Traffic, between, quantile

OVER_SEC = 60.0
S = TypeVar("S")


class Track(Generic[S]):
    """The samples of one service and one kind: as many as reach back a minute, each with its monotonic time.

    `counted` is a counter in them, `nothing` a sample like another of which everything counted is 0.
    """

    def __init__(self, counted: Callable[[S], float], nothing: Callable[[S], S]) -> None:
        self._counted = counted
        self._nothing = nothing
        self._samples: deque[tuple[float, S]] = deque()

    def add(self, sample: S, at: float, age: float | None) -> None:
        """Take a sample of a life that is `age` seconds old; a counter below the last one's is a new life's."""
        if self._samples and self._counted(sample) < self._counted(self._samples[-1][1]):
            self._samples.clear()
        if not self._samples and age is not None and 0 < age <= OVER_SEC:
            self._samples.append((at - age, self._nothing(sample)))
        self._samples.append((at, sample))
        while len(self._samples) > 2 and self._samples[1][0] <= at - OVER_SEC:
            self._samples.popleft()

    @property
    def latest(self) -> S:
        """The last sample; there is one."""
        return self._samples[-1][1]

    @property
    def stretch(self) -> tuple[float, S, S] | None:
        """Seconds between the oldest and the last sample, and both; None while there is but one."""
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return (ended - began, first, last) if ended > began else None


class Figures:
    """The tracks of all services; `limits_mb` is what each may take where no driver enforces another limit."""

    def __init__(self, limits_mb: Mapping[str, float]) -> None:
        self._limits_mb = limits_mb
        self._usage: dict[str, Track[Usage]] = {}
        self._traffic: dict[str, Track[Traffic]] = {}
        self._moved: Mapping[str, tuple[int, int]] = {}

    def took(self, usage: Mapping[str, Usage], at: float, ages: Mapping[str, float]) -> None:
        """Take in what every running service takes now; `ages` says for how many seconds each has run."""
        for service in _kept(self._usage, usage):
            track = self._usage.setdefault(service, Track(lambda one: one.cpu_sec, lambda _: Usage(0.0, 0.0)))
            track.add(usage[service], at, ages.get(service))

    def answered(self, traffic: Mapping[str, Traffic], at: float, ages: Mapping[str, float]) -> None:
        """Take in what every service that says so has answered until now."""
        for service in _kept(self._traffic, traffic):
            track = self._traffic.setdefault(service, Track(lambda one: one.requests, lambda one: one.nothing))
            track.add(traffic[service], at, ages.get(service))

    def moved(self, moved: Mapping[str, tuple[int, int]]) -> None:
        """Take in what services say they read from and wrote to storage, for where the driver cannot tell."""
        self._moved = moved

    @property
    def usage(self) -> dict[str, Usage]:
        """The last sample of what each service takes."""
        return {name: self._with_bytes(name, track.latest) for name, track in self._usage.items()}

    @property
    def limits_mb(self) -> dict[str, float]:
        """What each service may take, MiB; the driver's word counts where there is one."""
        enforced = {name: one.memory_limit_mb for name, one in self.usage.items() if one.memory_limit_mb}
        return {**self._limits_mb, **enforced}

    @property
    def traffic(self) -> dict[str, Traffic]:
        """The last sample of what each service has answered since it began."""
        return {name: track.latest for name, track in self._traffic.items()}

    def of(self, service: str) -> ServiceFigures:
        """Everything known of `service`."""
        usage, traffic = self._usage.get(service), self._traffic.get(service)
        return ServiceFigures(
            usage=_usage(usage, self.usage[service], self.limits_mb[service]) if usage else None,
            traffic=_traffic(traffic) if traffic else None,
        )

    def _with_bytes(self, service: str, usage: Usage) -> Usage:
        if usage.read_bytes is not None or service not in self._moved:
            return usage
        read, written = self._moved[service]
        return replace(usage, read_bytes=read, written_bytes=written)


def _kept(tracks: dict[str, Track[S]], samples: Mapping[str, S]) -> Iterable[str]:
    """The services of `samples`; the tracks of all others are dropped."""
    for gone in tracks.keys() - samples.keys():
        del tracks[gone]
    return samples.keys()


def _usage(track: Track[Usage], now: Usage, limit_mb: float) -> ServiceUsage:
    stretch = track.stretch
    share = None if stretch is None else (stretch[2].cpu_sec - stretch[1].cpu_sec) / stretch[0]
    return ServiceUsage(
        cpu_sec=now.cpu_sec,
        cpu_percent=None if share is None else round(100 * share, 1),
        memory_mb=now.memory_mb,
        memory_limit_mb=limit_mb,
        read_bytes=now.read_bytes,
        written_bytes=now.written_bytes,
    )


def _traffic(track: Track[Traffic]) -> ServiceTraffic | None:
    if track.stretch is None:
        return None
    over_sec, first, last = track.stretch
    seen = between(first, last)
    return ServiceTraffic(
        over_sec=round(over_sec, 1),
        requests=seen.requests,
        errors=seen.errors,
        p50_ms=_ms(quantile(seen.answers, 0.5)),
        p99_ms=_ms(quantile(seen.answers, 0.99)),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
