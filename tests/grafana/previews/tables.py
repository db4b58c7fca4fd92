"""Tables, and panels of plain text."""

from __future__ import annotations

import re

from tests.grafana.previews.drawing import Canvas, escape, hidden
from tests.support.grafana_data import Cell, Field

ROW = 36


def table(canvas: Canvas) -> str:
    """The first frame; rows that do not fit are cut off, as behind a scroll bar."""
    frames = canvas.shown.frames
    if not frames:
        return canvas.empty
    fields = [field for field in frames[0].fields if not hidden(field)]
    rows = min(max((len(field.values) for field in fields), default=0), int(canvas.height // ROW) + 1)
    columns = "".join(f'<col style="width:{_width(field)}">' for field in fields)
    head = "".join(f'<th style="text-align:{_align(field)}">{escape(field.display_name)}</th>' for field in fields)
    body = "".join(
        "<tr>" + "".join(_cell(field, field.cells[row], field.values[row]) for field in fields) + "</tr>"
        for row in range(rows)
    )
    return f'<table class="table"><colgroup>{columns}</colgroup><tr>{head}</tr>{body}</table>'


def _width(field: Field) -> str:
    width = field.config.get("custom", {}).get("width")
    return f"{width}px" if width else "auto"


def _align(field: Field) -> str:
    align = field.config.get("custom", {}).get("align", "auto")
    if align in ("left", "right", "center"):
        return str(align)
    return "right" if field.type == "number" and not field.config.get("mappings") else "left"


def _cell(field: Field, cell: Cell, value: object) -> str:
    kind = field.config.get("custom", {}).get("cellOptions", {}).get("type", "auto")
    text = escape(cell.text) if cell.text else "&nbsp;"
    style = f"text-align:{_align(field)};"
    if cell.links:
        text = f'<a title="{escape(cell.links[0].url)}">{text}</a>'
    if kind == "color-text" and cell.color:
        style += f"color:{cell.color};"
    elif kind == "color-background" and cell.color and value is not None:
        style += f"background:{cell.color};color:#fff;"
    elif kind == "gauge" and isinstance(value, int | float):
        low, high = field.config.get("min", 0), field.config.get("max", 1)
        share = min(1.0, max(0.0, (value - low) / ((high - low) or 1)))
        text = f'<span class="bar"><b style="width:{share:.0%};background:{cell.color}"></b></span><u>{text}</u>'
    return f'<td style="{style}">{text}</td>'


def text(canvas: Canvas) -> str:
    """Markdown's plainest parts."""
    content = str(canvas.options.get("content", ""))
    if canvas.options.get("mode") == "html":
        return f'<div class="text">{content}</div>'
    said = escape(content)
    said = re.sub(r"^#+ (.+)$", r"<h3>\1</h3>", said, flags=re.MULTILINE)
    said = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", said)
    said = re.sub(r"`(.+?)`", r"<code>\1</code>", said)
    said = re.sub(r"\[(.+?)\]\(.+?\)", r"<a>\1</a>", said)
    said = re.sub(r"^[-*] (.+)$", r"<li>\1</li>", said, flags=re.MULTILINE)
    return f'<div class="text">{said.replace(chr(10) * 2, "<p>")}</div>'
