"""Pictures, each on axes that the caller owns."""
