"""What a provider receives: the target, model, tools and messages of a request."""
