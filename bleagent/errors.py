"""One tree of errors. Each has a stable ``code`` and ``advice`` for whoever reads it.

The code goes into HTTP bodies, logs and metrics and never changes its meaning; the advice says
what a person can do. Adapters translate their library's exceptions into these, once.
"""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    """Base of all errors of the daemon."""

    code: ClassVar[str] = "agent-error"
    advice: ClassVar[str] = "This is a bug of the agent; its log says where."


class ConfigError(AgentError):
    """The configuration cannot be used; names file, key, what was found and expected."""

    code = "config-invalid"
    advice = "Correct the named key, then start again or `systemctl reload bleagent`."


class ConfigUnreadable(ConfigError):
    """The file may not be read, or is none."""

    advice = "Name the configuration's file with --config, and see that this user may read it."


class ConfigMissing(ConfigUnreadable):
    """There is no such file."""

    advice = "The service's is made by `sudo bleagent init`; name another with --config."


class ConfigNotToml(ConfigError):
    """The file as a whole is no TOML, so that no key of it can be told."""

    advice = (
        "Write it as TOML; config.example.toml (in systemd/, or of the package in "
        "/usr/share/doc/bleagent/examples/) is one with every key."
    )


class RestartNeeded(ConfigError):
    """A configuration that is read again says something that is not changed while we run."""

    code = "restart-needed"
    advice = "systemctl restart bleagent; until then the configuration of before is in force."


class SecretError(AgentError):
    """A secret is missing, unreadable, or readable by others."""

    code = "secret-unusable"
    advice = "Provide the named credential, in a file of mode 0600 or by systemd."


class VaultKeyMissing(SecretError):
    """Something in the state directory was sealed with a key that is not configured."""

    code = "vault-key-missing"
    advice = (
        "Name the key that sealed it in [vault] previous, or put it back where [vault] key says. "
        "If it is lost for good, move operations.db away: what the cloud issued comes again, but "
        "known idempotency keys and the numbers of earlier visits are forgotten."
    )


class ListenError(AgentError):
    """The HTTP trigger cannot listen where it should."""

    code = "cannot-listen"
    advice = "See who listens there (ss -ltnp), or configure another [http] port."


# -- cloud


class CertificateError(AgentError):
    """The certificate of the HTTP trigger, or its key, cannot be used."""

    code = "certificate-unusable"
    advice = (
        "Give [http] tls a certificate and its own key as PEM files, the key without a passphrase."
    )


class CloudError(AgentError):
    """Something between us and the vendor's cloud, or its own answer.

    ``refusal`` marks the cloud's *no*; ``allows_offline`` says that no answer could be had, so
    that an opening from the cache may be considered (safety F3).
    """

    code = "cloud-failed"
    advice = "Check the network and the cloud's credentials."
    refusal: ClassVar[bool] = False
    allows_offline: ClassVar[bool] = False


# -- radio


class LinkError(AgentError):
    """Something between us and the lock; before the last fragment it means *unreached*."""

    code = "link-failed"
    advice = "Try again; if it stays, move the gateway nearer to the door."


class LockNotFound(LinkError):
    """No advertisement of this lock, or it could not be connected to, in time."""

    code = "lock-not-found"
    advice = "Wake the lock, see that no phone is connected to it, and check its distance."


class LinkLost(LinkError):
    """The connection ended."""

    code = "link-lost"
    advice = "Try again; if it stays, check the lock's batteries and distance."


class LinkTimeout(LinkError):
    """The lock did not answer in time: a stale key looks exactly like this."""

    code = "lock-silent"
    advice = "If it stays: the lock was paired anew and its local key has changed."


class PairingRefused(LinkError):
    """The lock does not take us for its owner."""

    code = "pairing-refused"
    advice = "Check that the configured device id belongs to this lock."


class LockChanged(LinkError):
    """Something has our key and is not what this lock was proven to be."""

    code = "lock-changed"
    advice = (
        "If the lock was updated, replaced or bound anew: stop the agent, run "
        "`bleagent forget NAME`, start it. Otherwise something answers in its place."
    )


class RadioUnavailable(LinkError):
    """No usable Bluetooth adapter."""

    code = "radio-unavailable"
    advice = "Check the adapter and bluetoothd."


class RadioBusy(LinkError):
    """The Bluetooth stack says that something of the kind is in progress already."""

    code = "radio-busy"
    advice = "It heals by itself within a minute; if not, restart bluetooth.service."


class RadioStuck(RadioUnavailable):
    """Everything was tried to get Bluetooth to work again: the process ends and starts anew."""

    code = "radio-stuck"
    advice = (
        "systemd starts the agent again; if it stays, restart bluetooth.service or the machine."
    )


class IncompleteTable(LinkError):
    """Connected, but a characteristic that is needed is not there."""

    code = "gatt-table-incomplete"
    advice = "Try again; if it stays, this device is not a lock of a kind that is known here."


# -- store


class StoreError(AgentError):
    """The store did not do what was asked; nothing was operated."""

    code = "store-failed"
    advice = "Check the disk of the state directory."


class StoreFull(StoreError):
    """No space left: new operations are refused."""

    code = "store-full"
    advice = "Free space on the state directory's disk."


class OutboxFull(StoreError):
    """As many records wait for a sink as may: the lock keeps what it has (safety D6)."""

    code = "outbox-full"
    advice = "See in /v1/outbox which sink takes nothing, and why."


class StoreDamaged(StoreError):
    """The database could not be read; it was moved aside, never overwritten."""

    code = "store-damaged"
    advice = "Keep the file that was moved aside; it may be read with sqlite's recovery."


class StoreTooNew(StoreError):
    """A database was written by a newer agent; it was left as it is."""

    code = "store-too-new"
    advice = "Install the agent again that wrote it (or a newer one), or name another state_dir."


class AuditGone(StoreError):
    """The audit's file was taken away or replaced while it was written."""

    code = "audit-gone"
    advice = "Start the agent again, and find out who took it."


class AuditUnusable(AgentError):
    """A root key, an anchor or an audit cannot be read, or not gone on with."""

    code = "audit-unusable"
    advice = "Give what `bleagent audit init` printed, or lines of the daemon's log."


class StoreForeign(StoreError):
    """A database belongs to another program; it was left as it is."""

    code = "store-foreign"
    advice = "Move the file away, or name another state_dir."


class AlreadyRunning(StoreError):
    """Another agent holds this state directory."""

    code = "already-running"
    advice = "Stop the named process first; one agent per state directory."


# -- requests


class Rejected(AgentError):
    """The request was not accepted; nothing was sent to the lock."""

    code = "rejected"
    advice = "Change the request."


class UnknownLock(Rejected):
    """No lock of this name is configured."""

    code = "unknown-lock"
    advice = "GET /v1/locks lists the configured locks."


class ScopeMissing(Rejected):
    """The caller is known and may not do this."""

    code = "scope-missing"
    advice = "Use a token that has the named scope; `bleagent token create --scope ...` makes one."


class TokenUnusable(Rejected):
    """A token, or what was asked of a new one; says what was found and expected, no secret."""

    code = "token-unusable"
    advice = "Correct what is named and ask again; `bleagent token create --help` has the forms."


class UsesSpent(Rejected):
    """A guest has opened the door as often as was agreed."""

    code = "uses-spent"
    advice = "Ask whoever gave you the token for another one."


class LockBusy(Rejected):
    """An operation of this lock is running."""

    code = "lock-busy"
    advice = "Ask again a little later; the same key is good for it."

    def __init__(self, text: str, *, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds
        """How long it is, where that is known."""


class KeyReused(Rejected):
    """The idempotency key was used for another request."""

    code = "idempotency-key-reused"
    advice = "Use a new key for a new request."


class UnresolvedOperation(Rejected):
    """The last operation of this lock ended unconfirmed a moment ago."""

    code = "unresolved-operation"
    advice = "Look at the door; name the operation in `after` to go on knowingly."

    def __init__(self, text: str, operation: str) -> None:
        super().__init__(text)
        self.operation = operation
        """Its id."""


class NotWarm(Rejected):
    """A hint for a lock that is connected to on demand only."""

    code = "connection-on-demand"
    advice = 'Set connection = "warm" for this lock, if its phones can wait.'


class TooLate(Rejected):
    """The deadline lies in the past, or the agent was stalled when the request came."""

    code = "too-late"
    advice = "Ask again with a later deadline."
