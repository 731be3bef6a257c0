"""Writes the pages that are made of the catalog and of taxonomy.toml; `make docs` runs it, a test compares."""

from pathlib import Path

from boresight.catalog import METHODS, cards
from boresight.taxonomy import leaves, libraries, surveys

HERE = Path(__file__).parent


def taxonomy_page() -> str:
    """docs/taxonomy.md: what the file says, which is the same on every machine."""
    found = leaves()
    counts = {s: sum(leaf.status == s for leaf in found) for s in ("ready", "planned", "not offered")}
    lines = [
        "# Taxonomy",
        "",
        f"Seven surveys divide the field of alignment into {len(found)} leaves. This page says what boresight offers",
        f"for each: {', '.join(f'{n} are {s}' for s, n in counts.items())}. It is made from the file that the command",
        "line reads; `boresight taxonomy` says the same for your machine, and tests by importing that what is called",
        "ready is there. A leaf marked ° is grouped by our reading, not by the survey's own list.",
        "",
        "```bash",
        "boresight taxonomy --survey shen2023 --status ready",
        "```",
    ]
    for survey in surveys():
        mine = [leaf for leaf in found if leaf.survey == survey.slug]
        ready = sum(leaf.status == "ready" for leaf in mine)
        lines += ["", f"## {survey.title}", ""]
        lines.append(
            f"{survey.authors}, {survey.year}, arXiv {survey.arxiv} (`{survey.slug}`): "
            f"{len(mine)} leaves, {ready} ready."
        )
        for branch in dict.fromkeys(leaf.branch for leaf in mine):
            lines += ["", f"### {branch}", "", "| leaf | feature | status |", "|---|---|---|"]
            for leaf in mine:
                if leaf.branch == branch:
                    items = f" ({', '.join(leaf.items)})" if leaf.items else ""
                    command = f"<br>`boresight {leaf.command}`" if leaf.command else ""
                    status = "**ready**" if leaf.status == "ready" else f"{leaf.status}: {leaf.reason}"
                    cells = leaf.name + " °" * leaf.ours, leaf.feature + items + command, status
                    lines.append(f"| {' | '.join(map(cell, cells))} |")
    lines += ["", "## Not in trl any more", "", "| name in older tutorials | here |", "|---|---|"]
    for library in libraries():
        lines += [f"| `{name}` | {cell(instead)} |" for name, instead in library.gone]
    return "\n".join(lines) + "\n"


def methods_page() -> str:
    """docs/methods/index.md: the cards."""
    lines = [
        "# Methods",
        "",
        "Every method with its card, as `boresight methods` prints it. What its paper claims, and what a small run",
        "shows of that, is on the page [Claims](../claims.md).",
        "",
        "| method | room | what it does |",
        "|---|---|---|",
    ]
    lines += [f"| [{c.title}]({c.slug}.md) (`{c.slug}`) | {c.room} | {cell(c.summary)} |" for c in cards()]
    for c in cards():
        lines += ["", f"## {c.title}", "", f"* Paper: {c.paper}", f"* Needs: {', '.join(c.needs)}"]
        lines += [f"* Module: `{METHODS[c.slug]}`", "", "```bash", c.example, "```"]
        if c.claims:
            lines += ["", "| claim | published | expected here |", "|---|---|---|"]
            lines += [f"| {' | '.join(map(cell, (x.statement, x.published, x.expected)))} |" for x in c.claims]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Text inside a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {HERE / "taxonomy.md": taxonomy_page, HERE / "methods" / "index.md": methods_page}

if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
