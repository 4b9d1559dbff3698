"""Adapters: each knows one library and implements one port with it."""
