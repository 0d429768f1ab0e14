"""The outcome of rule tests as JUnit XML, which every CI server reads."""

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

from outbound.services.ruletests import Suite


def write_junit(file: Path, suite: Suite) -> None:
    """Write one test suite: a case for each test, an error for each file that could not be read. Raises OSError."""
    failed = sum(bool(one.failures) for one in suite.outcomes)
    counts = {"tests": len(suite.outcomes) + len(suite.problems), "failures": failed, "errors": len(suite.problems)}
    root = Element("testsuites")
    top = SubElement(root, "testsuite", {"name": "outbound test", **{name: str(n) for name, n in counts.items()}})
    for one in suite.outcomes:
        case = SubElement(top, "testcase", {"classname": one.test.span.file, "name": one.test.name})
        if one.failures:
            message = f"{len(one.failures)} of {one.test.checks} assertions do not hold"
            SubElement(case, "failure", {"message": message}).text = "\n".join(f.render() for f in one.failures)
    for problem in suite.problems:
        case = SubElement(top, "testcase", {"classname": problem.span.file, "name": f"line {problem.span.line}"})
        SubElement(case, "error", {"message": problem.message}).text = problem.render()
    ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
