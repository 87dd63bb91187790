"""The machines of calls whose response is not repaired, and how such a call is planned."""
