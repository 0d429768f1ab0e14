"""The schema of rules/policy.yaml."""

from outbound.domain.keywords import OptOutReplies
from outbound.domain.policy import TRACKED, CalendarPeriod, CapUse, ConsentNeed, Losers
from outbound.engine.rulefiles.editor.declared import Declared
from outbound.engine.rulefiles.editor.pieces import (
    ADDRESS,
    CLOCK,
    COUNTRY,
    DATE,
    LANGUAGE,
    MOMENT,
    MONEY,
    SENDER,
    SOME_NOT_ALL,
    Json,
    boolean,
    channel,
    choice,
    duration,
    form,
    listing,
    name,
    number,
    record,
    table,
    text,
    zone,
)
from outbound.engine.rulefiles.policy_caps import CAP_KEYS, MOST_CONTACTS
from outbound.engine.rulefiles.policy_classes import CLASS_KEYS, CLASS_NAMES, TOPIC_KEYS, TOPIC_NAME
from outbound.engine.rulefiles.policy_file import BRAND_KEYS, POLICY_KEYS
from outbound.engine.rulefiles.policy_parts import (
    BLACKOUT_KEYS,
    CALENDAR_KEYS,
    CALENDAR_NAME,
    CHANNEL_KEYS,
    SUPPRESS_KEYS,
    SUPPRESSING,
    WEEKDAYS,
)
from outbound.engine.rulefiles.policy_quiet import QUIET_KEYS
from outbound.engine.rulefiles.policy_sharing import (
    ARBITRATION_KEYS,
    HOLDOUT_ID,
    HOLDOUT_KEYS,
    LOOPS_KEYS,
    STRANGERS_KEYS,
)
from outbound.engine.rulefiles.policy_sms import SMS_WORDS_KEYS
from outbound.engine.rulefiles.policy_waterfall import NEXT_ON, NO_RECEIPT, WATERFALL_KEYS

_NEEDS = [need.value for need in ConsentNeed]
_WHERE = form(r"^([A-Z]{2}|default)$", "A country, or `default`.")


def policy_schema(declared: Declared) -> Json:
    """The policy."""
    return record(
        POLICY_KEYS,
        {
            "policy": {"enum": [1, "1"], "description": "The version of this format."},
            "timezone": zone("The zone of customers of whom nothing better is known."),
            "classes": table(choice(CLASS_NAMES, ""), _class(declared), "What the law asks for.", at_least=1),
            "topics": table(name(TOPIC_NAME, ""), _topic(declared), "What people say yes or no to.", at_least=1),
            "channels": table(channel(()), _channel(), "The channels in use.", at_least=1),
            "waterfall": _waterfall(declared),
            "quiet_hours": _quiet(),
            "caps": listing(_cap(declared), "How often people hear from you at most."),
            "arbitration": record(
                ARBITRATION_KEYS,
                {
                    "window": duration("Messages due within this time of each other compete.", "m", "h"),
                    "losers": choice([one.value for one in Losers], "What becomes of those that lose."),
                },
                "Who goes first when several messages are due at once.",
            ),
            "holdout": record(
                HOLDOUT_KEYS,
                {"share": form(SOME_NOT_ALL, "How many.", "5%"), "id": name(HOLDOUT_ID, "Decides who.", "global-2026")},
                "A control group that gets no marketing at all.",
                required=HOLDOUT_KEYS,
            ),
            "loops": record(
                LOOPS_KEYS,
                {
                    "depth": number(1, 100, "How many messages may follow from each other's events."),
                    "per_day": number(1, 10_000, "How many such messages a customer may get in a day."),
                },
                "Where it ends when rules set each other off.",
            ),
            "strangers": record(
                STRANGERS_KEYS,
                {
                    "per_address": number(1, 1_000, "Messages to one address."),
                    "per_block": number(
                        1, 1_000_000, "Messages to numbers that differ in their last four digits only."
                    ),
                    "per_ip": number(1, 1_000_000, "Messages for one IP address, which events name in their field ip."),
                    "cost": form(MONEY, "What all of them may cost.", "EUR 25"),
                },
                "Caps by day on what anybody can set off: sign-ups and requests.",
            ),
            "zones": table(form(COUNTRY, ""), zone("The zone that `at` means there."), "Countries with several zones."),
            "calendars": table(name(CALENDAR_NAME, ""), _calendar(), "Working days."),
            "blackouts": listing(_blackout(declared), "Stretches without sending."),
            "suppress": listing(_suppress(declared), "What blocks an address."),
            "sms_words": _sms_words(),
            "brand": _brand(declared),
        },
        "Topics, classes, quiet hours, channels and brand.",
        required=("policy", "timezone", "classes", "topics", "channels", "brand"),
    )


def _class(declared: Declared) -> Json:
    return record(
        CLASS_KEYS,
        {
            "consent": choice(_NEEDS, "What a topic of this class needs."),
            "caps": choice([one.value for one in CapUse], "Whether its messages count and obey."),
            "quiet": listing(channel(declared.channels), "The channels that keep quiet hours.", at_least=0),
            "on_uncertain": choice(("hold", "resend"), "After a crash in the handover."),
            "expires": duration("The default of `expires` in rules.", "m", "h", "d", "w"),
            "priority": number(0, 999, "Higher goes first."),
            "unsubscribe": choice(("required", "optional"), "Whether a template needs the link."),
        },
        required=("consent", "quiet", "priority"),
    )


def _topic(declared: Declared) -> Json:
    return record(
        TOPIC_KEYS,
        {
            "class": choice(declared.classes or CLASS_NAMES, "Its class."),
            "consent": table(channel(declared.channels), choice(_NEEDS, ""), "More than the class asks for."),
            "opt_out": boolean("true: allowed until the customer says no."),
            "priority": number(0, 999, "In place of the class's."),
            "titles": table(form(LANGUAGE, ""), text(""), "What customers read."),
            "verify": boolean("true: texts too carry a code that proves they are ours."),
            "track": listing(choice(TRACKED, ""), "What is noted of readers who agreed to the topic tracking."),
        },
        required=("class",),
    )


def _channel() -> Json:
    amount = form(MONEY, "Currency and amount.", "EUR 0.09")
    by_country = {**table(_WHERE, amount, "By country."), "required": ["default"]}
    return record(
        CHANNEL_KEYS,
        {
            "cost": {"anyOf": [amount, by_country], "description": "Per message; for SMS per segment."},
            "sender": choice(("brand",), ""),
            "max_parts": number(1, 20, "More segments stop the message."),
        },
        required=("cost",),
    )


def _waterfall(declared: Declared) -> Json:
    words = [word for word in NEXT_ON if word != NO_RECEIPT]
    step = {"anyOf": [choice(words, ""), form(rf"^{NO_RECEIPT} [0-9]{{1,4}}[mh]$", "", f"{NO_RECEIPT} 15m")]}
    return record(
        WATERFALL_KEYS,
        {
            "default": listing(channel(declared.channels), "The order of rules that name no channels."),
            "next_on": listing(step, "What moves a message on."),
        },
        "From channel to channel.",
    )


def _quiet() -> Json:
    days = choice((*WEEKDAYS, "holidays"), "")
    hours = record(
        QUIET_KEYS,
        {
            "from": form(CLOCK, "Quiet from, in quotes.", "21:00"),
            "to": form(CLOCK, "Quiet to.", "08:00"),
            "closed": listing(days, "Days without sending."),
        },
        required=("from", "to"),
    )
    return {
        "type": "object",
        "properties": {"action": choice(("hold", "drop"), "What becomes of a message."), "default": hours},
        "patternProperties": {COUNTRY: hours},
        "additionalProperties": False,
        "required": ["default"],
        "description": "When people sleep, by country.",
    }


def _cap(declared: Declared) -> Json:
    periods = [one.value for one in CalendarPeriod]
    rolling = duration("Any stretch as long.", "m", "h", "d", "w", "mo")
    made = record(
        CAP_KEYS,
        {
            "class": choice(declared.classes or CLASS_NAMES, "For messages of a class."),
            "channel": channel(declared.channels),
            "topic": choice(declared.topics, "For messages of a topic."),
            "max": number(1, MOST_CONTACTS, "Contacts allowed."),
            "per": {"anyOf": [choice(periods, "A calendar period of the customer's zone."), rolling]},
            "for": choice(("everyone", "fewer"), "fewer: only for who asked for fewer messages."),
        },
        required=("max", "per"),
    )
    return {**made, "oneOf": [{"required": ["class"]}, {"required": ["channel"]}, {"required": ["topic"]}]}


def _calendar() -> Json:
    return record(
        CALENDAR_KEYS,
        {
            "weekend": listing(choice(WEEKDAYS, ""), "Weekdays off.", at_least=0),
            "holidays": choice(("country", "none"), "The public holidays of the customer's country."),
            "extra": listing(form(DATE, ""), "More days off.", at_least=0),
        },
    )


def _blackout(declared: Declared) -> Json:
    return record(
        BLACKOUT_KEYS,
        {
            "from": form(MOMENT, "Included."),
            "to": form(MOMENT, "Not included."),
            "classes": listing(choice(declared.classes or CLASS_NAMES, ""), "Without it, all."),
            "why": text("What people read."),
        },
        required=("from", "to", "why"),
    )


def _suppress(declared: Declared) -> Json:
    return record(
        SUPPRESS_KEYS,
        {
            "event": choice(SUPPRESSING, "What happened."),
            "channel": channel(()),
            "classes": listing(choice(declared.classes or CLASS_NAMES, ""), "Without it, everything."),
        },
        required=("event",),
    )


def _sms_words() -> Json:
    words = listing(text("", "STOP"), "Quoted words or phrases, in place of the built-in ones.")
    replies = choice([who.value for who in OptOutReplies], "Who answers them.")
    return record(
        SMS_WORDS_KEYS,
        {key: replies if key == "opt_out_replies" else words for key in SMS_WORDS_KEYS},
        "The words by which people stop, resume and ask by text.",
    )


def _brand(declared: Declared) -> Json:
    senders = table(choice(CLASS_NAMES, ""), form(SENDER, "", "Shop <news@shop.example>"), "Who writes, by class.")
    return record(
        BRAND_KEYS,
        {
            "name": text("Who you are to customers."),
            "senders": {**senders, "required": list(declared.classes)} if declared.classes else senders,
            "reply_to": form(ADDRESS, "Where answers go."),
            "address": text("The postal address."),
            "languages": listing(form(LANGUAGE, "", "en"), "The languages you write."),
            "fallback": choice(declared.languages, "The one for everybody else."),
        },
        required=BRAND_KEYS,
    )
