"""The only reader of the environment: every setting, once, with its default and what it is for.

Settings are frozen and passed to what needs them; nothing else looks at `os.environ`. Each group has
its own prefix, so the names people rely on (`VX11_POWER_WAKE_TTL_SEC`) stay flat.
`./vx11 doctor --settings` prints this file as a table.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.services import service_named

PortOffset = Annotated[int, Field(ge=0, le=65_535 - 8_020)]  # 8020: the highest port of the house
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

_OPEN_DOORS = frozenset({"tentaculo_link"})
_EVERY_IPV4 = "0.0.0.0"  # noqa: S104  # only inside a container
_EVERY_ADDRESS = frozenset({_EVERY_IPV4, "::"})


def _group(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(
        env_prefix=prefix,
        env_ignore_empty=True,  # `VX11_TOKEN=` in a file means unset
        hide_input_in_errors=True,  # the input may be a token
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )


class PowerSettings(BaseSettings):
    """Power windows: who may wake what, and for how long."""

    model_config = _group("VX11_POWER_")

    driver: Literal["process", "compose", "swarm", "noop"] = Field(
        default="process", description="What starts and stops services."
    )
    project: str = Field(
        default="vx11",
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="Name of the Compose project, or of the Swarm stack, whose containers are the services.",
    )
    compose_file: Path = Field(
        default=Path("docker-compose.yml"), description="The file that declares the services' containers."
    )
    engine: str = Field(
        default="unix:///var/run/docker.sock",
        pattern=r"^(unix:///|tcp://)[^\s?#]+$",
        description="Where Docker's engine, or a filter before it, is spoken to.",
    )
    gate: Path = Field(
        default=Path("/run/engine/docker.sock"), description="Where the gate before the engine listens (its overlay)."
    )
    policy: Literal["solo_madre", "full"] = Field(
        default="solo_madre", description="The first policy of a new database."
    )
    wake: Literal["auto", "manual"] = Field(
        default="auto", description="Whether a request may wake a sleeping service."
    )
    wake_ttl_sec: Seconds = Field(default=600, description="How long a woken service stays up after its last use.")
    window_max_sec: Seconds = Field(
        default=86_400, description="The cap on a window's life, however often it is extended."
    )
    memory_mb: int | None = Field(
        default=None,
        ge=64,
        description="Budget of the services' processes, MiB; unset: a quarter of the machine's memory.",
    )
    windows_timeout_sec: Seconds = Field(default=30, description="How long one try to bring a service up may take.")
    windows_ttl_check_interval: Seconds = Field(default=1, description="Seconds between two reconciler ticks.")
    windows_enabled: bool = Field(default=True, description="Whether windows may be opened at all.")
    windows_core_mode: bool = Field(
        default=False,
        description="Whether madre brings the gateway back when it was stopped, by hand too; else that is left to "
        "what started the fleet.",
    )
    figures_sec: Seconds = Field(
        default=15, description="Seconds between two measurements of what services take and how they answer."
    )


class GatewaySettings(BaseSettings):
    """The front door's limits."""

    model_config = _group("VX11_GATEWAY_")

    rate_per_sec: Seconds = Field(default=200, description="Requests a second that one token may make, sustained.")
    rate_burst: Count = Field(default=400, description="Requests that one token may make at once, above the rate.")
    max_body_mb: Count = Field(default=16, description="The largest body the door takes, MiB; above: 413.")


class SwitchSettings(BaseSettings):
    """Local models: how many, how large, how long."""

    model_config = _group("VX11_SWITCH_")

    model_ttl_sec: Seconds = Field(default=300, description="How long an idle model stays in memory.")
    context_tokens: Annotated[int, Field(ge=256)] = Field(
        default=4096,
        description="Context per conversation, tokens; a model trained for less gets what it was trained for.",
    )
    parallel: Annotated[int, Field(ge=1, le=32)] = Field(
        default=4, description="Conversations one model serves at once."
    )
    batch_tokens: Annotated[int, Field(ge=32, le=2048)] = Field(
        default=256, description="Tokens in one decode call; a dropped client frees the CPU within one of these."
    )
    decode_threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads that generate, at most; unset: one a core, fewer while others need cores.",
    )
    prompt_threads: int | None = Field(
        default=None, ge=1, description="Threads that read prompts, at most; unset: one a core."
    )
    load_timeout_sec: Seconds = Field(default=120, description="How long loading one model may take.")
    cooldown_sec: Seconds = Field(default=30, description="How long a model that failed to load is left alone.")
    stall_sec: Seconds = Field(
        default=60, description="How long a worker may show no progress before it counts as hung and is killed."
    )
    max_waiting: Count = Field(default=256, description="Requests that may wait for one model before 429.")
    max_waiting_tokens: Count = Field(
        default=1_000_000, description="Tokens, prompts and expected answers, that may wait for one model before 429."
    )
    cores: int | None = Field(
        default=None, ge=1, description="Models that may compute at once; unset: one a core of this machine."
    )
    memory_mb: int | None = Field(
        default=None,
        ge=256,
        description="What the container of switch may take, models included, MiB; unset: all of the machine.",
    )
    turn_sec: Seconds = Field(
        default=2, description="How long a model keeps a core before it takes no newcomers while other models wait."
    )
    pinned: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Models that are loaded at start and stay in memory, separated by commas."
    )
    model_ttls: Annotated[dict[str, float], NoDecode] = Field(
        default_factory=dict, description="Idle times of single models, seconds: `name=60,other=3600`."
    )
    prefix_ram_mb: Annotated[int, Field(ge=0)] = Field(
        default=64,
        description="RAM for prompts a model has read, MiB, part of its reservation; 0: it remembers and shares none.",
    )
    prefix_disk_mb: Annotated[int, Field(ge=0)] = Field(
        default=1024,
        description="Disk on which prompts outlive the model in memory, MiB for all models; 0: none are written.",
    )
    providers_file: Path | None = Field(
        default=None,
        description="Where providers by URL are declared (TOML, mode 0600 for keys); unset: data/providers.toml.",
    )
    program_timeout_sec: Seconds = Field(default=120, description="How long a command-line program may take to answer.")
    fluzo_sec: Seconds = Field(default=2, description="Seconds between two looks at the machine's signals.")
    parallel_tasks: Count = Field(default=2, description="Tasks of /switch/task that are answered at once.")

    @field_validator("pinned", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("model_ttls", mode="before")
    @classmethod
    def _times(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = (entry.partition("=") for entry in value.split(",") if entry.strip())
        return {name.strip(): seconds.strip() for name, _, seconds in pairs}


class HermesSettings(BaseSettings):
    """The model registry's limits."""

    model_config = _group("VX11_HERMES_")

    free_space_mb: Annotated[int, Field(ge=0)] = Field(
        default=512, description="Disk space a download must leave free, MiB."
    )
    parallel_downloads: Count = Field(default=2, description="Downloads that run at once; more wait.")
    chunk_kb: Annotated[int, Field(ge=64)] = Field(default=1024, description="Bytes written at a time, KiB.")
    allow_file_sources: bool = Field(default=True, description="Whether `file:` sources may be registered.")
    hf_endpoint: str = Field(
        default="https://huggingface.co",
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
        description="Where `hf:` sources come from: the Hugging Face Hub, or a mirror of it.",
    )
    hf_token: SecretStr | None = Field(
        default=None, description="Token for the Hub's gated and private models; sent to hf_endpoint and nowhere else."
    )
    look_timeout_sec: Seconds = Field(
        default=20, description="How long looking at a model before its download may take, in all."
    )
    look_max_mb: Count = Field(
        default=64,
        description="How much of a file is read at most to find its header, MiB; larger headers are refused.",
    )
    catalogue_file: Path | None = Field(
        default=None, description="A catalogue of your own beside the built-in one (JSON, same form); read on change."
    )
    programs_file: Path | None = Field(
        default=None, description="Command-line AI programs of your own (JSON, form of hermes/programs.json)."
    )
    discover_timeout_sec: Seconds = Field(default=10, description="How long one tier of a discovery may take.")
    web_discovery: bool = Field(default=True, description="Whether a discovery may search the Hub when asked to.")
    web_results: Annotated[int, Field(ge=1, le=50)] = Field(
        default=10, description="How many repositories a search of the Hub brings."
    )
    program_timeout_sec: Seconds = Field(default=120, description="How long a command-line program may run at most.")
    program_output_kb: Count = Field(default=1024, description="How much a command-line program may say, KiB.")


class SpawnerSettings(BaseSettings):
    """What daughter tasks may take, and how many there may be."""

    model_config = _group("VX11_SPAWNER_")

    at_once: Annotated[int, Field(ge=1, le=64)] = Field(
        default=8, description="Daughters at once while Switch sleeps; awake, its fluzo says 2, 5 or 10."
    )
    max_waiting: Count = Field(default=500, description="Jobs that may wait; more are told to come back later.")
    max_waiting_per_user: Count = Field(default=100, description="Of these, jobs of one user.")
    max_depth: Count = Field(default=4, description="How many generations a family of jobs may have.")
    memory_mb: Annotated[int, Field(ge=16)] = Field(
        default=128, description="Memory of an attempt, unless the job says, MiB."
    )
    processes: Count = Field(default=16, description="Processes and threads of an attempt, unless the job says.")
    disk_mb: Count = Field(default=256, description="What the folder of an attempt may gain, unless the job says, MiB.")
    output_kb: Count = Field(default=1024, description="Output kept of an attempt, head and tail together, KiB.")
    files: Count = Field(default=256, description="Files an attempt may have open.")
    file_mb: Count = Field(default=64, description="How large a file of an attempt may get, MiB.")
    most: Annotated[float, Field(ge=1)] = Field(
        default=8, description="How many times these limits a job may ask for, or a retry be given."
    )
    backoff_sec: Annotated[float, Field(ge=0)] = Field(
        default=1, description="Unit of the wait before retry n: min(300, 2^n) of it, give or take."
    )
    weak_isolation: bool = Field(
        default=False,
        description="Whether others than admins may run daughters where they cannot be kept from the fleet's files.",
    )
    keep_days: Count = Field(default=7, description="Days that folders and output of ended jobs are kept.")


class MadreSettings(BaseSettings):
    """Conversations, and what one person may ask of madre at once; autonomy's pace."""

    model_config = _group("VX11_MADRE_")

    conversation_ttl_sec: Seconds = Field(
        default=86_400, description="How long a conversation that nobody goes on with is remembered."
    )
    conversation_turns: Count = Field(default=40, description="How many of its newest turns a conversation keeps.")
    conversations_per_user: Count = Field(
        default=100, description="Conversations of one user; the longest unused goes when one more begins."
    )
    context_chars: Annotated[int, Field(ge=0)] = Field(
        default=6_000, description="How much of a conversation a model is told, characters, newest turns first."
    )
    parallel_per_user: Count = Field(
        default=4, description="Sentences and intents of one user that are at work at once; above: 429."
    )
    sentences_per_min: Count = Field(default=60, description="Sentences and intents a minute of one user; above: 429.")
    answer_wait_sec: Seconds = Field(
        default=110, description="How long a call waits for its answer; later it is had by its correlation id."
    )
    confirm_ttl_sec: Seconds = Field(default=600, description="How long a token lets a waiting plan be confirmed.")
    waiting_max_sec: Seconds = Field(
        default=86_400, description="How long a plan waits for its confirmation before it is cancelled."
    )
    open_plans_per_user: Count = Field(default=50, description="Plans of one user that wait or run; above: 429.")
    autonomy_interval_sec: Seconds = Field(default=30, description="Seconds between two ticks of autonomy.")
    autonomy_acts_per_hour: Annotated[int, Field(ge=0)] = Field(
        default=6, description="What autonomy may delegate in an hour."
    )
    autonomy_cooldown_sec: Seconds = Field(
        default=900, description="How long autonomy leaves a finding alone after it did something about it."
    )


class RetentionSettings(BaseSettings):
    """How many days rows are kept, table by table; maintenance deletes older ones."""

    model_config = _group("VX11_RETENTION_")

    profile: Literal["standard", "low_power"] = Field(
        default="standard",
        description="`low_power` keeps what is written again and again (30 days or less) for 7 days, unless a table's "
        "own term is set.",
    )

    audit_logs_days: Count = Field(default=90, description="The audit trail.")
    cli_usage_stats_days: Count = Field(default=30, description="What command-line programs were used for.")
    events_days: Count = Field(default=30, description="The event journal.")
    fluzo_signals_days: Count = Field(default=14, description="How the machine was, minute by minute.")
    ia_decisions_days: Count = Field(default=30, description="Which AI answered, and what else was there.")
    intents_log_days: Count = Field(default=30, description="What was read out of sentences.")
    model_usage_stats_days: Count = Field(default=90, description="What models were used for.")
    plans_days: Count = Field(default=90, description="Plans that are over, with their steps and confirmations.")
    power_events_days: Count = Field(default=30, description="What power did.")
    provider_stats_days: Count = Field(default=400, ge=31, description="Days of providers; budgets need a month.")
    rails_events_days: Count = Field(default=30, description="What the rails refused or raised.")
    routing_events_days: Count = Field(default=30, description="Why a model or provider was chosen.")
    scheduler_history_days: Count = Field(default=30, description="Autonomy, tick by tick.")
    switch_queue_v2_days: Count = Field(default=30, description="The lives of requests, and what tasks answered.")
    tasks_days: Count = Field(default=30, description="What madre was asked, and what came of it.")


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = _group("VX11_")

    token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("VX11_TOKEN", "VX11_TENTACULO_LINK_TOKEN"),
        description="The admin token; unset: the one in data/runtime/admin.token, made at first start.",
    )
    database_url: str | None = Field(default=None, description="SQLAlchemy URL; unset: SQLite at data/runtime/vx11.db.")
    data_path: Path = Field(default=Path("data"), description="Where everything that must survive is kept.")
    models_path: Path = Field(default=Path("models"), description="Where model files are kept.")
    secrets_path: Path | None = Field(
        default=None,
        description="Where `admin.token` and `service.key` are, the same for every service; unset: data/runtime.",
    )
    model_memory_mb: int | None = Field(
        default=None, ge=64, description="Memory for models, MiB; unset: 60 % of what the host or container has."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )
    bind: str = Field(
        default="127.0.0.1",
        description="Address the door listens on; with containers, the host's address that it is published on.",
    )
    port_offset: PortOffset = Field(
        default=0, description="Added to every port, so that two fleets fit on one machine."
    )
    service_hosts: Literal["loopback", "names"] = Field(
        default="loopback", description="How services find each other: on this host, or by name (containers)."
    )
    allow_service_control: bool = Field(
        default=False, description="Whether single services may be started and stopped."
    )
    power: PowerSettings = Field(default_factory=PowerSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    switch: SwitchSettings = Field(default_factory=SwitchSettings)
    hermes: HermesSettings = Field(default_factory=HermesSettings)
    spawner: SpawnerSettings = Field(default_factory=SpawnerSettings)
    madre: MadreSettings = Field(default_factory=MadreSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        text = "unset" if token is None else token.get_secret_value()
        if not (text and text.isascii() and text.isprintable() and text == text.strip()):
            raise ValueError("VX11_TOKEN is sent in a header: plain ASCII, no space at either end")
        return token

    @property
    def prefixes_path(self) -> Path:
        """Saved states of prompts; each worker makes it, for its user only."""
        return self.data_path / "prefixes"

    @property
    def runtime_path(self) -> Path:
        """The folder of the database, keys, sockets and pid files; made 0700 by who first needs it."""
        return self.data_path / "runtime"

    @property
    def logs_path(self) -> Path:
        """The folder of what each service prints."""
        return self.data_path / "logs"

    @property
    def spawner_path(self) -> Path:
        """The folder of daughters: what they work in and what they said."""
        return self.data_path / "spawner"

    @property
    def backups_path(self) -> Path:
        """The folder of database backups."""
        return self.data_path / "backups"

    @property
    def resolved_database_url(self) -> str:
        """The database in use, as a SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.runtime_path.absolute() / 'vx11.db'}"

    def port_of(self, service: str) -> int:
        """The TCP port that `service` listens on."""
        return service_named(service).port + self.port_offset

    def listens_on(self, service: str) -> str:
        """The address that `service` listens on. On one host only the door is ever open to others; in a container every
        service listens to its own network, and what the container publishes decides who else comes in."""
        if self.service_hosts == "names":
            return _EVERY_IPV4
        return self.bind if service in _OPEN_DOORS else "127.0.0.1"

    def url_of(self, service: str) -> str:
        """The base URL under which `service` is reached from another service."""
        host = service
        if self.service_hosts == "loopback":
            listening = self.listens_on(service)
            host = "127.0.0.1" if listening in _EVERY_ADDRESS else listening
        return f"http://{host}:{self.port_of(service)}"


def load_settings() -> Settings:
    """Read the environment (and a `.env` in the working directory, where there is one), once per process."""
    groups: dict[str, Any] = {
        name: field.annotation(_env_file=".env")
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings)
    }
    return Settings(_env_file=".env", **groups)  # type: ignore[call-arg]  # pydantic-settings' own parameter


def inherited_environment() -> dict[str, str]:
    """The environment to hand on to a child process, as it is; for starting one, not for reading."""
    return dict(os.environ)
