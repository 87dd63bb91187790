"""The machines of calls whose response is not repaired."""
