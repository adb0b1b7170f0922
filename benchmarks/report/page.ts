/** The report as one page that needs nothing else: no network, no file beside it. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, dirname } from 'node:path';
import escapeHtml from 'escape-html';
import type { Results } from '../results.js';
import { browserScript } from './browser.js';
import { albumOf } from './charts.js';
import { interruptedNote } from './notes.js';
import type { Album } from './pictures.js';
import { style } from './style.js';
import type { Cell, Table } from './table.js';
import { tablesOf } from './tables.js';

const require = createRequire(import.meta.url);

/** A library as one classic script, which lies beside the module that its package exports. */
async function libraryScript(name: string, file: string): Promise<string> {
  const script = await readFile(join(dirname(require.resolve(name)), file), 'utf8');
  return script.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '');
}

/** Text that is safe between script tags, whatever strings are in the value. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', String.raw`\u003c`);
}

function text(plain: string): string {
  return escapeHtml(plain).replaceAll(' %', '&nbsp;%');
}

function cellContent({ lines, verdict }: Cell): string {
  if (lines.length === 1) return lines.map(text).join('');
  return lines
    .map((line) => {
      const style = line === verdict ? ' class="verdict"' : '';
      return `<span${style}>${text(line)}</span>`;
    })
    .join(' ');
}

/** How many rows, from this one on, have the same headings up to this column; 0 below their first. */
function rowsAlike(table: Table, row: number, column: number): number {
  const heading = (index: number) =>
    table.rows[index]
      ?.slice(0, column + 1)
      .map((cell) => cell.lines.join('\n'))
      .join('\0');
  const own = heading(row);
  if (column + 1 < table.headings && row > 0 && heading(row - 1) === own) return 0;
  let end = row + 1;
  while (column + 1 < table.headings && heading(end) === own) end++;
  return end - row;
}

function tableHtml(table: Table): string {
  const { id, title, notes, columns, headings, rows } = table;
  const cells = rows.map((row, rowIndex) =>
    row.map((cell, index) => {
      const alike = index < headings ? rowsAlike(table, rowIndex, index) : 1;
      if (alike === 0) return '';
      const classes = [
        ...(columns[index]?.align === 'right' ? ['right'] : []),
        ...(cell.verdict === 'faster' || cell.verdict === 'slower' ? [cell.verdict] : []),
      ];
      const attributes = [
        classes.length === 0 ? '' : ` class="${classes.join(' ')}"`,
        index < headings ? ` scope="${alike > 1 ? 'rowgroup' : 'row'}"` : '',
        alike > 1 ? ` rowspan="${alike}"` : '',
      ].join('');
      const tag = index < headings ? 'th' : 'td';
      return `<${tag}${attributes}>${cellContent(cell)}</${tag}>`;
    }),
  );
  const head = columns.map(
    (column) =>
      `<th scope="col"${column.align === 'right' ? ' class="right"' : ''}>${text(column.title)}</th>`,
  );
  return `<section>
<h2 id="${id}">${text(title)}</h2>
${notes.map((note) => `<p class="quiet">${text(note)}</p>`).join('\n')}
<div class="scroll" role="region" aria-labelledby="${id}" tabindex="0">
<table>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${cells.map((row) => `<tr>${row.join('')}</tr>`).join('\n')}
</tbody>
</table>
</div>
</section>`;
}

function picturesHtml(album: Album): string {
  const options = album.settings.map(
    ({ label }, index) =>
      `<option value="${index}"${index === album.opened ? ' selected' : ''}>${text(label)}</option>`,
  );
  return `<section>
<h2 id="pictures">Pictures</h2>
<noscript><p>The pictures are drawn by a script. The tables have what they show, and three points of each latency curve.</p></noscript>
<form id="choices" class="choices" autocomplete="off" hidden>
<label>workload <select id="setting">${options.join('')}</select></label>
<label>link, for latency and scaling <select id="link"></select></label>
</form>
<div id="setting-pictures" class="pictures"></div>
<div id="link-pictures" class="pictures"></div>
<div id="other-pictures" class="pictures"></div>
</section>`;
}

/** Only these scripts run, and nothing is fetched. */
function policy(scripts: readonly string[]): string {
  const hashes = scripts.map(
    (script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  );
  return `default-src 'none'; style-src 'unsafe-inline'; script-src ${hashes.join(' ')}`;
}

export async function pageReport(results: Results): Promise<string> {
  const { machine, version, startedAt } = results;
  const album = albumOf(results);
  const [first, ...rest] = tablesOf(results);
  const scripts = [
    await libraryScript('chart.js', 'chart.umd.min.js'),
    await libraryScript('chartjs-chart-error-bars', 'index.umd.min.js'),
    browserScript,
  ];
  const contents = [...(first ? [first] : []), { id: 'pictures', title: 'Pictures' }, ...rest];
  const facts = `nbdcork ${version}, ${startedAt.slice(0, 10)}: ${machine.processor}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${policy(scripts)}">
<title>How nbdcork sends its replies, measured</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>How nbdcork sends its replies, measured</h1>
<p class="quiet">${text(facts)}</p>
${results.interrupted ? `<p>${text(interruptedNote)}</p>\n` : ''}<nav aria-label="Contents"><ul>
${contents.map(({ id, title }) => `<li><a href="#${id}">${text(title)}</a></li>`).join('\n')}
</ul></nav>
</header>
<main>
${first === undefined ? '' : tableHtml(first)}
${picturesHtml(album)}
${rest.map(tableHtml).join('\n')}
</main>
<script type="application/json" id="results">${scriptJson(results)}</script>
<script type="application/json" id="album">${scriptJson(album)}</script>
${scripts.map((script) => `<script>${script}</script>`).join('\n')}
</body>
</html>
`;
}
