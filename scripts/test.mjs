// Runs the compiled tests of test/ and benchmarks/test/. Without arguments the
// quick ones: not those in folders that talk to programs of other projects or that
// measure, and not those that end in .slow.test.ts. With --all all of them; with
// paths those that begin with one of them. Other arguments with a dash go to
// node --test. It goes by the sources, so that a compiled test whose source is gone
// never runs.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const slowFolders = ['benchmarks/', 'test/conformance/', 'test/interop/'];
const slowSuffix = '.slow.test.ts';
// Longer than the slowest file takes: a test that hangs fails after it.
const timeoutMs = 15 * 60_000;

const args = process.argv.slice(2);
const all = args.includes('--all');
const options = args.filter((arg) => arg.startsWith('-') && arg !== '--all');
const prefixes = args.filter((arg) => !arg.startsWith('-'));

const tests = ['test', 'benchmarks/test']
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((path) => join(folder, path)))
  .filter((path) => path.endsWith('.test.ts') && isChosen(path))
  .map((path) => join('dist', path.replace(/\.ts$/, '.js')))
  .sort();
if (tests.length === 0) {
  console.error(`no test matches ${prefixes.join(' ')}`);
  process.exit(1);
}

const hasReporter = options.some((option) => option.startsWith('--test-reporter'));
const child = spawn(
  process.execPath,
  [
    '--enable-source-maps',
    '--test',
    '--test-concurrency=2',
    `--test-timeout=${timeoutMs}`,
    ...(hasReporter ? [] : ['--test-reporter=./scripts/test-reporter.mjs']),
    ...options,
    ...tests,
  ],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (status) => {
  process.exitCode = status ?? 1;
});

function isChosen(path) {
  if (prefixes.length > 0) return prefixes.some((prefix) => path.startsWith(prefix));
  const isSlow = path.endsWith(slowSuffix) || slowFolders.some((folder) => path.startsWith(folder));
  return all || !isSlow;
}
