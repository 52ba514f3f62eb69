"""The base layer: outgoing HTTP, request context, upstreams and services; imports no other app of the portal."""
