"""Stand-ins for the card processor and the carrier.

As in the sandboxes of real providers, certain values cause certain failures.
"""

from hashlib import blake2b
from typing import Literal

DECLINED_CARD = "4000000000000002"
"""The bank refuses this card."""
GUARDED_CARD = "4000002500003155"
"""The bank charges this card only after the customer has confirmed the payment."""
SLOW_DEPOT = "9"
"""The depot for postcodes with this prefix answers only when asked again."""
CLOSED_DEPOT = "99"
"""The depot for postcodes with this prefix never answers."""


class CarrierTimeout(Exception):
    """The carrier did not answer in time; asking again may help."""


def authorise(card: str, *, confirmed: bool) -> Literal["authorised", "declined", "unconfirmed"]:
    """Ask the bank whether a card may be charged.

    Args:
        card: Its number.
        confirmed: Whether the customer has confirmed the payment.
    """
    if card == DECLINED_CARD:
        return "declined"
    return "unconfirmed" if card == GUARDED_CARD and not confirmed else "authorised"


def book_parcel(order_id: str, postcode: str, *, attempt: int) -> str:
    """Hand a parcel to the carrier and return the tracking number.

    Raises:
        CarrierTimeout: The depot of the postcode does not answer.
    """
    if postcode.startswith(CLOSED_DEPOT) or (postcode.startswith(SLOW_DEPOT) and attempt == 1):
        raise CarrierTimeout(f"the depot for {postcode} did not answer in time")
    return f"TRK{blake2b(order_id.encode(), digest_size=4).hexdigest().upper()}"
