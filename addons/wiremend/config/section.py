"""A table of the configuration file."""

from pydantic import (
    BaseModel,
    ConfigDict,
)


class Section(BaseModel):
    """A table of the configuration. It is immutable and refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )
