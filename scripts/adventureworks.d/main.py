"""The steps of ``scripts/adventureworks``: workspace, import, planning, sending, proof.

docs/adventureworks.md explains them. ``scripts`` is on PYTHONPATH: the import is a script of its own.
"""

import argparse
import sys
from pathlib import Path

import adventureworks_import as importing
import prefix
import proof
import service
import workspace
from console import Stopwatch, say

from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

HOME = Path(__file__).resolve().parents[2]

KEY = "touring-range"
"""Names this newsletter: under the same key nobody is ever sent it twice."""


def main() -> int:
    """Run the demonstration; 0 when everything balances, 1 when anything does not."""
    given = arguments()
    if not given.source.is_dir():
        print(f"there is no folder {given.source}: name the AdventureWorks files with --source", file=sys.stderr)
        return 1
    folder: Path = given.workspace.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    watch = Stopwatch()
    with SmtpServer(folder) as smtp, TwilioDouble(folder) as twilio:
        before = len(smtp.accepted()), len(twilio.accepted())
        say("A workspace with the demonstration's own rules and templates")
        workspace.prepare(folder, smtp_port=smtp.port, twilio=twilio, database=given.database)
        print(f"SMTP server on 127.0.0.1:{smtp.port}, Twilio double on {twilio.api_base}")

        say("Import people, phones, names, consents and orders")
        source = prefix.cut(given.source, folder / "source", given.people) if given.people else given.source
        with watch.measure("import") as part:
            imported = importing.import_all(folder, source, fire=True)
            part.count = sum(report["rows"] for report in imported.values())
        print("\n".join(importing.summary(imported)))

        say("Plan the newsletter for everybody")
        everybody = prefix.write_everybody(source, folder / "everybody.txt")
        with watch.measure("plan newsletter") as part:
            print(
                workspace.outbound(folder, "send", "newsletter", "--customers", str(everybody), "--key", KEY).rstrip()
            )
            part.count = imported["emails"]["rows"]

        say("Run the service until nothing is left to do")
        with watch.measure("daemon, start to rest"), service.Daemon(folder) as daemon:
            service.wait_until_at_rest(daemon, deadline=given.deadline)
        ledgers = proof.Ledgers(email=smtp.accepted(), sms=twilio.accepted())

    say("The proof")
    facts = proof.gather(folder, imported, ledgers)
    print("\n".join(proof.table(facts)))
    new = len(ledgers.email) - before[0], len(ledgers.sms) - before[1]
    print(f"\n{sum(new):,} new this time ({new[0]:,} e-mails, {new[1]:,} text messages)")
    say("How long it took")
    print("\n".join((*watch.lines(), *proof.rates(ledgers, before))))
    problems = proof.problems(facts)
    print(
        "\n".join(
            ("", *(f"NOT BALANCED: {problem}" for problem in problems)) if problems else ("", "All of it balances.")
        )
    )
    return 1 if problems else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/adventureworks", description="Import, send and prove it, with the people of AdventureWorks."
    )
    parser.add_argument("--people", type=int, default=0, metavar="N", help="only the first N people and their orders")
    parser.add_argument("--database", default="", metavar="URL", help="postgresql://USER@HOST/NAME instead of SQLite")
    parser.add_argument("--workspace", type=Path, default=HOME / "adventureworks", metavar="FOLDER")
    parser.add_argument(
        "--source", type=Path, default=importing.SOURCE, metavar="FOLDER", help="the AdventureWorks files"
    )
    parser.add_argument("--deadline", type=float, default=600, metavar="SECONDS", help="give up sending after so long")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
