"""Settings of single rooms, one group each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from config.settings.group import Count, Seconds, group


class PowerSettings(BaseSettings):
    """Power windows: who may wake what, and for how long."""

    model_config = group("VX11_POWER_")

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

    model_config = group("VX11_GATEWAY_")

    rate_per_sec: Seconds = Field(default=200, description="Requests a second that one token may make, sustained.")
    rate_burst: Count = Field(default=400, description="Requests that one token may make at once, above the rate.")
    max_body_mb: Count = Field(default=16, description="The largest body the door takes, MiB; above: 413.")
    sockets_per_user: Count = Field(default=16, description="WebSockets that one user may have open; above: 429.")


class SwitchSettings(BaseSettings):
    """Local models: how many, how large, how long."""

    model_config = group("VX11_SWITCH_")

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

    model_config = group("VX11_HERMES_")

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

    model_config = group("VX11_SPAWNER_")

    at_once: Annotated[int, Field(ge=1, le=64)] = Field(
        default=8, description="Daughters at once while Switch sleeps; awake, its fluzo says 2, 5 or 10."
    )
    max_waiting: Count = Field(default=500, description="Jobs that may wait; more are told to come back later.")
    max_waiting_per_user: Count = Field(default=100, description="Of these, jobs of one user.")
    max_depth: Count = Field(default=4, description="How many generations a family of jobs may have.")
    memory_mb: Annotated[int, Field(ge=16)] = Field(
        default=128, description="Memory of an attempt, unless the job says, MiB."
    )
    together_mb: Annotated[int, Field(ge=16)] | None = Field(
        default=None,
        description="Memory of all daughters together, MiB. Unset: what the container's limit leaves beside 256 MiB of "
        "spawner's own; without a container, half of the machine's.",
    )
    processes: Count = Field(default=16, description="Processes and threads of an attempt, unless the job says.")
    disk_mb: Count = Field(default=256, description="What the folder of an attempt may gain, unless the job says, MiB.")
    stored_mb: Count = Field(
        default=16_384, description="What daughters of all users may leave on the disk, workspaces included, MiB."
    )
    stored_mb_per_user: Count = Field(
        default=4096,
        description="Of this, one user's. What their ended jobs left makes room for a new try, oldest first.",
    )
    free_mb: Annotated[int, Field(ge=0)] = Field(
        default=512, description="What must stay free on the disk, MiB, or no try begins."
    )
    output_kb: Count = Field(default=1024, description="Output kept of an attempt, head and tail together, KiB.")
    files: Count = Field(default=256, description="Files an attempt may have open.")
    file_mb: Count = Field(default=64, description="How large a file of an attempt may get, MiB.")
    most: Annotated[float, Field(ge=1)] = Field(
        default=8, description="How many times these limits a job may ask for, or a retry be given."
    )
    backoff_sec: Annotated[float, Field(ge=0)] = Field(
        default=1, description="Unit of the wait before retry n: min(300, 2^n) of it, give or take."
    )
    isolation: Literal["quickest", "strongest"] = Field(
        default="quickest",
        description="Which way of isolating daughters is tried first: Landlock's, or sandlock's, which starts slower.",
    )
    weak_isolation: bool = Field(
        default=False,
        description="Whether others than admins may run daughters where they cannot be kept from the fleet's files.",
    )
    workspace_days: Annotated[int, Field(ge=2)] = Field(
        default=90, description="Days after its last use that a workspace may be removed; it is, once somebody says so."
    )
    keep_days: Count = Field(default=7, description="Days that folders and output of ended jobs are kept.")


class MadreSettings(BaseSettings):
    """Conversations, and what one person may ask of madre at once; autonomy's pace."""

    model_config = group("VX11_MADRE_")

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
