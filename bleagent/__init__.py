"""bleagent: a companion agent for Tuya Bluetooth door locks."""

__version__ = "0.1.0"
