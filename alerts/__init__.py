"""The hall: what needs attention. Alert episodes, their transitions, and silences."""
