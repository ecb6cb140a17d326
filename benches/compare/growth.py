"""How the cost of a request grows: instructions by callgrind, and CPU time beside them."""

import json
import math
import re
import shutil

from picture import curves
from processes import Failed, run

# Series, heading, what is counted along the axis, sizes, and the growth that cannot be helped: 0 is flat, 1 linear.
SERIES = [
    ("users", "Users remembered", "users", [1000, 10_000, 100_000, 1_000_000], 0),
    ("candidates", "Candidates at a site", "candidates", [1, 4, 16, 64], 1),
    ("second-cas", "Second CASs, a site each", "second CASs", [1, 10, 100, 1000], 0),
    ("groups", "Groups, the user known there", "groups", [1, 10, 100, 1000, 2999], 0),
    ("groups-login", "Groups, with 441 and login", "groups", [1, 10, 100, 1000, 2999], 1),
    ("logins", "Users who log in at once", "users", [1, 10, 100, 1000, 10_000], 0),
]
# Callgrind takes minutes to get so many users ready; their cost is told by CPU time alone.
MOST_UNDER_CALLGRIND = 100_000


def growth(programs, cores, most=None):
    """The rows of the table: series, size, instructions, nanoseconds; both for each request."""
    if not shutil.which("valgrind"):
        raise Failed("find valgrind. On Debian: apt-get install --no-install-recommends valgrind")
    for series, _, _, sizes, _ in SERIES:
        for size in (size for size in sizes if most is None or size <= max(most, sizes[0])):
            command = [programs / "growth", series, size]
            times = [json.loads(run(command, cores)) for _ in range(5)]
            nanoseconds = sorted(each["nanoseconds"] for each in times)[2]
            instructions = None
            if size <= MOST_UNDER_CALLGRIND:
                instructions = round(callgrind(command, cores) / times[0]["requests"])
            yield {"series": series, "size": size, "instructions": instructions, "nanoseconds": nanoseconds}


def callgrind(command, cores):
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    valgrind += ["--collect-atstart=no", "--toggle-collect=growth::measured*", *command]
    said = run(valgrind, cores, both=True)
    found = re.search(r"Collected : (\d+)", said)
    if not found or int(found[1]) == 0:
        raise Failed(f"count instructions: {said.strip()[-500:]}")
    return int(found[1])


def table(rows):
    lines = ["| series | size | instructions | grows by | ns |", "|---|---|---|---|---|"]
    for series, heading, *_, slope in SERIES:
        of = [row for row in rows if row["series"] == series]
        for before, row in zip([None, *of], of):
            exponent = "–" if before is None else f"{steepness(before, row):.2f}"
            counted = "–" if row["instructions"] is None else f"{row['instructions']:,}"
            lines.append(f"| {heading} | {row['size']:,} | {counted} | {exponent} | {row['nanoseconds']:,} |")
    lines += ["", "Grows by: the power of the size with which the cost grew since the row above; 0 is flat, 1 linear."]
    return "\n".join(lines)


def steepness(before, row):
    figure = "instructions" if before["instructions"] and row["instructions"] else "nanoseconds"
    return math.log(row[figure] / before[figure]) / math.log(row["size"] / before["size"])


def picture(rows):
    panels = []
    for series, heading, unit, _, slope in SERIES:
        points = [(row["size"], row["instructions"]) for row in rows if row["series"] == series and row["instructions"]]
        panels.append((heading, unit, slope, points))
    return curves(panels)
