"""The vendor's cloud: signing and reading (pure), a client over a small HTTP port, its errors."""
