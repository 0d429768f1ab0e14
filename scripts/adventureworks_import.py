#!/usr/bin/env python3
"""Import the people and orders of AdventureWorks into a workspace, with the public command line.

    scripts/adventureworks_import.py --workspace W [--source FOLDER] [--fire]

The files need no preparation but two joins, which are not an importer's work: whose country it is, and who
placed an order. Run it again: it changes nothing.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MAPPINGS = HERE / "adventureworks.d"
SOURCE = HERE.parents[1] / "shared" / "data" / "adventureworks"
EXPECTED_PEOPLE = 19_972


def main() -> int:
    """Import everything and print what went in; 1 when the counts are not those of the data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("--fire", action="store_true", help="let the rules see the orders")
    given = parser.parse_args()
    if not given.source.is_dir():
        print(f"there is no folder {given.source}: name it with --source", file=sys.stderr)
        return 1
    sums = import_all(given.workspace, given.source, fire=given.fire)
    for line in summary(sums):
        print(line)
    return 0 if sums["emails"]["rows"] == EXPECTED_PEOPLE else 1


def import_all(workspace: Path, source: Path = SOURCE, *, fire: bool = False) -> dict[str, Any]:
    """Run the five imports; the reports (``outbound import --json``) by name."""
    with tempfile.TemporaryDirectory(prefix="adventureworks-") as name:
        folder = Path(name)
        write_countries(source, folder / "countries.tsv")
        write_orders(source, folder / "orders.tsv")
        steps = (
            ("emails", "customers", source / "ms_EmailAddress.csv"),
            ("countries", "customers", folder / "countries.tsv"),
            ("phones", "customers", source / "ms_PersonPhone.csv"),
            ("people", "customers", source / "dec_person.csv"),
            ("orders", "events", folder / "orders.tsv"),
        )
        return {step: _import(workspace, step, kind, file, fire=fire) for step, kind, file in steps}


def summary(sums: dict[str, Any]) -> Iterator[str]:
    """What went in, in plain lines."""
    emails, phones, people, orders = (sums[name] for name in ("emails", "phones", "people", "orders"))
    yield f"people       {emails['rows']:>7,}  ({emails['new']:,} new, {emails['refused']:,} refused)"
    yield f"countries    {sums['countries']['rows']:>7,}"
    usable = phones["rows"] - phones["refused"] - phones["unreachable"]
    yield f"phones       {phones['rows']:>7,}  ({usable:,} usable, {phones['unreachable']:,} possible but not valid:"
    yield f"                       kept as unreachable, {phones['refused']:,} impossible: refused)"
    yield f"with names   {people['rows']:>7,}  ({people['warnings']:,} look wrongly decoded: reported, not changed)"
    said = people["consents"]
    consents = said.get("granted", 0) + said.get("unchanged", 0)
    yield f"consents     {consents:>7,}  (emailpromotion > 0; {said.get('kept_withdrawn', 0):,} withdrawn here stay so)"
    yield f"orders       {orders['rows']:>7,}  ({orders['new']:,} new, the newest is now)"
    if all(report["changed_nothing"] for report in sums.values()):
        yield "nothing changed: all of it was there already"


def write_countries(source: Path, target: Path) -> None:
    """person, country: of the person's own address, else of the sales territory of their customer number."""
    states = {row["stateprovinceid"]: row["countryregioncode"] for row in _csv(source / "dec_stateprovince.csv")}
    addresses = {row[0]: states.get(row[4], "") for row in _split(source / "ms_Address.csv", "\t")}
    territories = {row[0]: row[2] for row in _split(source / "ms_SalesTerritory.csv", "\t")}
    countries = {row[1]: territories[row[3]] for row in _split(source / "ms_Customer.csv", "\t") if row[1]}
    for row in _split(source / "ms_BusinessEntityAddress.csv", "+|"):
        if addresses.get(row[1]):
            countries[row[0]] = addresses[row[1]]
    everyone = [row[0] for row in _split(source / "ms_EmailAddress.csv", "+|")]
    _write(target, ("person", "country"), ((person, countries[person]) for person in everyone if person in countries))


def write_orders(source: Path, target: Path) -> None:
    """order, person, placed, total: of the orders whose customer is a person we have."""
    people = {row["customerid"]: row["personid"] for row in _csv(source / "dec_customer.csv") if row["personid"]}
    everyone = {row[0] for row in _split(source / "ms_EmailAddress.csv", "+|")}
    rows = (
        (row["salesorderid"], people[row["customerid"]], row["orderdate"], row["totaldue"])
        for row in _csv(source / "dec_salesorderheader.csv")
        if people.get(row["customerid"]) in everyone
    )
    _write(target, ("order", "person", "placed", "total"), rows)


def _import(workspace: Path, step: str, kind: str, file: Path, *, fire: bool) -> Any:
    command = [sys.executable, "-m", "outbound", "--workspace", str(workspace), "import", kind, str(file)]
    command += ["--mapping", str(MAPPINGS / f"{step}.yaml"), "--json"]
    command += ["--fire"] if fire and kind == "events" else []
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    if done.returncode:
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)


def _csv(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _split(file: Path, separator: str) -> Iterator[list[str]]:
    with file.open(encoding="utf-8-sig") as text:
        for line in text:
            row = line.rstrip("\n").removesuffix("&|")
            if row:
                yield row.split(separator)


def _write(target: Path, header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    with target.open("w", encoding="utf-8") as text:
        text.writelines("\t".join(row) + "\n" for row in (header, *rows))


if __name__ == "__main__":
    sys.exit(main())
