"""Verdicts as a JUnit file, for CI systems."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from nodeplug.conformance.verdicts import Verdict


def junit(verdicts: Sequence[Verdict]) -> bytes:
    """Return the file: a test case for each rule and profile."""
    suite = ET.Element(
        "testsuite",
        name="nodeplug conformance",
        tests=str(len(verdicts)),
        failures=str(sum(verdict.fails for verdict in verdicts)),
        skipped=str(sum(verdict.outcome == "not judged" for verdict in verdicts)),
    )
    for verdict in verdicts:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"kubelet {verdict.profile}",
            name=f"{verdict.number} {verdict.rule.claim}",
            time=f"{verdict.seconds or 0:.3f}",
        )
        if verdict.outcome == "broken":
            kind = "failure" if verdict.fails else "system-out"
            ET.SubElement(case, kind).text = f"{verdict.detail}; so {verdict.rule.user}"
        if verdict.outcome == "not judged":
            ET.SubElement(case, "skipped").text = verdict.detail
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))
