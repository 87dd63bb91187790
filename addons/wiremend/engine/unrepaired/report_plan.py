"""Planning a call in report mode: it is sent where it is routed, and passes unchanged otherwise.

Routes and keys are configuration and no rules, so they apply. Everything that rules would do to the
request is only recorded.
"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace

from wiremend.engine.call import Call
from wiremend.engine.plan import CONCERNS_ANY_CALL, plan_call, plan_passing
from wiremend.engine.settings import Feature, Knowledge, Settings
from wiremend.engine.unrepaired.reporting import as_reported
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import Finding

OBSERVED = frozenset({Feature.ROUTE, Feature.ADAPT, Feature.REPAIR, Feature.RAISE})
"""The features whose findings are recorded. Retries find nothing in traffic."""


def plan_reporting(
    received: OutgoingRequest, features: Set[Feature], settings: Settings, knowledge: Knowledge
) -> Call | None:
    """Plan a model call that only the configuration of routes changes; arguments as in `plan_call`.

    A call that is translated cannot pass unchanged: it is planned as in repair mode. There is one
    target, since a fallback would be a retry.
    """
    routed = plan_call(received, features & {Feature.ROUTE}, settings, knowledge)
    if routed is None and not features & CONCERNS_ANY_CALL:
        return None
    if routed is not None and routed.refusal is not None:
        return routed
    if routed is not None and routed.targets[0].translation is not None:
        return plan_call(received, features, settings, knowledge)
    call = plan_passing(received, settings)
    done: Sequence[Finding] = ()
    if routed is not None:
        done = routed.findings
        call = replace(call, requests=routed.requests[:1], targets=routed.targets[:1])
    faults: list[Fault] = []
    observed = contain(
        "observing a request", faults.append, _observed, received, features, settings, knowledge
    )
    if observed is None:
        return replace(call, findings=tuple(done), faults=tuple(faults))
    if observed.adapted is not None:
        faults += observed.adapted.faults
    # With one target, one key and one attempt, a failure leads to nothing more.
    target = replace(observed.targets[0], keys=None, retry=None, health=None)
    only = replace(observed, requests=observed.requests[:1], targets=(target,), adapted=None)
    findings = (*done, *_reported(observed.findings, done))
    return replace(call, findings=findings, faults=tuple(faults), observed=only)


def _observed(
    received: OutgoingRequest, features: Set[Feature], settings: Settings, knowledge: Knowledge
) -> Call | None:
    # A conversation is not adapted, so nothing may be remembered of how it was.
    known = Knowledge(lessons=knowledge.lessons)
    return plan_call(received, features & OBSERVED, settings, known)


def _reported(findings: Sequence[Finding], done: Sequence[Finding]) -> list[Finding]:
    """Return the findings, without those of what was done, as findings that changed nothing."""
    rest = Counter(done)
    reported = []
    for finding in findings:
        if rest[finding]:
            rest[finding] -= 1
        else:
            reported.append(as_reported(finding))
    return reported
