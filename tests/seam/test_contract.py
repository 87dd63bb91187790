"""Every behaviour of mitmproxy that the seam relies on is mentioned beside its tests."""

import re
from pathlib import Path

from wiremend import seam


def test_every_contract_is_mentioned_in_a_test() -> None:
    listed = re.findall(r"^ ?(\d+)\. ", seam.__doc__ or "", re.MULTILINE)
    assert listed == [str(number) for number in range(1, len(listed) + 1)]
    assert len(listed) > 20
    texts = [path.read_text() for path in Path(__file__).parent.rglob("test_*.py")]
    mentions = re.findall(r"[Cc]ontracts? (\d+)(?: and (\d+))?", "\n".join(texts))
    assert set(listed) == {number for pair in mentions for number in pair if number}
