"""Real clients, a real mitmdump, a scripted provider: what a client sees, byte for byte."""
