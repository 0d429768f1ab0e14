"""Part of the AdventureWorks files, whole in itself: the first people with their phones, names and orders."""

import csv
from pathlib import Path

_BY_PERSON = ("ms_EmailAddress.csv", "ms_PersonPhone.csv")


def cut(source: Path, target: Path, people: int) -> Path:
    """Copy ``source`` to ``target`` with the first ``people`` alone. Orders of others find nobody and stay out."""
    target.mkdir(exist_ok=True)
    kept = set(ids(source)[:people])
    for file in source.glob("*.csv"):
        (target / file.name).write_bytes(file.read_bytes())
    for name in _BY_PERSON:
        lines = (source / name).read_text("utf-8-sig").splitlines(keepends=True)
        (target / name).write_text("".join(x for x in lines if x.partition("+|")[0] in kept), encoding="utf-8")
    with (source / "dec_person.csv").open(encoding="utf-8", newline="") as text:
        reader = csv.DictReader(text)
        rows = [row for row in reader if row["businessentityid"] in kept]
        columns = reader.fieldnames or ()
    with (target / "dec_person.csv").open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
    return target


def write_everybody(source: Path, target: Path) -> Path:
    """One id per line, of everybody with an e-mail address: whom an operator would send a newsletter to."""
    target.write_text("".join(f"{one}\n" for one in ids(source)), encoding="utf-8")
    return target


def ids(source: Path) -> list[str]:
    """The people, in the order of the file of addresses."""
    lines = (source / "ms_EmailAddress.csv").read_text("utf-8-sig").splitlines()
    return [line.partition("+|")[0] for line in lines if line]
