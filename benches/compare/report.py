"""The table of ratios, the file of results, and the picture of both."""

import json
import re

import growth
from picture import bars

# Work, heading, the figure that is compared.
RATIOS = [
    ("small", "GET 128 B", "cpu"),
    ("medium", "GET 16 KiB", "cpu"),
    ("post", "POST 64 KiB", "cpu"),
    ("down", "1 GiB down", "cpu"),
    ("up", "1 GiB up", "cpu"),
    ("h2", "h2 in, GET 128 B", "cpu"),
    ("latency", "p99", "p99"),
]
REFERENCE = "nginx"


def table(result):
    works, titles, measured = result["works"], result["titles"], result["measured"]
    present = [ratio for ratio in RATIOS if REFERENCE in works.get(ratio[0], {})]
    lines = [
        "| " + " | ".join(["× nginx", *(heading for _, heading, _ in present)]) + " |",
        "|---" * (1 + len(present)) + "|",
    ]
    for key, title in titles.items():
        cells = [ratio(works, work, key, figure) for work, _, figure in present]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    reference = [amount(works, work, figure) for work, _, figure in present]
    lines.append("| *nginx itself* | " + " | ".join(reference) + " |")
    lines += ["", *others(works, titles), "", note(works, measured)]
    return "\n".join(lines)


def ratio(works, work, key, figure):
    ours, reference = works[work].get(key), works[work][REFERENCE]
    if ours is None:
        return "–"
    median, least, most = ours[figure]
    spread = 50 * (most - least) / median if median else 0
    mark = "\\*" if ours["disturbed"] or reference["disturbed"] else ""
    return f"{median / reference[figure][0]:.2f}{mark} ±{spread:.0f} %"


def amount(works, work, figure):
    per = {"down": "µs/MiB", "up": "µs/MiB", "latency": "µs"}.get(work, "µs")
    return f"{works[work][REFERENCE][figure][0]:.1f} {per}"


def others(works, titles):
    for work, way in (("down", "down"), ("up", "up")):
        growths = {key: figures["growth"] for key, figures in works.get(work, {}).items()}
        if growths:
            most = ", ".join(f"{titles[key]} {growth[2]:.1f}" for key, growth in growths.items())
            yield f"- 1 GiB {way}, most growth of memory in MiB: {most}"
    idle = works.get("idle", {})
    if idle:
        yield "- An idle client connection, KiB of memory: " + ", ".join(
            f"{titles[key]} {figures['kib'][0]:.1f}" for key, figures in idle.items()
        )
    one, both = works.get("one_core", {}), works.get("both_cores", {})
    for key in one:
        gain = both[key]["rps"][0] / one[key]["rps"][0]
        mark = "\\*" if one[key]["disturbed"] or both[key]["disturbed"] else ""
        yield (
            f"- Requests/s on both cores, proxy, upstream and load together, as against all on one: "
            f"{titles[key]} {gain:.2f}{mark} × ({one[key]['rps'][0]:.0f} to {both[key]['rps'][0]:.0f})"
        )


def note(works, measured):
    said = (
        f"CPU time of the proxy process for a request, or for a MiB; p99 at {measured['rate']} requests/s, 30 % of what "
        f"nginx can do. Medians of {measured['rounds']} interleaved rounds; ± is half the distance from the least to the "
        f"most. Measured on {measured['day']} at {measured['commit']}: {measured['cpu']}, Linux {measured['kernel']}, "
        f"{measured['rustc']}, {measured['nginx'].removeprefix('nginx version: ')}, {measured['haproxy'].split(' 20')[0]}."
    )
    if any(figures["disturbed"] for contenders in works.values() for figures in contenders.values()):
        said += " \\* The machine was busy with other work: fewer than three undisturbed samples."
    return said


def write(here, result):
    (here / "results.json").write_text(compact(result))
    panels = []
    works, titles = result["works"], result["titles"]
    for work, heading, figure in RATIOS:
        if REFERENCE in works.get(work, {}):
            of = works[work]
            values = [(key, titles[key], of[key][figure]) for key in titles if key in of]
            panels.append((heading, of[REFERENCE][figure][0], values))
    (here / "comparison.svg").write_text(bars(panels))
    readme = here.parent.parent / "README.md"
    between(readme, "comparison", table(result))
    print(f"written: results.json, comparison.svg, and {readme.name} if it has a place for them")


def write_growth(here, rows, measured):
    (here / "growth.json").write_text(compact({"measured": measured, "rows": rows}))
    (here / "growth.svg").write_text(growth.picture(rows))
    print("written: growth.json, growth.svg")


def between(path, name, text):
    """Puts `text` between the two marks of that name, if the file has them."""
    begin, end = f"<!-- {name}: by benches/compare -->", f"<!-- end of {name} -->"
    old = path.read_text()
    new = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", old, flags=re.DOTALL)
    if new != old:
        path.write_text(new)


def compact(result):
    """JSON with one line for each contender, so that a change reads well."""
    lines = json.dumps(result, indent=1, ensure_ascii=False)
    inner = re.compile(r"\{[^{}]*\}|\[[^\[\]{}]*\]", re.DOTALL)
    return inner.sub(lambda found: re.sub(r"\s*\n\s*", " ", found[0]), lines) + "\n"
