"""The payment provider: an HTTP client where you have one; here it says yes to everybody."""


async def charge(key: str, amount: int) -> str:
    """Charge a card, once for each key, and return the receipt's number.

    Args:
        key: what the provider knows a charge again by.
        amount: how much, in cents.
    """
    return f"receipt-{key}-{amount}"
