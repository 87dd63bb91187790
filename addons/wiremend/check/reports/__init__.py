"""The formats of the report. `registry` lists them.

report.py    the interface
text.py      full, concise
json.py      json, json-lines
junit.py     junit
gitlab.py    gitlab
github.py    github
sarif.py     sarif
registry.py  the formats by name
"""
