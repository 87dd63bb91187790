"""The library behind the addons: how a call travels through its packages.

A request, from the client to the provider:

    protocols.registry    which protocol it is; what is no model call is forwarded unchanged
    engine.plan           one frozen `Call`, made step by step from these:
        clients, targets      what is known about the client and the targets
        routing               the model, the provider, the fallbacks
        adapt.passes          the request as each target accepts it
    seam.stream_layer     takes the call over from mitmproxy and sends each attempt upstream

Its response, from the provider to the client:

    seam.stream_layer     passes bytes and failures to the machine, carries out its actions
    engine.call_machine   decides: hold, forward, retry, keep alive, end in an error
        engine.response_reader    decodes the body, recognises what it is
        repair.stream             one attempt's stream, from bytes to repaired events
        protocols.<name>.stream   repairs each event; `grammar` defines what is valid
    views                 attaches findings to the flow, redacts secrets

`text` and `rules` are used everywhere. `.github/CONTRIBUTING.md` has one line per package.
"""

__version__ = "0.1.0"
