"""All addons, in the order in which their hooks run. `mitmdump -s addons/` loads this file.

A call passes through them from top to bottom: it is recognised, its request is adapted, it is sent
upstream with retries, its response is repaired, and the findings are shown.
"""

from admit_clients import AdmitClients
from answer_fire_and_forget import AnswerFireAndForget
from bound_flow_list import BoundFlowList
from count_tokens import CountTokens
from explain_flows import ExplainFlows
from export_telemetry import ExportTelemetry
from finish_calls import FinishCalls
from inject_faults import InjectFaults
from intercept_providers import InterceptProviders
from keep_traffic import KeepTraffic
from list_models import ListModels
from load_configuration import suite_of
from raise_wrapped_errors import RaiseWrappedErrors
from redact_secrets import RedactSecrets
from repair_streams import RepairStreams
from replay_recording import ReplayRecording
from resend_calls import ResendCalls
from retry_upstream import RetryUpstream
from rewrite_models import RewriteModels
from run_commands import RunCommands
from sanitize_tools import SanitizeTools
from show_calls import ShowCalls
from show_running import ShowRunning
from write_log import WriteLog

addons = suite_of(
    AdmitClients,
    InterceptProviders,
    ResendCalls,
    FinishCalls,
    ReplayRecording,
    RewriteModels,
    CountTokens,
    ListModels,
    AnswerFireAndForget,
    RepairStreams,
    SanitizeTools,
    RaiseWrappedErrors,
    RetryUpstream,
    InjectFaults,
    KeepTraffic,
    RedactSecrets,
    ExplainFlows,
    WriteLog,
    ExportTelemetry,
    ShowCalls,
    ShowRunning,
    BoundFlowList,
    RunCommands,
)
