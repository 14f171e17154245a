"""How many faults a test strikes."""

import os


def strength(*, quick: int, full: int) -> int:
    """Return how many faults a test is to strike, or how much it is to carry meanwhile.

    Args:
        quick: The number in every check.
        full: The number where `ARVO_FULL` is 1.

    Returns:
        One of them; or the number of `ARVO_FAULTS`, for who runs one test by hand.
    """
    by_hand = os.environ.get("ARVO_FAULTS")
    if by_hand is not None:
        return int(by_hand)
    return full if os.environ.get("ARVO_FULL") == "1" else quick
