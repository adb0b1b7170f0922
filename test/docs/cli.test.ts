/** docs/cli.md and docs/server.md agree with the command. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitCode } from '../../lib/cli/exit-codes.js';
import { defaultLimits } from '../../lib/limits.js';
import { runProgram } from '../support/program.js';
import { firstCells, tableRows } from './support/documents.js';

test('the options of serve are those of --help', async (t) => {
  const { stdout } = await runProgram(t, ['serve', '--help']);
  const options = [...stdout.matchAll(/^ {2}(-.*?) {2,}/gm)].map(([, option]) => option);
  assert.ok(options.length > 5);
  const limits = tableRows('docs/server.md', 'Limit').map(([, , option = '']) => option);
  const documented = [
    ...firstCells('docs/cli.md', 'Option'),
    ...limits.filter((cell) => cell !== ''),
  ];
  assert.deepEqual(documented.toSorted(), options.toSorted());
});

test('the options that may be repeated are those of --help', async (t) => {
  const { stdout } = await runProgram(t, ['serve', '--help']);
  const repeatable = stdout
    .split(/\n(?= {2}-)/)
    .filter((option) => option.replace(/\s+/g, ' ').includes('may be repeated'))
    .map((option) => /--[a-z-]+/.exec(option)?.[0]);
  const documented = tableRows('docs/cli.md', 'Option')
    .filter(([, description = '']) => description.includes('May be repeated'))
    .map(([option = '']) => /--[a-z-]+/.exec(option)?.[0]);
  assert.ok(documented.length > 0);
  assert.deepEqual(documented.toSorted(), repeatable.toSorted());
});

test('the limits are those of lib/limits.ts', () => {
  const units: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 2 ** 20, s: 1000 };
  const limits = tableRows('docs/server.md', 'Limit').map(([name = '', value = '']) => {
    const [number, unit = ''] = value.split(' ');
    return [name, Number(number) * (units[unit] ?? NaN)];
  });
  assert.deepEqual(Object.fromEntries(limits), defaultLimits);
});

test('the exit codes are those of lib/cli/exit-codes.ts', () => {
  const [ok, failure, usage, dataLost, signal] = firstCells('docs/cli.md', 'Exit code');
  assert.deepEqual(
    [ok, failure, usage, dataLost],
    [exitCode.ok, exitCode.failure, exitCode.usage, exitCode.dataLost].map(String),
  );
  assert.equal(signal, `${exitCode.signalBase} + _n_`);
});
