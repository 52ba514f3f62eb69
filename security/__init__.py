"""What we judge: factors, sessions, tokens and rate limits."""
