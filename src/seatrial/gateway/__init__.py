"""The gateway: who gets which version, and Envoy as the proxy that does it."""
