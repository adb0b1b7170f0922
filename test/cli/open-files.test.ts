/** More clients than the limit of open files allows. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectTo, openExport } from '../support/connecting.js';
import { cmd } from '../support/numbers.js';
import { needs } from '../support/peers.js';
import { programPath, serve } from '../support/program.js';

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
});
