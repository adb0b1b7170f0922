/** More clients than the limit of open files allows. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectTo, openExport } from '../support/connecting.js';
import { cmd } from '../support/numbers.js';
import { needs } from '../support/peers.js';
import { programPath, RunningProgram, serve } from '../support/program.js';

describe('with few open files', { skip: process.platform !== 'linux' }, () => {
  test('clients that are too many are refused and logged, and others are served', async (t) => {
    if (!needs(t, 'prlimit')) return;
    const command = ['prlimit', '--nofile=64', process.execPath, programPath] as const;
    const { server, uri } = await serve(t, ['--port', '0', 'memory:1M'], { command });
    await server.stderr.match(/WARN: The limit of open files allows \d+ connections/);
    const { client } = await openExport(t, uri);
    const others = await Promise.all(Array.from({ length: 64 }, () => connectTo(t, uri)));
    await server.stderr.match(/WARN: connection refused: limit of \d+ connections reached/);
    assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
    for (const { stream } of others) stream.destroy();
    await client.call({ type: cmd.flush });
  });

  test('clients for which other files leave no room are refused, counted and logged', async (t) => {
    if (!needs(t, 'prlimit')) return;
    const script = `
      import { openSync } from 'node:fs';
      import { createServer, MemoryBackend } from '${new URL('../../lib/index.js', import.meta.url).href}';
      const log = (_details, message) => console.error(message);
      const logger = { debug() {}, info() {}, warn: log, error: log };
      const server = createServer({ exports: { '': new MemoryBackend(4096) }, logger });
      await server.listen({ port: 0 });
      process.on('SIGTERM', () => {
        console.error('refused: ' + server.connectionsRefused);
        server.close().then(() => process.exit());
      });
      for (let count = 0; count < 20; count++) openSync('/dev/null');
      console.log(server.uri());`;
    const command = ['prlimit', '--nofile=64', process.execPath] as const;
    const args = ['--input-type=module', '--eval', script];
    const program = new RunningProgram(t, args, { command });
    const [uri = ''] = await program.uris();
    const clients = await Promise.all(Array.from({ length: 40 }, () => connectTo(t, uri)));
    const answered = await Promise.all(
      clients.map((client) =>
        client.take(18).then(
          () => true,
          () => false,
        ),
      ),
    );
    const refused = answered.filter((greeted) => !greeted).length;
    assert.ok(refused > 0 && refused < clients.length, `${refused} were refused`);
    await program.stop();
    assert.equal(/^refused: (\d+)$/m.exec(program.stderr.text)?.[1], String(refused));
    const lines = program.stderr.text.match(/^connection refused: limit of open files reached$/gm);
    assert.equal(lines?.length, refused);
  });
});
