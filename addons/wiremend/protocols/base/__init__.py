"""What every protocol provides, and what the protocols share."""
