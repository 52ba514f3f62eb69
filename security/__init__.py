"""Sign-in, second factors, sessions, tokens, rate limits, detection of attacks, and blocks."""
