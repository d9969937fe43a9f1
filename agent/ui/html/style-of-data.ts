// The style sheet of tables and charts.

export const DATA_STYLE = String.raw`
.table{margin:.4rem 0 .6rem;min-width:0}
.scroll{overflow:auto;max-height:min(34rem,75vh);border:1px solid var(--border);border-radius:.6rem}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.875rem;
font-variant-numeric:tabular-nums}
.caption{color:var(--muted);font-size:.875rem;margin:.1rem 0 .5rem;max-width:75ch}
.table th,.table td{padding:.34rem .7rem;text-align:left;vertical-align:top;
border-bottom:1px solid var(--sunken);font-weight:400}
.table tbody tr:last-child>*{border-bottom:0}
.table tbody tr:hover>*{background:var(--sunken)}
.table thead th{position:sticky;top:0;z-index:2;background:var(--sunken);white-space:nowrap;
font-weight:600;padding:0 .75rem;height:2.2rem;vertical-align:middle;color:var(--text)}
.table thead th[aria-sort]{padding:0}
.table tbody th{position:sticky;left:0;background:var(--surface);z-index:1}
.table thead th:first-child{left:0;z-index:3}
.table .n{text-align:right;white-space:nowrap}
.table .c,.table .w{overflow-wrap:anywhere;min-width:min(14rem,39vw)}
.table tbody th{max-width:min(24rem,58vw)}
.table .q{white-space:nowrap}
th button{font:inherit;color:inherit;background:none;border:0;width:100%;height:2.2rem;
padding:0 .75rem;text-align:inherit;white-space:nowrap;cursor:pointer}
th button:disabled{cursor:default;color:inherit}
th button:focus-visible{outline-offset:-3px}
th button{position:relative}
th button i{font-style:normal;color:var(--muted);margin-left:.3rem}
th.n button i{position:absolute;right:.05rem;width:.7rem;text-align:center;margin:0}
th button:enabled i::after{content:"\2195";opacity:.55}
th[aria-sort=ascending] button i::after{content:"\2191";opacity:1;color:var(--accent)}
th[aria-sort=descending] button i::after{content:"\2193";opacity:1;color:var(--accent)}
th button:enabled:hover{color:var(--accent)}
.bar{min-width:7rem;width:22%}
.mini{display:block;width:100%;height:.7rem;margin-top:.33rem}
.mini rect{fill:var(--blue)}
.tools{display:flex;gap:.75rem;align-items:center;margin-bottom:.5rem;font-size:.875rem;
color:var(--muted)}
.tools input{font:inherit;color:var(--text);background:var(--surface);
border:1px solid var(--control);
border-radius:.5rem;padding:.3rem .7rem;width:min(16rem,55vw);margin-left:.35rem}
.found{font-variant-numeric:tabular-nums}
.figure{margin:0 0 1.4rem;min-width:0}
.figure:last-child{margin-bottom:0}
.figure figcaption{margin-bottom:.7rem}
.figure figcaption p{color:var(--muted);font-size:.9rem;max-width:75ch;margin-top:.15rem}
.side{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));
gap:0 2rem;margin-bottom:1.2rem}
.side .legend{margin-bottom:1rem}
.side.uneven{grid-template-columns:1fr}
@media(min-width:60rem){.side.uneven{grid-template-columns:minmax(0,2fr) minmax(0,5fr)}}
.side .figure{margin:0;display:grid;grid-row:span 3;grid-template-rows:subgrid;gap:0}
.side .legend{align-content:start}
.legend{list-style:none;padding:0;margin:.7rem 0 0;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;
font-size:.84rem}
.legend li{display:flex;align-items:center;gap:.45rem}
.legend small{color:var(--muted);font-size:1em;font-variant-numeric:tabular-nums}
.swatch{flex:none;border-radius:2px}
.swatch rect{stroke:var(--control);stroke-opacity:.35}
.data{margin-top:.6rem;font-size:.84rem}
.data>summary{cursor:pointer;color:var(--muted);padding:.15rem 0;width:fit-content}
.data>summary:hover{color:var(--accent)}
.drawing{display:block;overflow:visible;max-width:100%}
.drawing text,.axis text{font-size:11px;fill:var(--muted);font-variant-numeric:tabular-nums}
.chart{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.5rem;container-type:inline-size}
.chart{width:100%}
.axis .end{text-anchor:end}
.chart line{stroke:var(--border);stroke-width:1}
.chart .hit{fill:transparent}
.chart g:hover .hit{fill:var(--sunken)}
.chart .peak{stroke:var(--text);stroke-width:1.5}
.drawing .value,.drawing .label,.drawing .band{text-anchor:middle}
.drawing .value{fill:var(--text);font-weight:600}
@container(max-width:34rem){.wide-only{display:none}}
.map{max-width:30rem}
.map .drawing{width:100%;height:auto}
.map .row{text-anchor:end;font-size:10px}
.map .band{fill:var(--text);font-size:10px;paint-order:stroke;stroke:var(--surface);
stroke-width:3px}
.map .unsent{fill:var(--sunken)}
.map .grid{stroke:var(--surface);stroke-width:.8;fill:none}
.map .cursor{fill:none;stroke:var(--text);stroke-width:2;pointer-events:none}
.probe{background:var(--sunken);border-radius:.6rem;padding:.6rem .9rem;margin:0 0 1rem;
font-size:.875rem;display:grid;gap:.3rem}
.probe label{display:flex;gap:.75rem;align-items:center;flex-wrap:wrap;color:var(--muted)}
.probe input{flex:1;min-width:10rem;accent-color:var(--accent)}
.probe output{min-height:2.6em;overflow-wrap:anywhere}
@media(min-width:60rem){.probe output{min-height:1.5em}}
.shares .drawing{border-radius:.4rem;overflow:hidden}
.shares .drawing rect{stroke:var(--surface);stroke-width:2}
.zoom{color:var(--muted);font-size:.84rem;margin:.6rem 0 .3rem}
.shares-table{width:auto;min-width:min(100%,28rem);margin-top:.7rem}
.shares-table th{text-align:left;font-weight:400;padding:.16rem 1.5rem .16rem 0}
.shares-table th .swatch{margin-right:.55rem;vertical-align:-.15em}
.shares-table td{padding:.16rem 0 .16rem 1rem;text-align:right;white-space:nowrap}
.strip .drawing{border-radius:.4rem;background:var(--sunken);overflow:hidden}
.ends{display:flex;justify-content:space-between;color:var(--muted);font-size:.8rem;
margin-top:.2rem;
font-variant-numeric:tabular-nums}
@media print{
body{background:none;font-size:10pt}
.section{border:0;padding:0;break-inside:auto}
.figure,.tile,.notice{break-inside:avoid}
.scroll,pre{max-height:none;overflow:visible}
.table thead th,.table tbody th{position:static}
.theme,.skip,nav.sections,.tools,.probe,.data>summary{display:none!important}
th button i{display:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`;
