/** Clients that do nothing, and many connections of one client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectTo, openExport } from '../support/connecting.js';
import { cmd } from '../support/numbers.js';
import { serve } from '../support/program.js';

describe('with clients that choose an export and do nothing', () => {
  test('--idle-timeout lets others in', async (t) => {
    const limits = ['--connections-max', '50', '--idle-timeout', '1s'];
    const { server, uri } = await serve(t, ['--port', '0', ...limits, 'memory:1M']);
    const idle = await Promise.all(Array.from({ length: 50 }, () => openExport(t, uri)));
    assert.equal((await (await connectTo(t, uri)).closed).length, 0);
    await server.stderr.match(/WARN: connection refused: limit of 50 connections reached/);
    await Promise.all(idle.map(({ client }) => client.closed));
    await server.stderr.match(/WARN: connection closed: The client has sent nothing for 1000 ms/);
    const { client } = await openExport(t, uri);
    assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
  });

  test('--connections-per-peer-max leaves connections for others', async (t) => {
    const limits = ['--connections-per-peer-max', '2', '--host', '127.0.0.1'];
    const { server, uri } = await serve(t, ['--port', '0', ...limits, 'memory:1M']);
    await openExport(t, uri);
    await openExport(t, uri);
    assert.equal((await (await connectTo(t, uri)).closed).length, 0);
    await server.stderr.match(
      /WARN: connection refused: limit of 2 connections of address 127\.0\.0\.1 reached/,
    );
  });
});
