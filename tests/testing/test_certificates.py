"""Tests of the certificates of a test run."""

from pathlib import Path

from wiremend.testing.certificates import Authority


def test_certificates_for_the_same_host_have_files_of_their_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.leaf("api.example.com", "api.example.org")
    files = first.certificate_file.read_bytes(), first.key_file.read_bytes()
    second = authority.leaf("api.example.com")
    assert first.certificate_file != second.certificate_file
    assert (first.certificate_file.read_bytes(), first.key_file.read_bytes()) == files
    first.server_context()  # which refuses a key of another certificate


def test_a_certificate_may_be_for_all_names_in_a_domain(tmp_path: Path) -> None:
    assert Authority(tmp_path).leaf("*.example.com").certificate_file.is_file()
