"""Pictures of a benchmark, as SVG written by hand: bars of medians with their spreads, the floor as the line at 1."""
import statistics
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 320, 48, 40, 36
COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#805ad5")


def _bars(rows, key, title):
    engines = list(dict.fromkeys(r["engine"] for r in rows))
    scenarios = list(dict.fromkeys(r["scenario"] for r in rows))
    most = max([1.2] + [max(r[key]) for r in rows if r[key]]) * 1.05
    group = (WIDTH - LEFT - 10) / len(scenarios)
    bar = group * 0.8 / len(engines)

    def y(value):
        return HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>']
    for i, engine in enumerate(engines):
        x = WIDTH - 140 * (len(engines) - i)
        out.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{COLOURS[i % 4]}"/><text x="{x + 14}" y="33">{escape(engine)}</text>')
    step = 0.5 if most > 2 else 0.25
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
                           f'<line x1="{x + bar * 0.45:.1f}" x2="{x + bar * 0.45:.1f}" y1="{y(min(r[key])):.1f}" y2="{y(max(r[key])):.1f}" stroke="#000"/>')
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
