"""All addons, in the order in which their hooks run. `mitmdump -s addons/` loads this file.

A call passes through them from top to bottom: it is recognised, its request is adapted, it is sent
upstream with retries, its response is repaired, and the findings are shown.
"""

import sys
from pathlib import Path

# mitmproxy keeps imported modules when it reloads this file. Drop those of wiremend, so that a
# reload picks up edits. The library is beside this file in a checkout, elsewhere in a wheel.
_here = str(Path(__file__).resolve().parent)
for _name, _module in list(sys.modules.items()):
    _is_beside = str(getattr(_module, "__file__", None) or "").startswith(_here + "/")
    if _is_beside or _name.partition(".")[0] == "wiremend":
        del sys.modules[_name]

from answer_fire_and_forget import AnswerFireAndForget  # noqa: E402 - after dropping modules
from count_tokens import CountTokens  # noqa: E402
from explain_flows import ExplainFlows  # noqa: E402
from finish_calls import FinishCalls  # noqa: E402
from intercept_providers import InterceptProviders  # noqa: E402
from list_models import ListModels  # noqa: E402
from load_configuration import suite_of  # noqa: E402
from raise_wrapped_errors import RaiseWrappedErrors  # noqa: E402
from redact_secrets import RedactSecrets  # noqa: E402
from repair_streams import RepairStreams  # noqa: E402
from retry_upstream import RetryUpstream  # noqa: E402
from rewrite_models import RewriteModels  # noqa: E402
from sanitize_tools import SanitizeTools  # noqa: E402

addons = suite_of(
    InterceptProviders,
    FinishCalls,
    RewriteModels,
    CountTokens,
    ListModels,
    AnswerFireAndForget,
    RepairStreams,
    SanitizeTools,
    RaiseWrappedErrors,
    RetryUpstream,
    RedactSecrets,
    ExplainFlows,
)
