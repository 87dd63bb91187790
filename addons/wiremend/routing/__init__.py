"""Which target a call goes to."""
