"""The style sheet of the validation report; light and dark, from phones to wide screens."""

STYLE = """
:root {
  --page: #f6f5f2; --card: #ffffff; --ink: #1d2329; --soft: #626b74; --rule: #dcdad4;
  --mine: #2f6f8f; --mine-soft: #b9d3de; --theirs: #c2571a; --mark: #8a8f94;
  --cold: #edf3f5; --heat: #0f4f70; --hot-ink: #ffffff;
  --good: #2b7a4b; --bad: #b3382c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181b; --card: #1c2125; --ink: #e6e8e8; --soft: #9aa3aa; --rule: #333a40;
    --mine: #6db3d3; --mine-soft: #2c4d5d; --theirs: #f0965a; --mark: #7d858b;
    --cold: #22282d; --heat: #8fd0ec; --hot-ink: #10161a;
    --good: #67c48c; --bad: #f08a7e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 0 0 6px; }
section {
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 18px 20px 20px; margin-top: 18px;
}
section > p { margin: 0 0 16px; color: var(--soft); max-width: 75ch; }
header dl { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 0 0 18px; }
header dt { color: var(--soft); font-size: 12px; }
header dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 10px; }
.tile {
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px;
}
.tile b { display: block; font-size: 23px; line-height: 1.2; font-weight: 600; }
.tile span { color: var(--soft); font-size: 12.5px; line-height: 1.35; display: block; }
.verdict { border-left: 4px solid; padding: 8px 14px; margin: 0 0 16px; background: var(--card); }
.verdict ul { margin: 4px 0 0; padding-left: 18px; }
.verdict.good { border-color: var(--good); }
.verdict.good b { color: var(--good); }
.verdict.bad { border-color: var(--bad); }
.verdict.bad b { color: var(--bad); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 24px; }
.pair > *, .tiles > * { min-width: 0; }
figure { margin: 0; }
.histogram figcaption { font-weight: 600; font-size: 13px; margin-bottom: 6px; }
.histogram svg { display: block; width: 100%; height: 190px; border-bottom: 1px solid var(--mark); }
.histogram rect { fill: var(--mine); }
.histogram polyline { fill: none; stroke: var(--theirs); stroke-width: 2; }
.histogram line { stroke: var(--soft); stroke-dasharray: 4 3; }
.histogram line, .histogram polyline { vector-effect: non-scaling-stroke; }
.ticks { position: relative; height: 18px; font-size: 11.5px; color: var(--soft); }
.ticks span { position: absolute; transform: translateX(-50%); top: 2px; }
.ticks span:first-child { transform: none; }
.ticks span:last-child { transform: translateX(-100%); }
.legend { display: flex; align-items: center; gap: 8px; font-size: 13px; }
.key { width: 14px; height: 10px; background: var(--mine); display: inline-block; }
.key.theirs { background: none; border-top: 3px solid var(--theirs); height: 0; margin-left: 12px; }
.boxes {
  display: grid; grid-template-columns: max-content 1fr max-content max-content;
  column-gap: 14px; align-items: center; font-size: 13.5px;
}
.boxes .name { text-align: left; }
.boxes .value, .boxes .count { text-align: right; }
.boxes .count, .boxes .head { color: var(--soft); }
.boxes .head { font-size: 12px; }
.box { position: relative; height: 22px; border-left: 1px solid var(--rule); }
.box i { position: absolute; }
.whisker { top: 10px; height: 2px; background: var(--mark); }
.half { top: 5px; height: 12px; background: var(--mine-soft); border-radius: 2px; }
.median { top: 3px; height: 16px; width: 3px; margin-left: -1.5px; background: var(--mine); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 14px; }
.card { border: 1px solid var(--rule); border-radius: 6px; padding: 8px 10px; }
.card figcaption { font-size: 12.5px; font-weight: 600; overflow-wrap: anywhere; }
.card svg { display: block; width: 100%; }
.card line { stroke: var(--rule); }
.card polyline { fill: none; stroke: var(--mine); stroke-width: 1.6; }
.card circle { fill: var(--mine); }
.card div { display: flex; justify-content: space-between; gap: 4px; font-size: 12.5px; }
.card b { margin-left: -0.4em; margin-right: auto; padding-left: 0.5em; }
.card span { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
.heat table {
  border-spacing: 2px; border-collapse: separate; font-size: 11.5px; width: 100%;
}
.heat th { font-weight: 400; }
.heat th[scope=row] {
  text-align: right; padding-right: 6px; white-space: nowrap;
  position: sticky; left: 0; background: var(--card);
}
.heat th[scope=col] { height: 132px; vertical-align: bottom; padding: 0 0 4px; }
.heat th[scope=col] span { writing-mode: vertical-rl; transform: rotate(180deg); }
.heat tbody td {
  width: 4%; min-width: 30px; height: 27px; text-align: center; border-radius: 2px;
}
.heat td[style] { background: color-mix(in oklab, var(--heat) var(--v), var(--cold)); }
.heat td.hot { color: var(--hot-ink); }
.heat td.alone { outline: 1.5px solid var(--theirs); outline-offset: -1.5px; }
.plain { width: 100%; font-size: 13.5px; }
.plain th {
  font-weight: 400; color: var(--soft); font-size: 12px; white-space: nowrap;
}
.plain td, .plain th { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--rule); }
.plain th:not(:first-child), .plain td:not(:first-child) { text-align: right; }
.plain th:first-child, .plain td:first-child { text-align: left; }
.scroll + .scroll { margin-top: 18px; }
.sheet {
  display: grid; gap: 20px 24px; grid-template-columns: repeat(auto-fill, minmax(306px, 1fr));
}
.row { display: flex; gap: 6px; align-items: flex-start; }
.row div { flex: 0 1 98px; min-width: 0; }
.row img {
  width: 100%; height: auto; aspect-ratio: 1; image-rendering: pixelated; display: block;
  border-radius: 2px;
}
.row em {
  font-style: normal; font-size: 12px; color: var(--soft); display: block; margin-top: 3px;
}
.row b, .row small { display: block; line-height: 1.3; overflow-wrap: anywhere; }
.row b { font-size: 11.5px; font-weight: 600; }
.row small { font-size: 11px; color: var(--soft); }
.notes { margin: 6px 0 0; padding-left: 18px; color: var(--soft); max-width: 80ch; }
@media (max-width: 520px) {
  main { padding: 20px 12px 40px; }
  section { padding: 14px 12px 16px; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .boxes {
    column-gap: 8px; font-size: 12px; grid-template-columns: minmax(0, 9.5em) 1fr max-content;
  }
  .boxes .name { overflow-wrap: anywhere; line-height: 1.2; padding: 2px 0; }
  .boxes > .count { display: none; }
  .boxes > .ticks + div + div { display: none; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .sheet { grid-template-columns: minmax(0, 1fr); }
  .cards { grid-template-columns: 1fr 1fr; }
}
"""
