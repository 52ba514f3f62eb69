"""The floor: outgoing HTTP, request context, upstreams and services; imports no app of the portal."""
