/** Standard error that is full, closed or out of space costs lines of the log, and nothing else. */
import assert from 'node:assert/strict';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { connectTo, openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { needs, succeed } from '../support/peers.js';
import { programPath, RunningProgram } from '../support/program.js';
import { until } from '../support/server.js';

const clean = { status: 0, signal: null };
const clientsTogether = 50;
const shell = { skip: process.platform === 'win32' };

/** The program with its standard error redirected by the shell. */
function start(t: TestContext, redirection: string, level = 'info'): RunningProgram {
  const script = `exec "$@" ${redirection}`;
  const command = ['sh', '-c', script, 'sh', process.execPath, programPath] as const;
  const args = ['serve', '--port', '0', '--log-level', level, 'memory:1M'];
  return new RunningProgram(t, args, { command });
}

/** Clients with unknown flags, each of which is logged. */
async function misbehave(t: TestContext, uri: string, clients: number): Promise<void> {
  for (let done = 0; done < clients; done += clientsTogether) {
    await Promise.all(
      Array.from({ length: clientsTogether }, async () => {
        const client = await connectTo(t, uri);
        await client.take(18);
        client.send(Buffer.alloc(4, 0xff));
        await client.closed;
      }),
    );
  }
}

async function isServed(t: TestContext, uri: string): Promise<void> {
  const { client } = await openExport(t, uri);
  const { error, data } = await client.call({ type: cmd.read, offset: 0, length: 4096 });
  assert.equal(error, 0);
  assert.deepEqual(data, Buffer.alloc(4096));
}

/** A named pipe that is full; reads from it never block. */
async function fullPipe(t: TestContext): Promise<{ path: string; read: () => string }> {
  const path = join(await temporaryFolder(t), 'pipe');
  await succeed(t, 'mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  t.after(() => {
    closeSync(reader);
    closeSync(writer);
  });
  try {
    for (;;) writeSync(writer, `${'x'.repeat(99)}\n`);
  } catch {
    // EAGAIN: it is full.
  }
  const buffer = Buffer.alloc(2 ** 16);
  return {
    path,
    read: () => {
      try {
        return buffer.toString('latin1', 0, readSync(reader, buffer));
      } catch {
        return '';
      }
    },
  };
}

describe('a standard error that is a full pipe', shell, () => {
  for (const level of ['info', 'debug']) {
    test(`holds up no client and no stop, with --log-level ${level}`, async (t) => {
      if (!needs(t, 'mkfifo')) return;
      const pipe = await fullPipe(t);
      const server = start(t, `2>'${pipe.path}'`, level);
      const [uri = ''] = await server.uris();
      const { client } = await openExport(t, uri);
      await misbehave(t, uri, 2000);
      await isServed(t, uri);
      assert.equal((await client.call({ type: cmd.read, offset: 0, length: 512 })).error, 0);
      assert.deepEqual(await server.stop(), clean);
    });
  }

  test('gets the lines, and what was suppressed, when it is read again', async (t) => {
    if (!needs(t, 'mkfifo')) return;
    const pipe = await fullPipe(t);
    const server = start(t, `2>'${pipe.path}'`);
    const [uri = ''] = await server.uris();
    await misbehave(t, uri, 300);
    let text = '';
    await until(() => {
      text += pipe.read();
      return text.includes('more log lines were suppressed');
    });
    const lines = text.match(/WARN: connection closed/g)?.length ?? 0;
    const suppressed = [...text.matchAll(/WARN: (\d+) more log lines/g)];
    const sum = suppressed.reduce((total, [, count]) => total + Number(count), 0);
    assert.equal(lines + sum, 300);
    assert.deepEqual(await server.stop(), clean);
    text += pipe.read();
    assert.match(text, /INFO: stopping/);
  });
});

describe('a standard error that cannot be written ends nothing', shell, () => {
  for (const [what, redirection] of [
    ['a closed one', '2>&-'],
    ['a full disk', '2>/dev/full'],
    ['a pipe without a reader', '2> >(true)'],
  ] as const) {
    test(what, async (t) => {
      const script = redirection.includes('>(') ? 'bash' : 'sh';
      if (!needs(t, script)) return;
      const command = [
        ...([script, '-c'] as const),
        ...[`exec "$@" ${redirection}`, 'sh', process.execPath, programPath],
      ] as const;
      const server = new RunningProgram(t, ['serve', '--port', '0', 'memory:1M'], { command });
      const [uri = ''] = await server.uris();
      await misbehave(t, uri, 300);
      await isServed(t, uri);
      assert.deepEqual(await server.stop(), clean);
    });
  }

  test('nor does it hide the exit code of a failure', async (t) => {
    const command = ['sh', '-c', 'exec "$@" 2>/dev/full', 'sh', process.execPath, programPath];
    const [file = '', ...first] = command;
    const program = new RunningProgram(t, ['serve', '/missing.img'], { command: [file, ...first] });
    assert.deepEqual(await program.exited, { status: 1, signal: null });
  });
});
