"""End-to-end tests with real clients, a real mitmdump and a scripted provider."""
