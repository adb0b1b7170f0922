/** The example in the documentation comment of Backend is a program that serves a disk. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import ts from 'typescript';
import { openExport } from '../support/connecting.js';
import { cmd } from '../support/numbers.js';
import { RunningProgram } from '../support/program.js';

const source = readFileSync(new URL('../../../lib/backend/backend.ts', import.meta.url), 'utf8');

function exampleOf(text: string): string {
  const example = /^ \* ```ts\n(.*?)^ \* ```$/ms.exec(text)?.[1];
  assert.ok(example !== undefined, 'the comment has no example');
  return example.replaceAll(/^ \* ?/gm, '');
}

test('the example of a backend serves a disk', async (t) => {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 };
  const { outputText } = ts.transpileModule(exampleOf(source), { compilerOptions });
  const command = [process.execPath, '--input-type=module', '--eval', outputText] as const;
  const example = new RunningProgram(t, [], { command });
  const [uri = ''] = await example.uris();
  const { client, size } = await openExport(t, uri);
  assert.equal(size, 2 ** 20);
  const payload = Buffer.alloc(4096, 'data');
  assert.equal((await client.call({ type: cmd.write, offset: 1000, payload })).error, 0);
  const zeroed = { type: cmd.writeZeroes, offset: 2000, length: 100 };
  assert.equal((await client.call(zeroed)).error, 0);
  const { data } = await client.call({ type: cmd.read, offset: 1000, length: 4096 });
  assert.deepEqual(data, payload.fill(0, 1000, 1100));
});
