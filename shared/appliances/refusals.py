"""What devices refuse, where it matters to who asks why they did.

Refused
├── NoSpace         there is no room for a file or an object
├── Mismatch        the private key is not the certificate's
└── ChangeRefused   the device has looked at a change, and does not take it
Conflict
├── Exists          there is an object of this name already
└── InUse           something refers to the object
Unavailable
└── Locked          somebody else keeps the configuration to themselves
"""

from shared.errors import Conflict, Refused, Unavailable


class NoSpace(Refused):
    """There is no room for a file or an object."""


class Mismatch(Refused):
    """The private key is not the certificate's."""


class ChangeRefused(Refused):
    """The device has looked at a change, and does not take it."""


class Exists(Conflict):
    """There is an object of this name already."""


class InUse(Conflict):
    """Something refers to the object."""


class Locked(Unavailable):
    """Somebody else keeps the configuration to themselves for now."""
