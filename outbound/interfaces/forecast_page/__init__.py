"""The page of ``outbound simulate --html``: one file, complete in itself, for whoever decides about it."""

from outbound.interfaces.forecast_page.page import write_page

__all__ = ["write_page"]
