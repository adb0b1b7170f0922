import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { goData, optionBytes, type ByteClient } from '../support/byte-client.js';
import { connectTo } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { opt } from '../support/numbers.js';
import { runProgram, serve } from '../support/program.js';

interface Line {
  readonly level: unknown;
  readonly msg: string;
}

function isLine(value: unknown): value is Line {
  return (
    typeof value === 'object' &&
    value !== null &&
    'level' in value &&
    'time' in value &&
    'msg' in value &&
    typeof value.msg === 'string'
  );
}

function parse(log: string): Line[] {
  assert.ok(log.endsWith('\n'));
  return log
    .trimEnd()
    .split('\n')
    .map((text) => {
      const line: unknown = JSON.parse(text);
      assert.ok(isLine(line), text);
      return line;
    });
}

/** A client that violates the protocol, and is disconnected. */
async function misbehave(client: ByteClient): Promise<void> {
  const greeting = await client.take(18);
  assert.equal(greeting.toString('latin1', 0, 8), 'NBDMAGIC');
  client.send(Buffer.alloc(100, 0xff));
  assert.equal((await client.closed).length, 0);
}

describe('--log-format json', () => {
  test('every line of the log is JSON', async (t) => {
    const args = ['--port', '0', '--log-format', 'json', '--log-level', 'debug', 'memory:1M'];
    const { server, uri } = await serve(t, args);
    await misbehave(await connectTo(t, uri));
    await server.stop();
    const lines = parse(server.stderr.text);
    assert.ok(lines.some(({ msg }) => msg.startsWith('connection closed')));
    assert.equal(lines.at(-1)?.msg, 'stopping');
  });

  test('the error that ends the program is JSON, at any level', async (t) => {
    const path = join(await temporaryFolder(t), 'missing.img');
    const args = ['serve', '--log-format', 'json', '--log-level', 'silent', path];
    const { status, stderr } = await runProgram(t, args);
    assert.equal(status, 1);
    const [line, ...more] = parse(stderr);
    assert.match(line?.msg ?? '', /There is no file/);
    assert.ok(line !== undefined && 'code' in line && line.code === 'NBDCORK_NOT_FOUND');
    assert.deepEqual(more, []);
  });
});

test('text has no colours without a terminal', async (t) => {
  const { server, uri } = await serve(t, ['--port', '0', 'memory:1M']);
  await misbehave(await connectTo(t, uri));
  await server.stop();
  assert.match(server.stderr.text, /^\[\d\d:\d\d:\d\d\] WARN: connection closed: /);
  assert.ok(!server.stderr.text.includes('\u001b'));
});

test('a client cannot forge log lines or control a terminal', async (t) => {
  const { server, uri } = await serve(t, ['--port', '0', 'a=memory:1M']);
  const client = await connectTo(t, uri);
  await client.greet();
  const name = 'x\n[12:00:00] INFO: forged\u001b[2J\u009b2J\u2028\u202e' + 'y'.repeat(3000);
  const [refusal] = await client.option(opt.go, goData(name));
  const shown = String.raw`nknown export "x\n[12:00:00] INFO: forged\u001b[2J\u{9b}2J\u{2028}\u{202e}yyy`;
  assert.ok(refusal !== undefined);
  assert.ok(refusal.data.toString().includes(shown), refusal.data.toString());
  assert.ok(refusal.data.byteLength < 250);
  client.send(optionBytes(opt.exportName, Buffer.from(name)));
  await client.closed;
  await server.stop();
  const [first = '', ...rest] = server.stderr.text.trimEnd().split('\n');
  assert.ok(first.includes(`connection closed: U${shown}`), first);
  assert.ok(first.length < 400);
  // Only the end of the program follows.
  assert.match(rest.join('\n'), /^\[\d\d:\d\d:\d\d\] INFO: stopping.*$/);
  // eslint-disable-next-line no-control-regex -- what a terminal obeys
  assert.doesNotMatch(server.stderr.text, /[\u001b\u009b\u2028\u202e]/);
});

test('--log-level silent logs nothing', async (t) => {
  const { server, uri } = await serve(t, ['--port', '0', '--log-level', 'silent', 'memory:1M']);
  await misbehave(await connectTo(t, uri));
  await server.stop();
  assert.equal(server.stderr.text, '');
});
