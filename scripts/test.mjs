// Runs the compiled tests of test/ and benchmarks/test/, or only those whose path
// starts with one of the arguments; arguments with a dash go to node --test. It goes by the
// sources, so that a compiled test whose source is gone never runs.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const args = process.argv.slice(2);
const options = args.filter((arg) => arg.startsWith('-'));
const prefixes = args.filter((arg) => !arg.startsWith('-'));

const tests = ['test', 'benchmarks/test']
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((path) => join(folder, path)))
  .filter((path) => path.endsWith('.test.ts'))
  .filter((path) => prefixes.length === 0 || prefixes.some((prefix) => path.startsWith(prefix)))
  .map((path) => join('dist', path.replace(/\.ts$/, '.js')))
  .sort();
if (tests.length === 0) {
  console.error(`no test matches ${prefixes.join(' ')}`);
  process.exit(1);
}

const child = spawn(
  process.execPath,
  [
    '--enable-source-maps',
    '--test',
    '--test-concurrency=2',
    '--test-reporter=spec',
    ...options,
    ...tests,
  ],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (status) => {
  process.exitCode = status ?? 1;
});
