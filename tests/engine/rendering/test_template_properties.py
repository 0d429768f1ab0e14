"""For any name at all: it is shown exactly, or the message stops; nothing in between, and never an exception."""

from html import unescape

from hypothesis import example, given
from hypothesis import strategies as st
from template_workbench import LINKS, good, render

from outbound.domain.rendered import RenderedEmail, RenderStop

TEMPLATES = good()


@given(name=st.text(max_size=200))
@example(name="{{ 7 * 7 }}")
@example(name="</div><script>")
@example(name="&amp;")
@example(name="jxq1qxj<!--jsq1qsj-->")
@example(name="Giulia\r\nBcc: all@shop.example")
def test_a_name_is_shown_as_it_is_or_stops_the_message(name: str) -> None:
    rendered = render(TEMPLATES, context={"customer": {"first_name": name}}, links=LINKS, message_class="marketing")
    if isinstance(rendered, RenderStop):
        assert "\n" not in rendered.detail
        return
    assert isinstance(rendered, RenderedEmail)
    assert rendered.subject == f"Ciao {name}"
    assert f"Ciao {name}!" in rendered.text
    assert f"Ciao {name}!" in unescape(rendered.html)
    assert rendered.html.count("<") == BRACKETS
    assert not any(ord(character) < 32 for character in rendered.subject)


def _brackets() -> int:
    rendered = render(TEMPLATES, links=LINKS, message_class="marketing")
    assert isinstance(rendered, RenderedEmail)
    return rendered.html.count("<")


BRACKETS = _brackets()
