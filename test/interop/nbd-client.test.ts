import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs, succeed } from '../support/peers.js';
import { serve } from '../support/program.js';

test('nbd-client -l lists the exports', async (t) => {
  if (!needs(t, 'nbd-client')) return;
  const { uri } = await serve(t, ['--port', '0', 'first=memory:1M', 'second=memory:2M']);
  const { hostname, port } = new URL(uri);
  const output = await succeed(t, 'nbd-client', ['-l', hostname, port]);
  assert.match(output, /^first\b/m);
  assert.match(output, /^second\b/m);
});
