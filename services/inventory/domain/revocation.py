"""What holds of a certificate's revocation after a look, and when to look again."""

from datetime import datetime, timedelta

from shared.revocation.words import Revocation, Word

SOONEST = timedelta(hours=1)
"""Between two looks, however short-lived the authority's word is."""
_FIRST_RETRY = timedelta(minutes=15)


def settled(old: Word | None, new: Word, *, now: datetime) -> Word:
    """Return what holds after a look: an authority that is away does not take back what it has said.

    A word holds until its `next_update`; that a certificate is revoked holds until somebody says otherwise, which only
    a hold allows (RFC 5280 §5.3.1, certificateHold).
    """
    if new.state in (Revocation.GOOD, Revocation.REVOKED) or old is None:
        return new
    if old.state is Revocation.REVOKED:
        return old
    if old.state is Revocation.GOOD and old.next_update is not None and old.next_update > now:
        return old
    return new


def next_look(word: Word, *, failures: int, within: timedelta, now: datetime) -> datetime:
    """Return when to ask again: before the word ends, or after a growing pause where there was none."""
    if failures:
        return now + min(_FIRST_RETRY * (1 << min(failures - 1, 10)), timedelta(days=1))
    soonest, latest = now + SOONEST, now + within
    ends = word.next_update if word.next_update is not None else latest
    return max(soonest, min(ends, latest))
