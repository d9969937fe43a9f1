// The style sheet of a page, beside palette and fills. One column on a phone, a list of sections at
// the side on a laptop. Sizes in rem follow the reader's own setting.

export const STYLE = String.raw`
*,*::before,*::after{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif}
code,pre,tbody .c,.pairs.code dd{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,
"Liberation Mono","DejaVu Sans Mono",monospace;font-size:.875em}
h1,h2,h3{line-height:1.25;margin:0;text-wrap:balance}
h1{font-size:clamp(1.6rem,1.2rem + 1.6vw,2.25rem);letter-spacing:-.02em;overflow-wrap:anywhere}
h2{font-size:1.3rem;letter-spacing:-.01em}
h3{font-size:1rem}
p{margin:0}
a{color:var(--accent);text-underline-offset:.15em}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
.tiles{position:absolute}
.skip{position:absolute;left:1rem;top:-4rem;z-index:9;background:var(--surface);padding:.5rem 1rem;
border-radius:0 0 .5rem .5rem}
.skip:focus{top:0}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:3px}
[hidden]{display:none!important}
.frame{max-width:86rem;margin:0 auto;padding:0 clamp(.9rem,3vw,2.5rem) 3rem}
.top{display:flex;justify-content:space-between;align-items:center;gap:1rem;padding:.9rem 0;
min-height:3.6rem;color:var(--muted);font-size:.875rem}
.theme{font:inherit;color:var(--text);background:var(--surface);border:1px solid var(--control);
border-radius:99px;padding:.3rem .9rem;cursor:pointer;white-space:nowrap}
.theme:hover{background:var(--sunken)}
.hero{padding:.5rem 0 1.5rem}
.hero .path{color:var(--muted);margin-top:.35rem;overflow-wrap:anywhere;font-size:.9rem}
.kicker{color:var(--muted);font-size:.875rem;margin-bottom:.2rem}
.chips{list-style:none;margin:.9rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.4rem}
.chips li{border:1px solid var(--border);background:var(--surface);border-radius:99px;
padding:.12rem .7rem;font-size:.84rem;overflow-wrap:anywhere}
.notice{display:flex;gap:.75rem;align-items:flex-start;border:1px solid var(--border);
border-left:4px solid currentColor;border-radius:.6rem;padding:.75rem 1rem;margin-top:1rem;
background:var(--surface);color:var(--muted);overflow-wrap:anywhere}
.notice>div{color:var(--text);min-width:0}
.notice b{font-weight:650}
.notice p+p{margin-top:.25rem}
.notice .mark{font-weight:700;line-height:1.5rem;width:1.5rem;text-align:center;flex:none;
border-radius:50%;border:1.5px solid currentColor;height:1.5rem;line-height:1.35rem;
font-size:.85rem}
.notice.good{color:var(--good);background:var(--good-back)}
.notice.warn{color:var(--warn);background:var(--warn-back)}
.notice.bad{color:var(--bad);background:var(--bad-back)}
.tiles-row{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;
margin:1.1rem 0 0}
.tile{background:var(--surface);border:1px solid var(--border);border-radius:.7rem;
max-width:18rem;padding:.7rem .95rem .8rem}
.tile dt{color:var(--muted);font-size:.8rem}
.tile dd{margin:0}
.tile b{display:block;font-size:1.4rem;font-weight:650;letter-spacing:-.01em;line-height:1.3;
font-variant-numeric:tabular-nums}
.tile span{color:var(--muted);font-size:.8rem;display:block;line-height:1.35}
nav.sections ul{list-style:none;margin:0;padding:0;display:flex;gap:.25rem}
nav.sections a{display:block;padding:.35rem .75rem;border-radius:.5rem;color:var(--muted);
text-decoration:none;white-space:nowrap;font-size:.9rem}
nav.sections a[aria-current]{color:var(--text);font-weight:600}
nav.sections a:hover{background:var(--sunken);color:var(--text)}
nav.sections{overflow-x:auto;margin:0 -.25rem 1rem;padding:.25rem;
border-block:1px solid var(--border)}
.section{background:var(--surface);border:1px solid var(--border);border-radius:.9rem;
padding:clamp(.9rem,2.2vw,1.5rem);margin:0 0 1.25rem;min-width:0}
.section-head{display:flex;flex-wrap:wrap;gap:.1rem 1rem;align-items:baseline;
justify-content:space-between;margin-bottom:.8rem}
.aside{color:var(--muted);font-size:.875rem;font-weight:400;font-variant-numeric:tabular-nums}
.say,.absent{max-width:70ch;margin:.4rem 0 .8rem}
.absent,.more{color:var(--muted)}
.more{font-size:.85rem;padding:.5rem 0}
.part{border-top:1px solid var(--border);margin-top:.9rem}
.part>summary{display:flex;flex-wrap:wrap;gap:.1rem .75rem;align-items:baseline;cursor:pointer;
padding:.65rem 0;list-style:none}
.part>summary::-webkit-details-marker{display:none}
.part>summary::before{content:"";width:.5rem;height:.5rem;border-right:2px solid var(--muted);
border-bottom:2px solid var(--muted);transform:rotate(-45deg);margin:0 .15rem;align-self:center}
.part[open]>summary::before{transform:rotate(45deg)}
.part>summary:hover h3{color:var(--accent)}
.part-body{padding-bottom:.4rem}
.part:last-child .part-body{padding-bottom:0}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,14rem),1fr));
gap:.1rem 1.5rem;margin:.4rem 0 .8rem}
.pairs>div{display:flex;justify-content:space-between;gap:1rem;
border-bottom:1px solid var(--sunken);
padding:.22rem 0;min-width:0}
.pairs dt{color:var(--muted);flex:none}
.pairs dd{margin:0;text-align:right;overflow-wrap:anywhere;min-width:0;
font-variant-numeric:tabular-nums}
.pairs.code{grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr))}
.names{display:flex;flex-wrap:wrap;gap:.3rem;list-style:none;padding:0;margin:.2rem 0 .8rem}
.names li{background:var(--sunken);border-radius:.35rem;padding:.05rem .45rem;font-size:.84rem}
.features{margin:.4rem 0 0}
.features>div{display:grid;grid-template-columns:8.5rem 1fr;gap:0 1rem;
border-top:1px solid var(--sunken);padding:.5rem 0 .15rem}
.features dt{color:var(--muted)}
.features dd{margin:0;min-width:0}
.features .names{margin-bottom:.3rem}
pre{background:var(--sunken);border-radius:.6rem;padding:.8rem 1rem;overflow:auto;max-height:32rem;
margin:.4rem 0;line-height:1.45;tab-size:4}
@media(max-width:32rem){.features>div{grid-template-columns:1fr}
.tiles-row{grid-template-columns:1fr 1fr;
gap:.5rem}.tile{padding:.6rem .75rem}.tile b{font-size:1.2rem}}
@media screen and (min-width:75rem){
.columns{display:grid;grid-template-columns:11.5rem minmax(0,1fr);gap:2rem;align-items:start}
nav.sections{position:sticky;top:1rem;border:0;margin:0;padding:0}
nav.sections ul{flex-direction:column;gap:.1rem}
nav.sections a{white-space:normal;line-height:1.3}}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
`;
