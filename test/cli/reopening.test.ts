/** Disks that have failed work again without a restart of the server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { goData } from '../support/byte-client.js';
import { connectTo, openExport } from '../support/connecting.js';
import {
  canMakeFaultyFiles,
  failingFile,
  lostFile,
  unflushableFile,
} from '../support/faulty-file.js';
import { cmd, opt, rep } from '../support/numbers.js';
import { RunningProgram } from '../support/program.js';

const write = { type: cmd.write, payload: Buffer.alloc(4096) };
const flush = { type: cmd.flush };
const read = { type: cmd.read, length: 4096 };
const eio = 5;

describe('a server of a file', { timeout: 60_000 }, () => {
  test('opens it again after a flush has failed', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const { path, fail, recover } = await unflushableFile(t);
    const server = new RunningProgram(t, ['serve', '--port', '0', path, 'other=memory:1M']);
    const [uri = '', other = ''] = await server.uris(2);
    const { client } = await openExport(t, uri);
    assert.equal((await client.call(write)).error, 0);
    fail();
    assert.equal((await client.call(flush)).error, eio);
    await recover();
    // It has lost data, and nothing that follows can undo that.
    assert.equal((await client.call(flush)).error, eio);
    const waiting = await connectTo(t, uri);
    await waiting.greet();
    const refusal = (await waiting.option(opt.go, goData(''))).at(-1);
    assert.ok(refusal !== undefined);
    assert.equal(refusal.type, rep.errUnknown);
    assert.match(refusal.data.toString(), /its disk has failed.*other clients have left/);
    client.stream.destroy();
    await server.stderr.match(/closing the disk, which has failed/);
    const next = await openExport(t, uri);
    assert.equal((await next.client.call(write)).error, 0);
    assert.equal((await next.client.call(flush)).error, 0);
    await server.stderr.match(/the disk is open again/);
    assert.equal((await (await openExport(t, other)).client.call(read)).error, 0);
    assert.deepEqual(await server.stop(), { status: 3, signal: null });
    assert.match(server.stderr.text, /\(NBDCORK_DATA_LOST\)/);
  });

  test('opens it again after its file system has ended and come back', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const { path, lose, restore } = await lostFile(t);
    const server = new RunningProgram(t, ['serve', '--port', '0', '--read-only', path]);
    const [uri = ''] = await server.uris();
    const { client } = await openExport(t, uri);
    assert.equal((await client.call(read)).error, 0);
    await lose();
    assert.equal((await client.call({ ...read, offset: 2 ** 20 })).error, eio);
    client.stream.destroy();
    await server.stderr.match(/closing the disk, which has failed/);
    const early = await connectTo(t, uri);
    await early.greet();
    assert.equal((await early.option(opt.go, goData('')))[0]?.type, rep.errUnknown);
    await restore();
    assert.equal((await early.option(opt.go, goData(''))).at(-1)?.type, rep.ack);
    await server.stderr.match(/the disk is open again/);
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
  });

  test('goes on with it where requests fail and nothing is lost', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const { path, fail, recover } = await failingFile(t, 'pread');
    const server = new RunningProgram(t, ['serve', '--port', '0', '--read-only', path]);
    const [uri = ''] = await server.uris();
    const { client } = await openExport(t, uri);
    fail();
    // Where nothing is in the cache.
    const farRead = { ...read, offset: 2 ** 25 };
    assert.equal((await client.call(farRead)).error, eio);
    await recover();
    assert.equal((await client.call(farRead)).error, 0);
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
    assert.doesNotMatch(server.stderr.text, /closing the disk/);
  });
});
