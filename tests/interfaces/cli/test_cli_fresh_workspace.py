"""What a workspace does as ``outbound init`` makes it, before anybody edits a file."""

from pathlib import Path

from trial_shop import outbound

CUSTOMERS = """id,email,phone,country,language,first_name
T-1,ada@posta.example,+39 340 123 4567,IT,it,Ada
T-2,ben@post.example,+44 7400 123456,GB,en,Ben
"""
MAPPING = """import: customers
source: test
format: csv
key: id
fields: {email: email, phone: phone, country: country, language: language, first_name: first_name}
"""


def test_c19_c24_stop_and_help_are_answered_out_of_the_box(tmp_path: Path) -> None:
    """C25 too: brand and contact or way out stand in each answer. At night, in the reader's language, once."""
    workspace = ("-w", str(tmp_path))
    outbound("init", str(tmp_path))
    outbound(*workspace, "migrate")
    (tmp_path / "people.csv").write_text(CUSTOMERS, encoding="utf-8")
    (tmp_path / "people.yaml").write_text(MAPPING, encoding="utf-8")
    at = ("--at", "2026-11-24T22:00Z")
    outbound(*workspace, *at, "apply")
    outbound(*workspace, *at, "import", "customers", f"{tmp_path}/people.csv", "--mapping", f"{tmp_path}/people.yaml")
    for number, word in (("+393401234567", "Stop grazie"), ("+393401234567", "STOP"), ("+447400123456", "HELP")):
        outbound(*workspace, "--at", "2026-11-24T22:01Z", "sms-in", number, word)
    outbound(*workspace, "run", *at, "--until", "2026-11-24T22:10Z")
    said = sorted(file.read_text(encoding="utf-8").strip() for file in (tmp_path / "mailbox").rglob("*.txt"))
    assert [text.partition("Dispensa Levante: ")[2] for text in said] == [
        "non ti manderemo più SMS promozionali. Domande? ciao@dispensalevante.example",
        (
            "texts about orders and news. Ask us: ciao@dispensalevante.example, https://dispensalevante.example. "
            "Reply STOP to end marketing texts. Msg & data rates may apply."
        ),
    ]
