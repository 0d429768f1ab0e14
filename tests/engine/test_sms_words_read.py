"""What a text means (C16-C18): closed lists, forgiving about spelling, and no guessing."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.domain.keywords import BUILT_IN, COURTESY, HELP, START, STOP, SmsMeaning, SmsWords
from outbound.engine.sms_words import normalised, read

M = SmsMeaning


@pytest.mark.parametrize(
    "word",
    [
        *("STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT"),  # Twilio
        *("OPT OUT", "OPT-OUT", "REMOVE", "ARRET", "TD"),  # FCC, AWS
        *("ANNULLA", "CANCELLA", "CANCELLAMI", "CANCELLAZIONE", "DISISCRIVI", "DISISCRIVIMI", "DISATTIVA", "BASTA"),
        *("FERMA", "RIMUOVI", "REVOCA", "STOP SMS", "NON VOGLIO PIU", "non voglio più", "non voglio piu'"),
    ],
)
def test_c16_c17_every_word_of_the_family_stops_in_both_languages(word: str) -> None:
    for text in (word, word.lower(), word.title(), f"  {word}!!! ", f"{word}."):
        assert read(text, BUILT_IN).meaning is M.STOP, text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *((text, M.START) for text in ("START", "yes", "Unstop", "RIATTIVA", "iscrivimi!", "start please")),
        *((text, M.HELP) for text in ("HELP", "info?", "Aiuto", "AIUTO, grazie")),
    ],
)
def test_c16_c17_start_and_help(text: str, meaning: SmsMeaning) -> None:
    assert read(text, BUILT_IN).meaning is meaning


@pytest.mark.parametrize(
    "text",
    [
        *(" stop!!! ", "Stop grazie", "STOP PER FAVORE", "stop please", "Please STOP", "STOP messages now, thanks"),
        *(
            "\uff33\uff34\uff2f\uff30",
            "s\u200bt\u200bo\u200bp",
            "ST\u00adOP",
            "\ufeffstop",
            "🛑 STOP 🛑",
            "S.T.O.P.",
            "s t o p",
        ),
        *("stop stop STOP", "arrêt", "«basta»", "STOP\n\n", "basta messaggi", "stop all", "Stop\u00a0SMS", "\u015aTOP"),
    ],
)
def test_c18_spelling_and_courtesy_do_not_change_what_is_meant(text: str) -> None:
    assert read(text, BUILT_IN).meaning is M.STOP, text


@pytest.mark.parametrize(
    "text",
    [
        *("please don't stop", "I will stop by at five", "non stop", "stop sending me the parcel twice"),
        *("can I cancel my order?", "basta così poco?", "the end of the month", "STOP or START?", "stop help"),
        *("non voglio piu il pacco", "ferma restando la data", "https://x.example/stop"),
    ],
)
def test_c18_a_text_that_merely_contains_a_word_opts_nobody_out_but_needs_a_person(text: str) -> None:
    assert read(text, BUILT_IN).meaning is M.UNCLEAR, text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "👍",
            "ok",
            "when does it arrive?",
            "NO",
            "si",
            "sì",
            "Sì grazie",
            "no thanks",
            "stopped",
            "nonstop",
        ),
        *("nonstop", "info about my order", "yes, tomorrow is fine", "help me with the parcel", "grazie", "per favore"),
    ],
)
def test_c17_ordinary_text_and_a_bare_no_mean_nothing(text: str) -> None:
    assert read(text, BUILT_IN).meaning is M.OTHER, text


@given(
    st.sampled_from(STOP),
    st.lists(st.sampled_from(COURTESY), max_size=3),
    st.text(st.sampled_from("!.,;:?… 🙏🛑\u200b\u200d\ufe0f\t\n-"), max_size=6),
)
def test_c18_no_punctuation_emoji_or_courtesy_keeps_anybody_in(word: str, kind: list[str], noise: str) -> None:
    assert read(noise + " ".join([word, *kind]) + noise, BUILT_IN).meaning is M.STOP


@given(st.sampled_from(STOP), st.text(string.ascii_lowercase, min_size=7, max_size=12))
def test_c18_one_ordinary_word_more_and_a_person_reads_it(word: str, other: str) -> None:
    known = {token for phrase in (*STOP, *START, *HELP, *COURTESY) for token in normalised(phrase).split()}
    expected = M.UNCLEAR if other not in known else M.STOP
    assert read(f"{word} {other}", BUILT_IN).meaning in {expected, M.UNCLEAR}


@given(st.text(max_size=60))
def test_any_text_has_a_meaning_and_normalising_twice_is_once(text: str) -> None:
    assert read(text, BUILT_IN).meaning in M
    assert normalised(normalised(text)) == normalised(text)


def test_a_long_text_is_read_in_bounded_time() -> None:
    assert read("stop " * 500_000, BUILT_IN).meaning in (M.STOP, M.UNCLEAR)


def test_own_words_replace_the_built_in_ones() -> None:
    words = SmsWords(stop=("STOP", "NIENTE PIÙ"))
    assert read("niente piu, grazie", words).meaning is M.STOP
    assert read("BASTA", words).meaning is M.OTHER
