"""The page in a real browser: what a model wrote stays text, nothing is loaded, and a phone shows all of it.

The page has no script, so it cannot measure itself. A harness page of the test loads it in a frame of the same origin,
looks inside and writes what it saw into its own DOM, which Chromium dumps.
"""

import json
import re
import shutil
import subprocess
import threading
from functools import partial
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from examples import CAVEATS, ENV, METRICS, NOTES, SUBJECTS, TITLES, exchanges, results

from boresight.lm.base import Span
from boresight.report.page import Answer, Exchange, render_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
HARNESS = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="f" src="/report.html" width="%d" height="900" style="border:0"></iframe>
<pre id="seen"></pre>
<script>
document.getElementById("f").onload = (event) => {
  const frame = event.target, win = frame.contentWindow, doc = win.document;
  for (const fold of doc.querySelectorAll("details")) fold.open = true;
  // Words that are cut off at a side are as lost as words that make the page scroll. Wide tables scroll in their box.
  const out = [], texts = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = texts.nextNode()); ) {
    const boxed = win.innerWidth > 760 && node.parentElement.closest(".scroll");
    if (boxed || node.parentElement.closest("svg")) continue;
    for (const word of node.data.matchAll(/[^ \\n\\t]+/g)) {
      const range = doc.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const box = range.getBoundingClientRect();
      if (box.right > win.innerWidth + 1 || box.left < -1) out.push(word[0].slice(0, 60));
    }
  }
  document.getElementById("seen").textContent = JSON.stringify({
    width: win.innerWidth,
    scroll: doc.documentElement.scrollWidth,
    height: doc.documentElement.scrollHeight,
    outside: out,
    pwned: [...Object.keys(win), ...Object.keys(window)].filter((k) => k.startsWith("pwned")),
    title: doc.title,
    tags: [...new Set([...doc.querySelectorAll("*")].map((e) => e.localName))],
    handlers: [...doc.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => /^on/i.test(a.name))).length,
    links: [...doc.querySelectorAll("a")].map((a) => a.getAttribute("href")),
    answers: [...doc.querySelectorAll(".text")].map((e) => e.textContent),
    marks: [...doc.querySelectorAll(".text mark")].map((e) => [e.textContent, e.title]),
    dark: win.matchMedia("(prefers-color-scheme: dark)").matches,
    background: win.getComputedStyle(doc.body).backgroundColor,
    colour: win.getComputedStyle(doc.body).color,
  });
};
</script>
"""
HOSTILE = (
    "<script>window.pwned1 = 1; top.pwned1 = 1</script>",
    "<img src=x onerror='window.pwned2 = 1'><svg onload='window.pwned3 = 1'><body onload='window.pwned4 = 1'>",
    "</div></article></details></main><script>pwned5 = 1</script>",
    "</style><script>pwned6 = 1</script><style>* { display: none }</style>",
    "--><script>pwned7 = 1</script><!-- ]]> </title></textarea><script>pwned8 = 1</script>",
    "<a href='javascript:pwned9 = 1' autofocus onfocus='pwned9 = 1'>click</a> [x](javascript:pwned9=1)",
    "<img src='/leak-image'><link rel=stylesheet href='/leak-style'><iframe src='/leak-frame'></iframe>",
    "<meta http-equiv=refresh content='0; url=/leak-refresh'><base href='/leak-base/'>",
    "<style>@import '/leak-import'; body { background: url(/leak-url) }</style><form action=/leak-form>",
    "{{ 7 * 7 }} {% raw %} {# comment #} ${pwned} &lt;script&gt; &#60;b&#62; &amp;",
    "reversed \u202egnp.exe\u202c and \u2067isolated\u2069 and nul \x00 and escape \x1b[2J and bell \x07",
    "W" * 3000,
    "https://example.invalid/" + "a/" * 400,
    '" onmouseover="pwned10 = 1" x="',
    "\U0001f469\u200d\U0001f52c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 " + "e" + "\u0301" * 300,
    "| a | b |\n|---|---|\n" + "\t" * 60 + "tabbed",
)


class Site(BaseHTTPRequestHandler):
    """Serves the pages it was given and writes down every path that was asked for."""

    def __init__(self, pages, asked, *args):
        self.pages, self.asked = pages, asked
        super().__init__(*args)

    def do_GET(self):
        self.asked.append(self.path)
        body = self.pages.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, format, *args):
        pass


def browse(html, tmp_path, *, width=1280, flags=()):
    """(what the harness saw in the page at this width, paths that the browser asked for)."""
    pages, asked = {"/report.html": html, "/": HARNESS % width}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, pages, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(
            [
                str(CHROMIUM),
                *FLAGS,
                *flags,
                f"--user-data-dir={tmp_path / 'profile'}",
                "--window-size=1400,1000",
                "--virtual-time-budget=10000",
                "--dump-dom",
                f"http://127.0.0.1:{server.server_port}/",
            ],
            capture_output=True,
            timeout=120,
        )
    finally:
        server.shutdown()
        server.server_close()
    dom = done.stdout.decode("utf-8", "replace")
    found = re.search(r'<pre id="seen">(.+?)</pre>', dom, re.S)
    assert found, f"the harness saw nothing: {dom[-500:]}{done.stderr.decode('utf-8', 'replace')[-2000:]}"
    return json.loads(unescape(found[1])), asked


def page(shown, run=None, **changes):
    given = {
        "metrics": METRICS,
        "titles": TITLES,
        "notes": NOTES,
        "env": ENV,
        "title": "boresight demo",
        "caveats": CAVEATS,
        **changes,
    }
    return render_page(run or results(), shown, **given)


def hostile_page():
    """Hostile text wherever a model, a data set or a user can put text."""
    shown = []
    for i, text in enumerate(HOSTILE):
        half = len(text) // 2
        spans = (Span(text, text[:half], 0.1, "nudge"), Span("base", text[half:]))
        answers = tuple(Answer(s.name, text, text, 1, spans, {text: 1.0}) for s in SUBJECTS)
        shown.append(Exchange("facts", f"{i} {text}", text, text, answers))
    evil = HOSTILE[2]
    run = results()
    rename = {s.name: f"{s.name} {text}" for s, text in zip(SUBJECTS, HOSTILE[:4], strict=True)}
    run = run.model_copy(
        update={
            "subjects": [s.model_copy(update={"name": rename[s.name], "policy": evil}) for s in run.subjects],
            "measures": [
                m.model_copy(update={"subject": rename[m.subject], "grader": evil, "notes": evil}) for m in run.measures
            ],
            "comparisons": [
                c.model_copy(update={"a": rename[c.a], "b": rename[c.b], "test": evil}) for c in run.comparisons
            ],
        }
    )
    return page(
        shown,
        run,
        titles=dict.fromkeys(TITLES, evil),
        notes=dict.fromkeys(TITLES, HOSTILE),
        env={text: [text, {text: text}] for text in HOSTILE},
        title=HOSTILE[3],
        caveats=HOSTILE,
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_output_stays_inert_text(tmp_path, width):
    seen, asked = browse(hostile_page(), tmp_path, width=width)
    assert seen["width"] == width
    assert seen["pwned"] == []
    assert seen["handlers"] == 0
    assert not {"script", "iframe", "object", "embed", "base", "form", "img", "textarea"} & set(seen["tags"])
    assert all(link.startswith("#") for link in seen["links"])
    assert seen["title"] == HOSTILE[3]
    assert set(asked) <= {"/", "/report.html", "/favicon.ico"}  # the last one is the harness's own
    assert asked.count("/report.html") == 1
    shown = seen["answers"]
    assert len(shown) == len(HOSTILE) * len(SUBJECTS)
    for text in (HOSTILE[0], HOSTILE[3], HOSTILE[9]):
        assert shown.count(text) == len(SUBJECTS)
    assert "reversed U+202Egnp.exeU+202C and U+2067isolatedU+2069 and nul U+0000 and escape U+001B[2J" in shown[40]
    half = HOSTILE[0][: len(HOSTILE[0]) // 2]
    assert [half, f"written by {HOSTILE[0]}; the base model's top-1 probability was 10 %"] in seen["marks"]
    assert seen["scroll"] <= width
    assert seen["outside"] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_cut_off_or_makes_the_page_scroll_sideways(tmp_path, width):
    seen, _ = browse(page(exchanges(words=300)), tmp_path, width=width)
    assert seen["width"] == width
    assert seen["scroll"] <= width
    assert seen["outside"] == []


def test_the_page_follows_the_dark_scheme(tmp_path):
    html = page(exchanges(1))
    light, _ = browse(html, tmp_path / "light", flags=("--blink-settings=preferredColorScheme=1",))
    dark, _ = browse(html, tmp_path / "dark", flags=("--blink-settings=preferredColorScheme=0",))
    assert (light["dark"], dark["dark"]) == (False, True)
    assert brightness(light["background"]) > 200 > 60 > brightness(light["colour"])
    assert brightness(dark["background"]) < 60 < 200 < brightness(dark["colour"])


def test_the_harness_would_notice(tmp_path):
    """The checks above can fail: a page that does what they forbid is seen doing it."""
    html = (
        "<!doctype html><title>t</title><body style='margin:0'><script>window.pwned1 = 1</script>"
        "<img src='/leak' onerror='window.pwned2 = 1'><div style='overflow:hidden'><p style='margin-left:600px'>"
        "cut</p></div><p style='width:1500px;text-align:right'>far</p>"
    )
    seen, asked = browse(html, tmp_path, width=390)
    assert {"pwned1", "pwned2"} <= set(seen["pwned"])
    assert seen["handlers"] == 1
    assert "/leak" in asked
    assert seen["scroll"] == 1500
    assert seen["outside"] == ["cut", "far"]


def brightness(rgb):
    return sum(map(int, re.findall(r"\d+", rgb)[:3])) / 3
