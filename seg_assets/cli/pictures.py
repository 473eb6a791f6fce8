"""The pictures of the latest refresh as files: what the Dagster UI shows on each asset, on one page."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import Any

from seg_assets.graph import Graph

PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def write_pictures(graph: Graph, instance: Any, found: dict[str, Any]) -> Path:
    """Writes every picture of the newest materializations, and a page with all of them, into `report/` of the lake.

    Args:
        graph: whose assets.
        instance: the Dagster instance that remembers the materializations.
        found: the refresh's summary.

    Returns:
        The page.
    """
    folder = Path(graph.project.home if graph.project.config.lake_is_remote else graph.project.lake) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for key in sorted(instance.all_asset_keys(), key=lambda k: k.path):
        event = instance.get_latest_materialization_event(key)
        metadata = event.asset_materialization.metadata if event and event.asset_materialization else {}
        for name, entry in metadata.items():
            match = PICTURE.search(str(getattr(entry, "md_str", "")))
            if match:
                file = folder / f"{'_'.join(key.path)}_{name}.png"
                file.write_bytes(base64.b64decode(match[1]))
                figures.append((key.to_user_string(), file.name))
    page = folder / "index.html"
    page.write_text(_page(graph.project.title, found, figures), encoding="utf-8")
    return page


def _page(title: str, found: dict[str, Any], figures: list[tuple[str, str]]) -> str:
    segments = "".join(f"<tr><td>{html.escape(s['id'])}<td>{s['size']:,}" for s in found["segments"])
    personas = "".join(f"<tr><td>{html.escape(p['label'])}<td>{p['size']:,}" for p in found["personas"])
    held = "".join(f"<tr><td>{html.escape(d['destination'])}: {html.escape(d['audience'])}<td>{d['members']:,}" for d in found["destinations"])
    pictures = "".join(f'<figure><img src="{f}" alt="{html.escape(key)}"><figcaption>{html.escape(key)}</figcaption></figure>' for key, f in figures)
    counts = found["deliveries"]
    values = {
        "title": html.escape(title),
        "people": f"{found['people']:,}",
        "as_of": html.escape(str(found["as_of"])),
        "delivered": f"{counts['acked']:,} acknowledged, {counts['rejected']:,} rejected, {counts['pending']:,} pending",
        "segments": segments,
        "personas": personas,
        "held": held,
        "pictures": pictures,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], _TEMPLATE)


_TEMPLATE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{title}}</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.1rem;margin-top:2rem}p{color:#57606a;margin-top:.2rem}
.tables{display:flex;flex-wrap:wrap;gap:3rem}table{border-collapse:collapse}td{padding:.2rem .8rem .2rem 0;border-bottom:1px solid #d8dde3}
td+td{text-align:right;font-variant-numeric:tabular-nums}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(26rem,1fr));gap:1.5rem}
figure{margin:0;border:1px solid #d8dde3;border-radius:8px;padding:.8rem}img{width:100%}figcaption{color:#57606a;font-size:.85rem}
</style>
<h1>{{title}}</h1><p>{{people}} people as of {{as_of}}. Deliveries: {{delivered}}.</p>
<div class="tables"><div><h2>Segments</h2><table>{{segments}}</table></div><div><h2>Personas</h2><table>{{personas}}</table></div>
<div><h2>Held by destinations</h2><table>{{held}}</table></div></div>
<h2>Pictures</h2><div class="pictures">{{pictures}}</div></html>
"""
