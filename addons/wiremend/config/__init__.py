"""The configuration file: what may stand in it, and what is said when something else does."""

from wiremend.config.load import ConfigError, find_config, load_config, parse_config
from wiremend.config.model import Config, ModelRoute, Provider

__all__ = [
    "Config",
    "ConfigError",
    "ModelRoute",
    "Provider",
    "find_config",
    "load_config",
    "parse_config",
]
