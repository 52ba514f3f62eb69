"""Application errors: synchronises issues with Sentry (or GlitchTip), and changes them there."""
