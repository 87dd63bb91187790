"""`--doctor`: examining what a call needs, and trying a command without reaching a provider."""
