/** The options for limits and access, from the command line to their effect on clients. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import { addLimitOptions, limitsFrom } from '../../../lib/cli/options/limit-options.js';
import { defaultLimits } from '../../../lib/limits.js';
import { goData } from '../../support/byte-client.js';
import { connectTo, openExport } from '../../support/connecting.js';
import { temporaryFolder } from '../../support/folder.js';
import { cmd, err, info, opt } from '../../support/numbers.js';
import { runProgram, RunningProgram, serve } from '../../support/program.js';

function parse(...args: string[]): object {
  const command = addLimitOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  return limitsFrom(command.parse(args, { from: 'user' }).opts());
}

/** The limits that can have an effect on the command line. */
const effective = Object.entries(defaultLimits).filter(
  ([name]) => !['contextsMax', 'openExportsMax'].includes(name),
);

describe('limits', () => {
  test('each limit has an option, except those without effect on the command line', () => {
    const names = addLimitOptions(new Command()).options.map((option) => option.attributeName());
    const expected = effective.map(([name]) =>
      name.replace(/Ms$/, '').replace('memoryBytes', 'memory'),
    );
    assert.deepEqual(names.toSorted(), expected.toSorted());
  });

  test('the defaults in --help parse to the defaults of the server', () => {
    const args = addLimitOptions(new Command()).options.flatMap(({ long, description }) => [
      long ?? '',
      /\(default: (.*)\)$/.exec(description)?.[1] ?? '',
    ]);
    assert.deepEqual(parse(...args), Object.fromEntries(effective));
  });

  test('have units', () => {
    assert.deepEqual(parse('--request-bytes-max', '1M', '--handshake-timeout', '1.5s'), {
      requestBytesMax: 1_048_576,
      handshakeTimeoutMs: 1500,
    });
    assert.deepEqual(parse('--connections-max', '7', '--send-timeout=2m', '--keep-alive=250ms'), {
      connectionsMax: 7,
      sendTimeoutMs: 120_000,
      keepAliveMs: 250,
    });
    assert.deepEqual(parse(), {});
  });

  test('may be off where that is possible', () => {
    assert.deepEqual(parse('--idle-timeout', '0', '--connections-per-peer-max', '0'), {
      idleTimeoutMs: 0,
      connectionsPerPeerMax: 0,
    });
    assert.deepEqual(parse('--idle-timeout', '0s'), { idleTimeoutMs: 0 });
  });

  for (const [flag, value] of [
    ['--connections-max', '0'],
    ['--connections-max', '1.5'],
    ['--connections-max', 'many'],
    ['--connections-max', ''],
    ['--request-bytes-max', '-1'],
    ['--request-bytes-max', '1X'],
    ['--handshake-timeout', '10'],
    ['--handshake-timeout', 's'],
    ['--handshake-timeout', '0s'],
    ['--handshake-timeout', '0'],
    // Not rounded to no limit.
    ['--idle-timeout', '0.4ms'],
    ['--idle-timeout', '-1s'],
    ['--connections-per-peer-max', '-1'],
    ['--handshake-timeout', '10 parsecs'],
  ] as const) {
    test(`${flag} '${value}' is rejected`, () => {
      assert.throws(() => parse(flag, value));
    });
  }
});

for (const [flag, value, message] of [
  ['--options-max', '0', /positive integer/],
  ['--request-bytes-max', '0', /size of at least 1 byte/],
  ['--send-timeout', '0s', /time of at least 1 ms/],
  ['--idle-timeout', '5', /time of at least 1 ms.*or 0 for no limit/],
  ['--connections-per-peer-max', 'few', /positive integer, or 0 for no limit/],
] as const) {
  test(`${flag} ${value} is rejected with a message about its kind`, () => {
    assert.throws(() => parse(flag, value), message);
  });
}

describe('nbdcork serve', () => {
  for (const args of [
    ['--handshake-timeout', '10'],
    ['--handshake-timeout', '100d'],
    ['--allow', 'address:nowhere'],
    ['--description', 'no-equals-sign'],
    ['--description', 'absent=text'],
    ['--read-only-export', 'absent'],
    ['--default-export', 'absent'],
  ]) {
    test(`rejects ${args.join(' ')}`, async (t) => {
      const { status, stderr } = await runProgram(t, ['serve', 'a=memory:1M', ...args]);
      assert.equal(status, 2);
      assert.ok(stderr.length > 0);
    });
  }

  test('--help has the minimum of --request-bytes-max, which applies', async (t) => {
    const { stdout } = await runProgram(t, ['serve', '--help']);
    const words = stdout.replace(/\s+/g, ' ');
    const [, minimum] =
      /--request-bytes-max <size> [^-]*less than (\d+) counts as \1 /.exec(words) ?? [];
    assert.ok(minimum !== undefined);
    const { uri } = await serve(t, ['--port', '0', '--request-bytes-max', '1000', 'memory:1M']);
    const client = await connectTo(t, uri);
    await client.greet();
    const replies = await client.option(opt.info, goData(''));
    const sizes = replies.find(({ data }) => data.readUInt16BE() === info.blockSize)?.data;
    assert.equal(sizes?.readUInt32BE(10), Number(minimum));
  });

  test('applies limits, rules, descriptions and read-only exports', async (t) => {
    const path = join(await temporaryFolder(t), 'nbd.sock');
    const args = [
      ...['serve', '--unix', path, 'a=memory:1M', 'b=memory:1M', 'c=memory:1M'],
      ...['--connections-max', '2', '--description', 'a=the first', '--read-only-export', 'b'],
      ...['--default-export', 'b', '--deny', 'c=any'],
    ];
    const server = new RunningProgram(t, args);
    const uris = await server.uris();
    const listing = await connectTo(t, uris[0] ?? '');
    await listing.greet();
    const names = (await listing.option(opt.list))
      .slice(0, -1)
      .map(({ data }) => data.toString('utf8', 4));
    assert.deepEqual(names, ['athe first', 'b']);
    const { client } = await openExport(t, uris[0]?.replace('/a?', '/?') ?? '');
    const write = { type: cmd.write, payload: Buffer.alloc(512) };
    assert.equal((await client.call(write)).error, err.EPERM);
    const third = await connectTo(t, uris[0] ?? '');
    assert.equal((await third.closed).length, 0);
  });
});
