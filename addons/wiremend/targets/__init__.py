"""Facts about providers: one file per vendor, each with one `Vendor`; `registry` lists them.

A new fact is one edit in the vendor's file: a host, a requirement, a limit on names, the wording
of a rejection, an error number. A new vendor is one new file and one line in `registry.VENDORS`.
"""
