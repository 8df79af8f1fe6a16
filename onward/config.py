"""Settings: environment first, then `onward.toml` in the working directory, then defaults that work for one machine.

Every field is `ONWARD_<NAME>` in the environment; `DATABASE_URL` and `REDIS_URL` go without the prefix, as everywhere.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from kernel.proxies import networks
from kernel.redis import is_cluster
from onward.adapters.wake import wake_url
from onward.travel import routing_url

WakeUrl = Annotated[str, AfterValidator(wake_url)]
RoutingUrl = Annotated[str, AfterValidator(routing_url)]
Fsync = Literal["everysec", "always"]
SECRET_FILE_MODE = 0o600


def _proxies(written: str) -> str:
    networks(written)
    return written


Proxies = Annotated[str, AfterValidator(_proxies)]


class Settings(BaseSettings):
    """What an installation can set."""

    model_config = SettingsConfigDict(env_prefix="ONWARD_", toml_file="onward.toml", extra="forbid", frozen=True)

    database_url: str = Field(
        default="",
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="Your PostgreSQL 18. Empty: the embedded one, below data_dir.",
    )
    redis_url: str = Field(
        default="",
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
        description="Your Redis 7.2+ or Valkey 8+ (redis+cluster:// for a cluster). Empty: the embedded one.",
    )
    redis_replicas_ack: int | None = Field(
        default=None,
        ge=0,
        description="How many replicas have a fix before it is acknowledged; empty: 1 on a cluster, else 0.",
    )
    valkey_fsync: Fsync = Field(
        default="everysec", description="When the embedded Valkey's file goes to the disk: always is before the ack."
    )
    data_dir: Path = Field(default=Path(".onward"), description="Where servers, maps, proofs and the secret live.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    processes: int = Field(default=1, ge=1, le=64, description="How many server processes share the port.")
    public_url: str = Field(default="", description="How people reach this server; empty: as each request did.")
    trusted_proxies: Proxies = Field(
        default="127.0.0.0/8,::1",
        description="Networks of proxies in front, with commas: X-Forwarded-For and -Proto are believed of them.",
    )
    map_name: str = Field(
        default="", description="Which imported map to serve (`onward map list`); empty: the only one."
    )
    routing_url: RoutingUrl = Field(
        default="",
        description="A server for travel times: osrm+http://… or valhalla+http://…; empty: the map's streets.",
    )
    wake_url: WakeUrl = Field(
        default="", description="Is told (POST) which driver's phone to wake by a push; empty: nobody is."
    )
    style_url: str = Field(default="", description="A MapLibre style of your own instead of the imported map.")
    secret: str = Field(default="", description="Signs tracking links; empty: made once and kept below data_dir.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = Field(default=False, description="JSON lines instead of text for people.")
    database_connections_max: int = Field(default=12, ge=2, le=500, description="Per role (there are two).")
    rate_limits: bool = Field(default=True, description="Limit requests per caller.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def redis_replicas_min(self) -> int:
        """Return how many replicas must have a fix before it is acknowledged."""
        return int(is_cluster(self.redis_url)) if self.redis_replicas_ack is None else self.redis_replicas_ack

    def base_url(self) -> str:
        """Return how people reach this server, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    def signing_secret(self) -> bytes:
        """Return the installation's secret, making it on first use (readable by its owner alone)."""
        if self.secret:
            return self.secret.encode()
        file = self.data_dir / "secret"
        try:
            return file.read_bytes()
        except FileNotFoundError:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            file.touch(mode=SECRET_FILE_MODE)
            file.write_bytes(secrets.token_urlsafe(32).encode())
            return file.read_bytes()
