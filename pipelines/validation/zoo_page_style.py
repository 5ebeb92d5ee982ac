"""The style sheet of a zoo's page, after that of the validation report."""

from bapps_gen.pipelines.validation.page_style import STYLE

ZOO_STYLE = (
    STYLE
    + """
:root {
  --c-null: #6b7480; --c-pink_noise: #c2478a; --c-white_noise: #2f6f8f;
  --c-color_removal: #b7791f; --c-downsampling: #3a7d44;
}
@media (prefers-color-scheme: dark) {
  :root {
    --c-null: #a3adb8; --c-pink_noise: #f08fc0; --c-white_noise: #6db3d3;
    --c-color_removal: #e5b45c; --c-downsampling: #7ccb88;
  }
}
a { color: var(--mine); }
.null { --mine: var(--c-null); }
.pink_noise { --mine: var(--c-pink_noise); }
.white_noise { --mine: var(--c-white_noise); }
.color_removal { --mine: var(--c-color_removal); }
.downsampling { --mine: var(--c-downsampling); }
.kinds { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; margin: 0 0 12px; }
.kinds span { display: inline-flex; align-items: center; gap: 6px; }
.strength { display: grid; grid-template-columns: 2.4em 1fr; }
.strength .scale { position: relative; font-size: 11.5px; color: var(--soft); }
.strength .scale span { position: absolute; right: 8px; transform: translateY(-50%); }
.strength svg { display: block; width: 100%; height: 260px; }
.strength svg { border-bottom: 1px solid var(--mark); border-left: 1px solid var(--mark); }
.strength a line { stroke: var(--mine); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.strength a rect { fill: var(--mine); opacity: 0.45; }
.strength a rect.whole { fill: transparent; }
.strength a line.middle { stroke-width: 3; }
.strength a:hover rect.whole { fill: var(--rule); }
.strength .limit {
  stroke: var(--bad); stroke-dasharray: 4 3; vector-effect: non-scaling-stroke;
}
.strength figcaption, .legendary { grid-column: 2; font-size: 12px; color: var(--soft); }
.kinship { display: flex; flex-wrap: wrap; gap: 8px; }
.kin {
  display: flex; flex-wrap: wrap; gap: 4px; border: 1px solid var(--rule); border-radius: 6px;
  padding: 5px 5px 2px;
}
.kin > * { display: block; width: 64px; color: inherit; text-decoration: none; font-size: 11.5px; }
.kin a b { font-weight: 600; color: var(--mine); }
.kin img { display: block; width: 64px; height: 64px; border-radius: 2px; }
.zoo { display: grid; grid-template-columns: 1fr 1fr; gap: 22px 24px; margin-bottom: 30px; }
.zoo > *, .twins > * { min-width: 0; }
.inputs {
  position: sticky; top: 0; z-index: 2; background: var(--card); padding: 6px 0;
  align-self: start; font-size: 12px; color: var(--soft); border-bottom: 1px solid var(--rule);
}
.input { display: block; width: 100%; background-size: 100% 100%; image-rendering: pixelated; }
.strip { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.change { margin-top: 3px; }
.distorter h4 {
  font-size: 14px; margin: 0 0 2px; font-weight: 400; display: flex; gap: 8px;
  align-items: baseline; flex-wrap: wrap;
}
.distorter h4 b { color: var(--mine); font-size: 15px; }
.distorter p, .twins p {
  margin: 4px 0 0; font-size: 11.5px; line-height: 1.4; color: var(--soft);
}
.distorter:target { outline: 2px solid var(--mine); outline-offset: 6px; border-radius: 4px; }
.distorter { scroll-margin-top: 160px; }
.reading { display: grid; grid-template-columns: 1fr max-content; gap: 10px; font-size: 12.5px; }
.reading .box { height: 18px; border: none; background: linear-gradient(var(--rule), var(--rule))
  center / 100% 1px no-repeat; }
.reading .whisker { top: 8px; background: var(--mine); }
.reading .half { top: 4px; height: 10px; background: var(--mine); opacity: 0.45; }
.reading .median { top: 2px; height: 14px; }
.fault {
  color: var(--card); background: var(--bad); border-radius: 3px; padding: 0 6px; font-size: 12px;
}
.twins { display: grid; grid-template-columns: 1fr 1fr; gap: 22px 24px; margin-bottom: 24px; }
.twins h4 { margin: 0 0 4px; font-size: 14px; }
.twins figure { display: grid; grid-template-columns: 3.4em 1fr; gap: 3px 8px; }
.twins figure span { font-size: 12px; align-self: center; overflow-wrap: anywhere; }
.matrix table { border-collapse: separate; border-spacing: 0; font-size: 8.5px; margin: 0 auto; }
.matrix th { font-weight: 400; color: var(--mine); line-height: 1; padding: 0; }
.matrix th[scope=row] {
  text-align: right; padding-right: 3px; position: sticky; left: 0; background: var(--card);
  white-space: nowrap;
}
.matrix th[scope=col] { vertical-align: bottom; padding-bottom: 3px; }
.matrix th[scope=col] span { writing-mode: vertical-rl; transform: rotate(180deg); }
.matrix td {
  width: var(--cell); min-width: var(--cell); height: var(--cell);
  padding: 0; font-size: 0; line-height: 0;
  background: color-mix(in oklab, var(--heat) var(--v, 0%), var(--cold));
}
.matrix td.self { background: none; }
.matrix.few table { font-size: 12px; border-spacing: 2px; }
.matrix.few td {
  font-size: 11.5px; width: 40px; min-width: 34px; height: 27px; text-align: center;
  line-height: 1;
}
.matrix.few td.hot { color: var(--hot-ink); }
.ramp { display: flex; align-items: center; gap: 8px; font-size: 12px; color: var(--soft); }
.ramp i {
  width: 140px; height: 10px; border-radius: 2px;
  background: linear-gradient(90deg, var(--heat), var(--cold));
}
.axes { display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; font-size: 13px; }
.axes dt { color: var(--soft); }
.axes dd { margin: 0; display: flex; flex-wrap: wrap; gap: 4px 14px; }
.axes i { font-style: normal; color: var(--soft); }
details summary { cursor: pointer; font-size: 13.5px; margin-bottom: 8px; }
@media (max-width: 760px) {
  .zoo, .twins { grid-template-columns: minmax(0, 1fr); }
  .inputs + .inputs { display: none; }
  .strength svg { height: 200px; }
  .kin > *, .kin img { width: 44px; }
  .kin img { height: 44px; }
  .axes { grid-template-columns: minmax(0, 1fr); gap: 2px; }
  .axes dd { margin-bottom: 8px; }
}
"""
)
