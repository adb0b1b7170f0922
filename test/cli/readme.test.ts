/** README and docs/ tell what is so: nothing is missing in their tables, and nothing is made up. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exitCode } from '../../lib/cli/exit-codes.js';
import { defaultLimits } from '../../lib/limits.js';
import { runProgram } from '../support/program.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const readme = read('README.md');

/** The first cells of the table whose head begins so, without the marks of code. */
function rows(head: string, text = readme): string[][] {
  const start = text.indexOf(`| ${head} `);
  assert.ok(start >= 0, `no table of ${head}`);
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

function firstCells(head: string, text?: string): string[] {
  return rows(head, text).map(([first = '']) => first);
}

test('the options of serve are those of --help', async (t) => {
  const { stdout } = await runProgram(t, ['serve', '--help']);
  const options = [...stdout.matchAll(/^ {2}(-.*?) {2,}/gm)].map(([, option]) => option);
  assert.ok(options.length > 5);
  const limits = rows('limit')
    .map(([, , option = '']) => option)
    .filter((option) => option !== '');
  assert.deepEqual([...firstCells('option'), ...limits].toSorted(), options.toSorted());
});

test('the limits are those of lib/limits.ts', () => {
  const units: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 2 ** 20, s: 1000 };
  const limits = rows('limit').map(([name = '', value = '']) => {
    const [number, unit = ''] = value.split(' ');
    return [name, Number(number) * (units[unit] ?? NaN)];
  });
  assert.deepEqual(Object.fromEntries(limits), defaultLimits);
});

test('the exit codes are those of lib/cli/exit-codes.ts', () => {
  const [ok, failure, usage, signal] = firstCells('exit code');
  assert.deepEqual(
    [ok, failure, usage],
    [exitCode.ok, exitCode.failure, exitCode.usage].map(String),
  );
  assert.equal(signal, `${exitCode.signalBase} + _n_`);
});

/** Without those that never leave lib/: an option's error is sent to the client as text. */
const internal = ['NBDCORK_BAD_OPTION'];
const environment = ['NBDCORK_NO_NATIVE'];

test('the error codes are those of lib/', () => {
  const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => read(join('lib', path)));
  const codes = new Set(sources.flatMap((source) => source.match(/(?<=')NBDCORK_\w+(?=')/g) ?? []));
  for (const code of [...internal, ...environment]) assert.ok(codes.delete(code), code);
  const documented = ['README.md', 'docs/transport.md'].flatMap(
    (path) => read(path).match(/(?<=^\| `)NBDCORK_\w+(?=` )/gm) ?? [],
  );
  assert.deepEqual(
    {
      missing: [...codes].filter((code) => !documented.includes(code)),
      madeUp: documented.filter((code) => !codes.has(code)),
    },
    { missing: [], madeUp: [] },
  );
});

test('the way of a request leads through methods that there are', () => {
  const steps = rows('file');
  assert.ok(steps.length > 5);
  for (const [link = '', method = ''] of steps) {
    const path = /^\[(.*)\]\(\1\)$/.exec(link)?.[1] ?? '';
    const declaration = new RegExp(`^ {2}(?:[a-z]+ )*${method}\\(.* \\{$`, 'm');
    assert.match(read(path), declaration, `${path} has no method ${method}`);
  }
});

test('the example is the one that is compiled and run', () => {
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
  assert.ok(blocks.includes(read('examples/key-value.ts')));
});

test('the links lead somewhere', () => {
  const documents = ['README.md', 'docs/benchmark.md', 'docs/protocol.md', 'docs/transport.md'];
  let count = 0;
  for (const document of documents) {
    const links = [...read(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    count += links.length;
    for (const [, path = '', anchor] of links) {
      const target = path === '' ? document : join(dirname(document), path);
      assert.ok(existsSync(join(root, target)), `${document} leads to ${target}`);
      if (anchor === undefined) continue;
      const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading.toLowerCase().replaceAll(' ', '-'),
      );
      assert.ok(headings.includes(anchor), `${document} leads to ${target}#${anchor}`);
    }
  }
  assert.ok(count > 10);
});
