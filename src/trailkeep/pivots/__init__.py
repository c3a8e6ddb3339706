"""The pivot index: in which segments, and when, each address, principal, resource, request, agent and method occurs."""
