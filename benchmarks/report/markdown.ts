/** The report as Markdown. */
import { markdownTable } from 'markdown-table';
import type { Results } from '../results.js';
import { interruptedNote } from './notes.js';
import type { Table } from './table.js';
import { tablesOf } from './tables.js';

/** Names of processors, versions and reasons come from elsewhere and are never markup. */
function escaped(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[\\`*_[\]<>|~&]/g, '\\$&');
}

/** A table alone, without its heading. */
function tableMarkdown({ columns, rows }: Table): string {
  return markdownTable(
    [
      columns.map(({ title }) => escaped(title)),
      ...rows.map((cells) => cells.map(({ lines }) => lines.map(escaped).join('<br>'))),
    ],
    { align: columns.map(({ align }) => (align === 'right' ? 'right' : null)) },
  );
}

function section(table: Table): string {
  return [`## ${escaped(table.title)}`, ...table.notes.map(escaped), tableMarkdown(table)].join(
    '\n\n',
  );
}

export function markdownReport(results: Results): string {
  const sections = tablesOf(results).map(section);
  const notes = results.interrupted ? [interruptedNote] : [];
  const title = '# How nbdcork sends its replies, measured';
  return `${[title, ...notes, ...sections].join('\n\n')}\n`;
}
