"""The configuration: one TOML file, and where its secrets are."""

from .file import Config, LockConfig, load_config

__all__ = ["Config", "LockConfig", "load_config"]
