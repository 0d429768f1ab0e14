"""Amounts of money: whole millionths of one currency, so that millions of small ones add up exactly."""

MILLION = 1_000_000
"""Millionths in one unit of a currency: EUR 0.0004 is 400."""

_CENT = MILLION // 100
_HUNDREDTH_OF_A_CENT = _CENT // 100


def millionths(amount: float) -> int:
    """An amount as rule files write it (0.0004), in millionths."""
    return round(amount * MILLION)


def money_text(amount: int, currency: str) -> str:
    """``EUR 17.24``: to the cent, below a cent to the digit that still says something (``EUR 0.0004``).

    ``amount`` is in millionths, 0 or more. Without a currency (no policy names one) the number stands alone.
    """
    digits = 2
    if 0 < amount < _CENT:
        digits = 4 if amount >= _HUNDREDTH_OF_A_CENT else 6
    step = MILLION // 10**digits
    whole, fraction = divmod((amount + step // 2) // step, 10**digits)  # in whole numbers: no float rounds twice
    return f"{currency} {whole:,}.{fraction:0{digits}d}".strip()
