"""The report on injected faults."""

from wiremend.views.fault_report import FaultReport


def test_a_report_without_a_chosen_fault_names_the_hosts_after_routing() -> None:
    report = FaultReport(calls=2, hosts=["llm.example.com"], faulty=[], without_effect={})
    first, second = report.lines()
    assert first == "injected into 0 of 2 calls"
    assert second.startswith("no fault was chosen: calls were sent to llm.example.com;")


def test_a_fault_that_had_no_effect_was_chosen() -> None:
    report = FaultReport(calls=1, hosts=["llm.example.com"], faulty=[], without_effect={1: 2})
    assert report.lines()[1:] == ["fault 1 had no effect on 2 answers"]
