/** `serve --stdio` as inetd and nbd-tester-client start it: the client is on fd 0 alone. */
import assert from 'node:assert/strict';
import { spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ByteClient } from '../support/byte-client.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { programPath } from '../support/program.js';

/** A client, and the socket that a program gets. */
async function socketPair(t: TestContext, kind: 'TCP' | 'Unix'): Promise<[Socket, Socket]> {
  const listener = createServer({ pauseOnConnect: true });
  t.after(() => listener.close());
  if (kind === 'TCP') listener.listen(0, '127.0.0.1');
  else listener.listen(join(await temporaryFolder(t), 'socket'));
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(address !== null);
  const client = typeof address === 'string' ? connect(address) : connect(address.port);
  t.after(() => client.destroy());
  const accepted: unknown[] = await once(listener, 'connection');
  const [socket] = accepted;
  assert.ok(socket instanceof Socket);
  return [client, socket];
}

const program = [process.execPath, programPath, 'serve', '--stdio', 'memory:1M'];

for (const kind of ['TCP', 'Unix'] as const) {
  describe(`a ${kind} socket on standard input is the client`, { timeout: 30_000 }, () => {
    for (const output of ['a file', 'a pipe']) {
      test(`with ${output} on standard output`, async (t) => {
        const [stream, socket] = await socketPair(t, kind);
        const file = join(await temporaryFolder(t), 'output');
        const fd = openSync(file, 'w');
        const stdio: StdioOptions = [socket, fd, 'inherit'];
        const child =
          output === 'a file'
            ? spawn(program[0] ?? '', program.slice(1), { stdio })
            : spawn('sh', ['-c', '"$@" | cat', 'sh', ...program], { stdio });
        const exited = once(child, 'exit');
        t.after(() => child.kill());
        const client = new ByteClient(stream);
        await client.open();
        assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
        client.request({ type: cmd.disc });
        assert.deepEqual(await exited, [0, null]);
        assert.equal(readFileSync(file, 'utf8'), '');
      });
    }
  });
}
