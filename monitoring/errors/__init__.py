"""Application errors: issues of a Sentry (or GlitchTip), kept in step and acted upon."""
