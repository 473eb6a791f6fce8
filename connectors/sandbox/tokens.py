"""Access and refresh tokens a stand-in issues: with an end, spent once where that is the rule, remembered across restarts."""

from __future__ import annotations

from hashlib import blake2b

from connectors.sandbox.store import Store


class Tokens:
    """Tokens of one stand-in. They are made from counters: no secrets, good for nothing else."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name

    def plant(self, kind: str, token: str, client: str) -> None:
        """Makes a token of this very text good, without end."""
        self._store.query("insert or ignore into tokens values (?, ?, ?, null)", (token, kind, client))

    def issue(self, kind: str, client: str, expires_at: float | None = None) -> str:
        """A new token of a kind ("access", "refresh") for a client; without end where `expires_at` (Unix seconds) is None."""
        number = self._store.next_number("tokens")
        token = f"sandbox-{self._name}-{kind}-{blake2b(f'{self._name}:{number}'.encode(), digest_size=12).hexdigest()}"
        self._store.query("insert into tokens values (?, ?, ?, ?)", (token, kind, client, expires_at))
        return token

    def holder(self, kind: str, token: str, now: float) -> str | None:
        """Whose token this is, or None when it is unknown, spent or over."""
        sql = "select client from tokens where token = ? and kind = ? and coalesce(expires_at > ?, true)"
        rows = self._store.query(sql, (token, kind, now))
        return rows[0][0] if rows else None

    def refresh(self, token: str, now: float, *, single_use: bool) -> tuple[str, str] | None:
        """Whose refresh token this is and the one to use from now on: the same, or a new one while this is good no more."""
        client = self.holder("refresh", token, now)
        if client is None:
            return None
        if not single_use:
            return client, token
        self._store.query("delete from tokens where token = ?", (token,))
        return client, self.issue("refresh", client)

    def current(self, kind: str, client: str, now: float) -> tuple[str, float] | None:
        """The client's token that lasts longest, and the seconds it still does."""
        sql = "select token, expires_at - ? from tokens where kind = ? and client = ? and expires_at > ? order by expires_at desc limit 1"
        rows = self._store.query(sql, (now, kind, client, now))
        return (rows[0][0], rows[0][1]) if rows else None

    def expire(self) -> None:
        """Ends all access tokens."""
        self._store.query("delete from tokens where kind = 'access'")
