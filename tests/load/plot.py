"""Pictures of a benchmark, as SVG written by hand: bars of medians with their spreads, the floor as the line at 1; and lines over
what grows, both axes logarithmic (a cost that grows with it rises with the grey lines, one that does not is level)."""
import math
import statistics
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 320, 48, 40, 36
COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#805ad5")


def _bars(rows, key, title):
    engines = list(dict.fromkeys(r["engine"] for r in rows))
    scenarios = list(dict.fromkeys(r["scenario"] for r in rows))
    most = max([1.2] + [statistics.median(r[key]) for r in rows if r[key]]) * 1.2  # one odd round must not flatten all bars
    group = (WIDTH - LEFT - 10) / len(scenarios)
    bar = group * 0.8 / len(engines)

    def y(value):
        return HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>']
    for i, engine in enumerate(engines):
        x = WIDTH - 140 * (len(engines) - i)
        out.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{COLOURS[i % 4]}"/><text x="{x + 14}" y="33">{escape(engine)}</text>')
    step = 1 if most > 6 else 0.5 if most > 2 else 0.25
    for n in range(int(most / step) + 1):
        v = n * step
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="{"#000" if v == 1 else "#ddd"}"/>'
                   f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:g}</text>')
    for s, scenario in enumerate(scenarios):
        left = LEFT + s * group + group * 0.1
        out.append(f'<text x="{left + group * 0.4:.1f}" y="{HEIGHT - 16}" text-anchor="middle">{escape(scenario)}</text>')
        for i, engine in enumerate(engines):
            for r in rows:
                if r["engine"] != engine or r["scenario"] != scenario or not r[key]:
                    continue
                x, mid = left + i * bar, statistics.median(r[key])
                out.append(f'<rect x="{x:.1f}" y="{y(mid):.1f}" width="{bar * 0.9:.1f}" height="{y(0) - y(mid):.1f}" fill="{COLOURS[i % 4]}"/>'
                           f'<line x1="{x + bar * 0.45:.1f}" x2="{x + bar * 0.45:.1f}" y1="{y(min(r[key])):.1f}" y2="{y(min(most, max(r[key]))):.1f}" stroke="#000"/>')
                if max(r[key]) > most:
                    out.append(f'<text x="{x + bar * 0.6:.1f}" y="{y(most) + 10:.1f}" font-size="9">{max(r[key]):.1f}</text>')
    return "\n".join(out + ["</svg>", ""])


def lines(series, title, x_title, y_title):
    """A picture of curves: {name: [(x, y), …]}, from zero on."""
    right = max(x for points in series.values() for x, _ in points) or 1
    most = max(y for points in series.values() for _, y in points) * 1.1 or 1

    def at(x, y):
        return LEFT + x / right * (WIDTH - LEFT - 20), HEIGHT - BOTTOM - y / most * (HEIGHT - BOTTOM - TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
           f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_title)}</text>',
           f'<text x="12" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 12 {HEIGHT / 2})">{escape(y_title)}</text>']
    for i in range(6):
        (x, base), (left, y) = at(right * i / 5, 0), at(0, most * i / 5)
        out.append(f'<line x1="{left}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{most * i / 5:.0f}</text>'
                   f'<text x="{x:.1f}" y="{base + 16:.1f}" text-anchor="middle">{right * i / 5:.0f}</text>')
    for i, (name, points) in enumerate(series.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in points))
        out.append(f'<polyline fill="none" stroke="{COLOURS[i % 4]}" stroke-width="2" points="{path}"/>'
                   f'<rect x="{WIDTH - 220 * (len(series) - i)}" y="24" width="10" height="10" fill="{COLOURS[i % 4]}"/>'
                   f'<text x="{WIDTH - 220 * (len(series) - i) + 14}" y="33">{escape(name)}</text>')
    return "\n".join(out + ["</svg>", ""])


def write(rows, folder):
    """One picture for requests a second, one for processor time; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"ratio.svg": _bars(rows, "ratio", "requests/s, to the floor's (higher is better)"),
                "cpu.svg": _bars(rows, "cpu_ratio", "processor time of a request, to the floor's (lower is better)")}
    for name, text in pictures.items():
        (folder / name).write_text(text)
    return [folder / name for name in pictures]


def write_lines(path, lines, x_label, y_label):
    """lines: {name: [(x, y), …]}, all above 0. Gives the path."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [max(y, 1e-3) for points in lines.values() for _, y in points]
    x_low, x_high = math.log10(min(xs)), math.log10(max(xs))
    y_low, y_high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)) + 1e-9)
    height, bottom, right = 360, 52, 230

    def at(x, y):
        return (LEFT + 16 + (math.log10(x) - x_low) / max(x_high - x_low, 1e-9) * (WIDTH - LEFT - 16 - right),
                height - bottom - (math.log10(max(y, 1e-3)) - y_low) / max(y_high - y_low, 1) * (height - bottom - 20))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
           f'<text x="{(LEFT + WIDTH - right) / 2:.0f}" y="{height - 12}" text-anchor="middle">{escape(x_label)}</text>',
           f'<text x="14" y="{height / 2:.0f}" text-anchor="middle" transform="rotate(-90 14 {height / 2:.0f})">{escape(y_label)}</text>']
    for k in range(y_low, y_high + 1):
        y = at(10 ** x_low, 10 ** k)[1]
        out.append(f'<line x1="{LEFT + 16}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>'
                   f'<text x="{LEFT + 10}" y="{y + 4:.1f}" text-anchor="end">{10 ** k:,g}</text>')
    for x in sorted(set(xs)):
        px = at(x, 10 ** y_low)[0]
        out.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="20" y2="{height - bottom}" stroke="#eee"/>'
                   f'<text x="{px:.1f}" y="{height - bottom + 16}" text-anchor="middle">{x:,}</text>')
    for i, (name, points) in enumerate(lines.items()):
        colour, dash = COLOURS[i % max(1, len(lines) // 2) % 4], ' stroke-dasharray="6 3"' if i >= len(lines) / 2 else ""
        path_text = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(x, y) for x, y in points))
        out.append(f'<polyline points="{path_text}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        y = 30 + 18 * i
        out.append(f'<line x1="{WIDTH - right + 10}" x2="{WIDTH - right + 34}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>'
                   f'<text x="{WIDTH - right + 40}" y="{y + 4}">{escape(name)}</text>')
    path.write_text("\n".join(out + ["</svg>", ""]))
    return path
