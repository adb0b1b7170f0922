/** The documents of the repository, and the tables in them. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Paths of all documents written by hand, from the root. */
export const documents: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The rows of the table in `path` whose head begins with `head`, without the marks of code. */
export function tableRows(path: string, head: string): string[][] {
  const text = read(path);
  const start = text.search(new RegExp(`^\\| ${head} +\\|`, 'm'));
  assert.ok(start >= 0, `${path} has no table of ${head}`);
  const [table = ''] = text.slice(start).split('\n\n', 1);
  return table
    .trimEnd()
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.replaceAll('`', '').trim()),
    );
}

export function firstCells(path: string, head: string): string[] {
  return tableRows(path, head).map(([first = '']) => first);
}
