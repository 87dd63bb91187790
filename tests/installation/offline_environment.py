"""Create an environment without downloads: `python offline_environment.py DIRECTORY`."""

import subprocess
import sys
import sysconfig
from pathlib import Path

MITMDUMP = """#!{python}
import sys
from mitmproxy.tools.main import mitmdump
sys.exit(mitmdump())
"""


def make(directory: Path) -> None:
    """Create an environment with all packages of the running one, except wiremend.

    A `.pth` file adds the site-packages of the running environment to `sys.path`. Python does not
    process `.pth` files in directories added that way, so the new environment has neither the
    editable install nor the start-up hook.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    packages = next(directory.glob("lib/python3*/site-packages"))
    (packages / "test_packages.pth").write_text(sysconfig.get_path("purelib"))
    program = directory / "bin" / "mitmdump"
    program.write_text(MITMDUMP.format(python=directory / "bin" / "python"))
    program.chmod(0o755)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
