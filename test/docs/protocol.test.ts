/** The tests that docs/protocol.md names as proofs exist. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

const root = new URL('../../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const document = read('docs/protocol.md');

/** The rows of all tables, without their heads, as arrays of cells. */
const rows = document
  .split('\n')
  .filter((line) => line.startsWith('|') && !/^\|[\s|-]+\|$/.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
  .filter((cells) => cells.at(-1) !== 'Proof');

interface Proof {
  readonly file: string;
  readonly name: string;
}

function proofsOf(cell: string): Proof[] {
  return cell.split('<br>').map((proof) => {
    const [, file, name] = /^`([a-z/-]+)` (\S.*)$/.exec(proof.trim()) ?? [];
    assert.ok(file !== undefined && name !== undefined, `no proof: ${proof}`);
    return { file: `test/${file}.test.ts`, name };
  });
}

/** Sources that define parts of test names, such as kinds of headers. */
const shared = readdirSync(new URL('test/support/', root))
  .map((name) => read(`test/support/${name}`))
  .join('\n');

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Whether the text is a string or the name of a property in the source. */
function isWritten(text: string, source: string): boolean {
  const quoted = new RegExp(`(['"\`])${escaped(text)}\\1`);
  const property = new RegExp(`^ *${escaped(text)}: `, 'm');
  return quoted.test(source) || property.test(source);
}

/** Whether the source has a test, or a group of tests, with this name. */
function hasTest(name: string, source: string): boolean {
  if (isWritten(name, source)) return true;
  const templates = source.matchAll(/\b(?:test|describe)\(\s*`([^`]*)`/g);
  return [...templates].some(([, template = '']) => {
    const literals = template.split(/\$\{.*?\}/);
    const match = new RegExp(`^${literals.map(escaped).join('(.*)')}$`).exec(name);
    if (match === null) return false;
    // A substituted part is a number, or defined elsewhere.
    return match
      .slice(1)
      .every((part) => /^(|0x[\da-f]+|\d+)$/.test(part) || isWritten(part, source + shared));
  });
}

describe('the tables of docs/protocol.md', () => {
  test('have six cells in every row', () => {
    assert.ok(rows.length > 80, `${rows.length} rows`);
    for (const row of rows) {
      assert.equal(row.length, 6, row.join(' | '));
      assert.ok(
        row.every((cell) => cell !== ''),
        row.join(' | '),
      );
    }
  });

  for (const [item = '', , , , , proof = ''] of rows) {
    test(`${item}: its proof is a test`, () => {
      for (const { file, name } of proofsOf(proof)) {
        assert.ok(hasTest(name, read(file)), `${file} has no test called '${name}'`);
      }
    });
  }

  test('the search for a proof fails for a name that no test has', () => {
    const source = "test('one', () => {});\ntest(`two ${what}`, () => {});\nconst all = ['red'];";
    assert.deepEqual(
      ['one', 'two red', 'two 17', 'three', 'two', 'two blue', 'one red'].filter((name) =>
        hasTest(name, source),
      ),
      ['one', 'two red', 'two 17'],
    );
  });
});
