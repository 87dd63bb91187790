"""Makes an environment that needs no downloads: `python tests/offline_environment.py DIRECTORY`."""

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
    """Make one with pip, mitmproxy and all else of this environment, except wiremend.

    Its `.pth` file names the packages of this environment. Python does not read `.pth` files there,
    and so neither finds an editable install nor runs the start-up hook.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    packages = next(directory.glob("lib/python3*/site-packages"))
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    program = directory / "bin" / "mitmdump"
    program.write_text(MITMDUMP.format(python=directory / "bin" / "python"))
    program.chmod(0o755)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
