"""Pictures: plain SVG, readable on light and on dark pages."""

import math

STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.mute { fill: #57606a }
.bar { fill: #afb8c1 }
.ours { fill: #0969da }
.line { stroke: #d0d7de; fill: none }
.mark { stroke: #57606a; stroke-dasharray: 3 3 }
.curve { stroke: #0969da; stroke-width: 2; fill: none }
.dot { fill: #0969da }
.guide { stroke: #afb8c1; stroke-dasharray: 4 4; fill: none }
.range { stroke: #24292f }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.mute { fill: #9198a1 }
.bar { fill: #545d68 }
.ours, .dot { fill: #4493f8 }
.line { stroke: #3d444d }
.mark { stroke: #9198a1 }
.curve { stroke: #4493f8 }
.guide { stroke: #656c76 }
.range { stroke: #e6edf3 }
}
</style>"""


def bars(panels):
    """One panel for each work: (heading, the reference, [(key, title, (median, least, most))])."""
    columns, width, row, left = 2, 440, 18, 150
    rows = max(len(values) for _, _, values in panels)
    height = 46 + rows * row
    parts = []
    for number, (heading, reference, values) in enumerate(panels):
        x, y = number % columns * width, number // columns * height + 24
        most = max(value[2] / reference for _, _, value in values)
        scale = (width - left - 70) / min(most, 3.0)
        parts.append(text(x + left, y, heading, "head"))
        for index, (key, title, value) in enumerate(values):
            top = y + 10 + index * row
            median, least, high = (min(each / reference, 3.0) for each in value)
            kind = "ours" if key.startswith("cas_proxy") else "bar"
            parts.append(text(x + left - 6, top + 11, title, "mute", "end"))
            parts.append(f'<rect class="{kind}" x="{x + left}" y="{top}" width="{median * scale:.1f}" height="13"/>')
            middle = top + 6.5
            parts.append(
                f'<path class="range" d="M{x + left + least * scale:.1f} {middle}H{x + left + high * scale:.1f}"/>'
            )
            end = x + left + max(median, high) * scale + 5
            parts.append(text(round(end, 1), top + 11, f"{value[0] / reference:.2f}"))
        at = x + left + scale
        parts.append(f'<path class="mark" d="M{at:.1f} {y + 6}V{y + 12 + len(values) * row}"/>')
    total = math.ceil(len(panels) / columns) * height + 26
    parts.append(text(left, total - 8, "× nginx, less is better; the thin line goes from the least sample to the most", "mute"))
    return picture(columns * width, total, parts)


def curves(panels):
    """One panel for each series: (heading, unit, 0 for flat or 1 for linear, [(x, y)]), both axes logarithmic."""
    columns, width, height = 3, 300, 210
    parts = []
    for number, (heading, unit, slope, points) in enumerate(panels):
        x, y = number % columns * width + 48, number // columns * height + 30
        wide, high = width - 72, height - 76
        left, right = (math.log10(points[at][0]) for at in (0, -1))
        low = math.floor(math.log10(min(point[1] for point in points)) - 0.1)
        top = max(low + 2, math.ceil(math.log10(max(point[1] for point in points)) + 0.1))
        place = lambda px, py: (
            x + (math.log10(px) - left) / ((right - left) or 1) * wide,
            y + 14 + (top - math.log10(py)) / (top - low) * high,
        )
        parts.append(text(x, y, heading, "head"))
        for decade in range(low, top + 1):
            _, at = place(points[0][0], 10**decade)
            parts.append(f'<path class="line" d="M{x} {at:.1f}h{wide}"/>')
            parts.append(text(x - 4, round(at + 4, 1), short(10**decade), "mute", "end"))
        for px, _ in points:
            at, _ = place(px, 10**low)
            parts.append(f'<path class="line" d="M{at:.1f} {y + 14 + high}v4"/>')
        for px, anchor in ((points[0][0], "start"), (points[-1][0], "end")):
            at, _ = place(px, 10**low)
            parts.append(text(round(at, 1), y + 32 + high, short(px), "mute", anchor))
        parts.append(text(x + wide / 2, y + 32 + high, unit, "mute", "middle"))
        steps = [10 ** (left + (right - left) * step / 40) for step in range(41)]
        (x0, y0), (x1, y1) = points[0], points[-1]
        rise = slope * (y1 - y0) / (x1 - x0)
        guide = [place(px, y0 + rise * (px - x0)) for px in steps]
        parts.append(f'<path class="guide" d="M{path(guide)}"/>')
        spots = [place(*point) for point in points]
        parts.append(f'<path class="curve" d="M{path(spots)}"/>')
        parts += [f'<circle class="dot" cx="{sx:.1f}" cy="{sy:.1f}" r="3"/>' for sx, sy in spots]
    total = math.ceil(len(panels) / columns) * height + 24
    parts.append(text(48, total - 8, "instructions for each request; dashed: flat, or linear where it must be", "mute"))
    return picture(columns * width, total, parts)


def path(points):
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def short(number):
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{round(number / size, 1):g}{letter}"
    return f"{number:g}"


def text(x, y, words, kind="", anchor="start"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>'


def picture(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, STYLE, *parts, "</svg>"]) + "\n"
