"""Alert episodes with their transitions, silences, routing and notifications."""
