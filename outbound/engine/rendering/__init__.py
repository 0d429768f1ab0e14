"""Templates and the brand, compiled once and rendered per person."""

from outbound.engine.rendering.compiler import compile_templates
from outbound.engine.rendering.templates import Links, Templates

__all__ = ["Links", "Templates", "compile_templates"]
