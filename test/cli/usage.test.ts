/** Invalid usage, and sources that cannot be opened. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { runProgram } from '../support/program.js';

describe('invalid usage exits with 2 and an error', () => {
  for (const [args, message] of [
    [[], /Usage: nbdcork/],
    [['sevre'], /unknown command 'sevre'/],
    [['disk.img'], /unknown command 'disk.img'\n\(to serve it, run: nbdcork serve disk.img\)/],
    [['memory:64M'], /nbdcork serve memory:64M/],
    [['serve'], /No exports: add a SOURCE/],
    [['serve', '--export', 'a'], /'a' is invalid.*NAME=SOURCE/],
    [['serve', '--prot', '1', 'memory:1M'], /unknown option '--prot'/],
    [['serve', '--port', '65536', 'memory:1M'], /'65536' is invalid.* 0 to 65535/],
    [['serve', '--port', '-1', 'memory:1M'], /'-1' is invalid/],
    [['serve', '--port', '', 'memory:1M'], /'' is invalid/],
    [['serve', '--port', 'http', 'memory:1M'], /'http' is invalid/],
    [['serve', '--unix', '', 'memory:1M'], /must not be empty/],
    [['serve', '--transmit', 'fast', 'memory:1M'], /'fast' is invalid.*batched/],
    [['serve', '--log-format', 'xml', 'memory:1M'], /'xml' is invalid.*json/],
    [['serve', '--stdio', '--port', '1', 'memory:1M'], /'--stdio' cannot be used with.*--port/],
    [['serve', '--stdio', '--unix', 'x', 'memory:1M'], /'--stdio' cannot be used with.*--unix/],
    [['serve', '--stdio', '--run', 'true', 'memory:1M'], /'--stdio' cannot be used with.*--run/],
    [['serve', '--port', '0', 'memory:1M', 'memory:2M'], /Duplicate export ''/],
    [['serve', '--port', '0', 'a=memory:1M', 'a=memory:2M'], /Duplicate export 'a'/],
    [['serve', '--port', '0', 'memory:1X'], /"1X" is not a size/],
    [['serve', '--port', '0', `${'n'.repeat(4097)}=memory:1M`], /4096/],
  ] as const) {
    test(['nbdcork', ...args].join(' ').slice(0, 80), async (t) => {
      const { status, stdout, stderr } = await runProgram(t, args);
      assert.equal(status, 2);
      assert.match(stderr, message);
      assert.equal(stdout, '');
    });
  }
});

describe('a source that cannot be opened exits with 1 and an error', () => {
  test('a file that is missing', async (t) => {
    const path = join(await temporaryFolder(t), 'missing.img');
    const { status, stdout, stderr } = await runProgram(t, ['serve', '--port', '0', path]);
    assert.equal(status, 1);
    assert.match(stderr, /^nbdcork: There is no file ".*missing\.img".*\(NBDCORK_NOT_FOUND\)\n$/);
    assert.equal(stdout, '');
  });

  test('a folder, after a source that is good', async (t) => {
    const folder = join(await temporaryFolder(t), 'folder');
    await mkdir(folder);
    const { status, stderr } = await runProgram(t, ['serve', '--port', '0', 'a=memory:1M', folder]);
    assert.equal(status, 1);
    assert.match(stderr, /is a directory.*\(NBDCORK_NOT_A_DISK\)/);
  });
});

test('--help has the options that may be repeated', async (t) => {
  const { stdout } = await runProgram(t, ['serve', '--help']);
  const told = stdout
    .split(/\n(?= {2}-)/)
    .filter((option) => option.replace(/\s+/g, ' ').includes('may be repeated'))
    .map((option) => /--[a-z-]+/.exec(option)?.[0]);
  const repeatable = [
    '--allow',
    '--deny',
    '--description',
    '--export',
    '--read-only-export',
    '--tls-export',
  ];
  assert.deepEqual(told.toSorted(), repeatable);
});

test('--help and --version exit with 0 and print to standard output', async (t) => {
  const help = await runProgram(t, ['serve', '--help']);
  assert.equal(help.status, 0);
  const epilogue = help.stdout.slice(help.stdout.indexOf('\nSources:'));
  assert.ok(epilogue.split('\n').every((line) => line.length <= 80));
  assert.match(help.stdout, /^Usage: nbdcork serve/);
  assert.equal(help.stderr, '');
  const manifest = new URL('../../../package.json', import.meta.url);
  const version = /"version": "(.*)"/.exec(readFileSync(manifest, 'utf8'))?.[1];
  assert.ok(version !== undefined);
  assert.equal((await runProgram(t, ['--version'])).stdout, `${version}\n`);
});
