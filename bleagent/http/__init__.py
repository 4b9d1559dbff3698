"""The local HTTP trigger."""
