"""``sms_words`` of the policy: the words by which people stop, resume and ask, and who answers them."""

from typing import Final

from outbound.domain.keywords import BUILT_IN, OptOutReplies, SmsWords
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import Node, ScalarNode
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import choice, items, text
from outbound.engine.sms_words import normalised

SMS_WORDS_KEYS: Final = ("opt_out_replies", "stop", "start", "help", "courtesy")


def read_sms_words(policy: Record, findings: Findings) -> SmsWords:
    """The words in use; a list that is written replaces the built-in one, and STOP always stops."""
    node = policy.optional_node("sms_words")
    record = open_record(node, findings, keys=SMS_WORDS_KEYS) if node is not None else None
    if record is None:
        return BUILT_IN
    words = items(_keyword, example='write ["STOP", "BASTA"]')
    stop = record.optional("stop", words)
    if stop is not None and "stop" not in map(normalised, stop):
        message = "'stop' does not contain \"STOP\""
        findings.error(Code.BAD_VALUE, record.value_span("stop"), message, "STOP must always work: add it")
    replies = record.optional("opt_out_replies", choice([who.value for who in OptOutReplies]))
    return SmsWords(
        stop=stop or BUILT_IN.stop,
        start=record.optional("start", words) or BUILT_IN.start,
        help=record.optional("help", words) or BUILT_IN.help,
        courtesy=record.optional("courtesy", words) or BUILT_IN.courtesy,
        replies=OptOutReplies(replies) if replies else BUILT_IN.replies,
    )


def _keyword(node: Node, findings: Findings) -> str | None:
    """A word or phrase, quoted: elsewhere in YAML a bare NO or OFF is not a text (fault K3)."""
    found = text(node, findings)
    if found is None or not isinstance(node, ScalarNode):
        return None
    if node.plain:
        findings.error(Code.BAD_VALUE, node.span, f"keyword '{found}' is not quoted", f'write "{found}"')
        return None
    if not normalised(found):
        findings.error(Code.BAD_VALUE, node.span, f"'{found}' has no letter or digit", "write a word people send")
        return None
    return found
