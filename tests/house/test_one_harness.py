"""There is one harness, `wiremend.testing`, and one copy of the library in a process of tests."""

import ast
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from traffic.proxy import Proxy
from wiremend.testing import proxy

TESTS = Path(__file__).resolve().parents[1]
SIGNS: dict[str, str] = {
    "mitmproxy as a process": r"\bmitm(dump|web)\"",
    "a server": r"\b(create_server|start_server|\w*HTTPServer|\w*TCPServer)\(|\.listen\(",
    "the server's side of TLS": r"PROTOCOL_TLS_SERVER|CLIENT_AUTH|load_cert_chain|server_side",
    "certificates": r"\b(CertificateBuilder|trustme|generate_private_key|create_store)\b",
}
EXCEPTIONS: dict[str, tuple[str, ...]] = {
    # Their subject is the command itself: what a user types, its output and its exit status.
    "config/test_page.py": ("mitmproxy as a process",),
    "installation/test_installation.py": ("mitmproxy as a process",),
    "installation/offline_environment.py": ("mitmproxy as a process",),
    "installation/test_startup_hook.py": ("mitmproxy as a process",),
    "launch/test_command_line.py": ("mitmproxy as a process",),
    "launch/test_mitmproxy_options.py": ("mitmproxy as a process",),
    "launch/test_unusable_environments.py": ("mitmproxy as a process",),
    "scripts/test_environment.py": ("mitmproxy as a process",),
    "scripts/test_scripts.py": ("mitmproxy as a process", "a server"),  # and a company's proxy
    # Proxies that end while they start; `Proxy` waits for its port.
    "traffic/operation/test_loading.py": ("mitmproxy as a process",),
    "seam/process/test_own_authority.py": ("mitmproxy as a process",),
    # `Proxy` starts it; its subject is what mitmweb shows, and mitmdump without a port.
    "traffic/web.py": ("mitmproxy as a process",),
    "traffic/operation/test_mitmweb.py": ("mitmproxy as a process",),
    # mitmdump without the addons, which reads a file and ends.
    "traffic/operation/test_read_without_addons.py": ("mitmproxy as a process",),
    # What the CA for users can sign, in a handshake without sockets.
    "launch/test_authority.py": ("the server's side of TLS",),
    # A web site with a page for Chromium.
    "traffic/access/test_web_page.py": ("a server",),
    # Sockets that asyncio reads and writes, without a protocol.
    "seam/test_connection_handler.py": ("a server",),
    "seam/process/test_open_files.py": ("a server",),
    # Raw bytes in small pieces, for the load client in C.
    "bench/test_native.py": ("a server",),
    # A collector of spans, to which the exporter of OpenTelemetry posts in plain HTTP.
    "traffic/operation/test_telemetry.py": ("a server",),
    # A meeting point of processes.
    "testing/test_plugin.py": ("a server",),
}
"""What other modules contain, and why."""


def modules() -> list[Path]:
    return [path for path in sorted(TESTS.rglob("*.py")) if path != Path(__file__)]


def test_no_module_starts_a_proxy_or_a_server_of_its_own() -> None:
    found = {
        str(path.relative_to(TESTS)): signs
        for path in modules()
        if (signs := tuple(name for name, sign in SIGNS.items() if has(path, sign)))
    }
    assert found == EXCEPTIONS


def has(path: Path, sign: str) -> bool:
    return re.search(sign, path.read_text()) is not None


def test_no_module_defines_a_proxy_or_provider() -> None:
    defined = {
        f"{path.relative_to(TESTS)}: {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and re.search("(Proxy|Provider|Authority)$", node.name)
    }
    assert defined == {"traffic/proxy.py: Proxy"}
    assert issubclass(Proxy, proxy.Proxy)


def test_no_module_imports_the_library_again(first_imported_library: ModuleType) -> None:
    """The classes of a second copy are others: `isinstance` then fails in later tests."""
    assert sys.modules["wiremend"] is first_imported_library


@pytest.mark.parametrize(
    ("sign", "code"),
    [
        ("mitmproxy as a process", 'subprocess.Popen([bin / "mitmdump", "-q"])'),
        ("a server", "ThreadingHTTPServer(address, Handler)"),
        ("a server", 'socket.create_server(("127.0.0.1", 0))'),
        ("the server's side of TLS", "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)"),
        ("certificates", "x509.CertificateBuilder()"),
    ],
)
def test_a_sign_is_found(sign: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(f"def test_it():\n    {code}\n")
    assert has(path, SIGNS[sign])
