/** The style sheet of the page. Its colours are those of the charts too. */
export const style = `
:root {
  color-scheme: light dark;
  --background: #f6f7f9; --card: #ffffff; --text: #1c2128; --quiet: #59636e; --line: #d8dee4;
  --link: #0b57c2; --faster: #116329; --faster-tint: #dff5e3; --slower: #a0111f; --slower-tint: #fde7e7;
  --series-plain: #6e7781; --series-cork: #b7791f; --series-more: #0f8a5f;
  --series-vectored: #8250c4; --series-batched: #1f62d6; --series-stream: #c2336b; --series-sends: #00799c;
  --other-1: #0e7c86; --other-2: #8a5a2b; --other-3: #6b7a1e; --other-4: #a14fa8;
  --other-5: #5b5b8a; --other-6: #c2410c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --background: #0e1116; --card: #171b22; --text: #e3e8ee; --quiet: #9aa6b2; --line: #313944;
    --link: #79b0ff; --faster: #6fdc8c; --faster-tint: #14301d; --slower: #ff9a9a; --slower-tint: #3b191c;
    --series-plain: #9aa3ad; --series-cork: #f0b429; --series-more: #2fb98a;
    --series-vectored: #b98aeb; --series-batched: #5b9bff; --series-stream: #f0729f; --series-sends: #4cc3e6;
    --other-1: #3cc4cf; --other-2: #d29a63; --other-3: #b3c24a; --other-4: #dd8be2;
    --other-5: #a3a3db; --other-6: #ff8f5c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem clamp(1rem, 3vw, 3rem) 4rem; max-width: 100rem;
  background: var(--background); color: var(--text);
  font: 1rem/1.5 system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif;
}
a { color: var(--link); }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 0; }
p { margin: .25rem 0; max-width: 75ch; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 0; padding: 0; list-style: none; }
.quiet, .context, figcaption p { color: var(--quiet); font-size: .875rem; }
.choices { display: flex; flex-wrap: wrap; gap: .75rem 2rem; margin: 1rem 0; }
.choices[hidden] { display: none; }
.choices label { display: flex; min-width: 0; max-width: 100%; flex-direction: column; font-size: .875rem; color: var(--quiet); }
select {
  font: inherit; font-size: 1rem; color: var(--text); background: var(--card); max-width: 100%;
  border: 1px solid var(--line); border-radius: .375rem; padding: .375rem .5rem;
}
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)); }
.pictures + .pictures { margin-top: 1rem; }
figure {
  margin: 0; padding: 1rem 1.25rem; min-width: 0; display: flex; flex-direction: column; gap: .5rem;
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
}
.frame { position: relative; height: 22rem; margin-top: auto; min-width: 0; }
.frame.rows { margin-top: 0; }
#other-pictures { align-items: start; }
.scroll { overflow-x: auto; margin-top: .75rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .8125rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th { border-top: 0; vertical-align: bottom; color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 500; }
.right { text-align: right; }
td.right { white-space: nowrap; }
td span { display: block; color: var(--quiet); font-size: .75rem; }
td span:first-child { color: inherit; font-size: inherit; }
td span:first-child:not(:last-child) { font-weight: 600; }
.faster { background: var(--faster-tint); }
.slower { background: var(--slower-tint); }
.faster .verdict { color: var(--faster); font-weight: 600; }
.slower .verdict { color: var(--slower); font-weight: 600; }
@media print { .choices { display: none; } figure { break-inside: avoid; } }
`;
