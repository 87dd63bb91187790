"""The configuration file: finding, reading and validating it, and the consent to its content."""

from wiremend.config.load import ConfigError, find_config, load_config, parse_config
from wiremend.config.model import Config
from wiremend.config.providers import Provider
from wiremend.config.routes import ModelRoute

__all__ = [
    "Config",
    "ConfigError",
    "ModelRoute",
    "Provider",
    "find_config",
    "load_config",
    "parse_config",
]
