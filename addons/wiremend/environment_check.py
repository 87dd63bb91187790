"""Ends the program with one sentence if its environment lacks what wiremend needs.

Importing this module checks that. Programs import it before the rest, whose imports would fail with
a traceback.
"""

import sys

from wiremend.requirements import problem_with_environment

if problem := problem_with_environment():
    sys.exit(problem)
