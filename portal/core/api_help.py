"""Descriptions in the OpenAPI document for fields whose model has no help text (pure)."""


def described(**texts: str) -> dict[str, dict[str, str]]:
    """Return the `extra_kwargs` of a serializer that give each field its description."""
    return {name: {"help_text": text} for name, text in texts.items()}
