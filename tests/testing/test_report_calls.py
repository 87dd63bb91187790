"""What the script inside the proxy reports of a call."""

import orjson
from wiremend.call_record.kept_bytes import plain_body
from wiremend.call_record.schema import CallRecord
from wiremend.testing.inside_proxy.report_calls import _encoded


def test_the_bytes_of_kept_traffic_are_reported_unchanged() -> None:
    data = bytes(range(256))
    request = {"method": "POST", "url": "https://x/", "headers": [], "body": plain_body(data)}
    record = CallRecord.model_validate_json(
        orjson.dumps({"client_request": request}, default=_encoded)
    )
    assert record.client_request is not None
    assert record.client_request.body is not None
    assert record.client_request.body.data == data
    assert CallRecord.model_validate_json(record.model_dump_json()) == record
