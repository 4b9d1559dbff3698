"""systemd-creds: secrets encrypted with a key of this machine, where systemd is new enough."""

from __future__ import annotations

import subprocess

from protocol import Secret

PROGRAM = "systemd-creds"
WITHIN = 30.0
"""Seconds; a TPM takes some."""


class SystemdCreds:
    """Encrypts and decrypts; the secret goes through pipes and is on no command line.

    ``wrong`` is why it cannot, in its own words; empty while it can.
    """

    def __init__(self, program: str = PROGRAM) -> None:
        self._program = program
        self.wrong = ""

    def encrypt(self, name: str, secret: Secret) -> bytes | None:
        """The text for `LoadCredentialEncrypted=`, or ``None``: ``wrong`` says why."""
        return self._run(["encrypt", f"--name={name}", "-", "-"], secret.reveal())

    def decrypt(self, name: str, text: bytes) -> Secret | None:
        """What is in it, or ``None`` where this machine cannot tell."""
        found = self._run(["decrypt", f"--name={name}", "-", "-"], text)
        return None if found is None else Secret(found)

    def _run(self, words: list[str], given: bytes) -> bytes | None:
        try:
            done = subprocess.run(  # noqa: S603 - a program of systemd's
                [self._program, *words], input=given, capture_output=True, check=False,
                timeout=WITHIN,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            self.wrong = getattr(error, "strerror", None) or type(error).__name__
            return None
        if done.returncode or not done.stdout:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            self.wrong = lines[-1] if lines else f"it ended with {done.returncode}"
            return None
        return done.stdout
