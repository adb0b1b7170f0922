/** The messages of refused requests. Their error numbers are in errors.test.ts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryBackend, type Backend, type ExportOptions } from '../../lib/index.js';
import { requestBytes, type Headers, type RequestFields } from '../support/byte-client.js';
import { pattern, SlowDisk } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import { startServer } from '../support/server.js';
import { contextListData } from '../support/status.js';

const size = 200_192;
const resize = 8;
const limits = { requestBytesMax: 65_536 };
const payload = pattern(512);

interface Case {
  readonly request: RequestFields;
  readonly text: string;
  /** All kinds that have texts where absent. */
  readonly headers?: Headers;
  readonly export?: () => Backend | ExportOptions;
  readonly contexts?: readonly string[];
}

const blocks = { minimum: 512, preferred: 4096, maximum: 65_536 };
const aligned = (): Backend => Object.assign(new MemoryBackend(size), { blockSize: blocks });
const readOnly = (): ExportOptions => ({ backend: new MemoryBackend(size), readOnly: true });
const resizable = (): ExportOptions => ({ backend: aligned(), resizable: true });
const plain = (): Backend => ({ size, read: (_, length) => new Uint8Array(length) });
const contexts = ['base:allocation'];
const withList = { type: cmd.blockStatus, flags: cmdFlag.payloadLen };

const cases: Record<string, Case> = {
  'READ past the end': {
    request: { type: cmd.read, offset: size - 9, length: 10 },
    text: 'EINVAL: NBD_CMD_READ of 10 bytes at 200183: the range exceeds the disk size of 200192 bytes.',
  },
  'WRITE past the end': {
    request: { type: cmd.write, offset: size, payload },
    text: 'ENOSPC: NBD_CMD_WRITE of 512 bytes at 200192: the range exceeds the disk size of 200192 bytes.',
  },
  'an offset of 2^53 + 1, which a JavaScript number cannot hold': {
    request: { type: cmd.read, offset: 2n ** 53n + 1n, length: 10 },
    text: 'EINVAL: NBD_CMD_READ of 10 bytes at 2^53 or more: the range exceeds the disk size of 200192 bytes.',
  },
  'a length of 2^64 - 1': {
    request: { type: cmd.trim, length: 2n ** 64n - 1n },
    headers: 'extended',
    text: 'EINVAL: NBD_CMD_TRIM of 2^53 or more bytes at 0: the range exceeds the disk size of 200192 bytes.',
  },
  'an unknown flag': {
    request: { type: cmd.read, length: 10, flags: 0x8000 | cmdFlag.fua },
    text: 'EINVAL: NBD_CMD_READ of 10 bytes at 0: flag 0x8000 was not offered for this command.',
  },
  'a flag of another command': {
    request: { type: cmd.trim, length: 10, flags: cmdFlag.fastZero },
    text: 'EINVAL: NBD_CMD_TRIM of 10 bytes at 0: flag 0x10 was not offered for this command.',
  },
  'WRITE to a read-only export': {
    request: { type: cmd.write, payload },
    export: readOnly,
    text: 'EPERM: NBD_CMD_WRITE of 512 bytes at 0: the export is read-only.',
  },
  'READ that is not aligned': {
    request: { type: cmd.read, offset: 256, length: 512 },
    export: aligned,
    text: 'EINVAL: NBD_CMD_READ of 512 bytes at 256: offset and length must be multiples of the minimum block size 512.',
  },
  'READ that is too long': {
    request: { type: cmd.read, length: 65_537 },
    text: 'EOVERFLOW: NBD_CMD_READ of 65537 bytes at 0: the length exceeds the maximum payload of 65536 bytes: send smaller requests.',
  },
  'WRITE that is too long': {
    request: { type: cmd.write, payload: pattern(65_537) },
    text: 'EINVAL: NBD_CMD_WRITE of 65537 bytes at 0: the length exceeds the maximum payload of 65536 bytes: send smaller requests.',
  },
  'a command that was not advertised': {
    request: { type: cmd.flush },
    export: plain,
    text: 'EINVAL: NBD_CMD_FLUSH of 0 bytes at 0: the command was not offered for this export.',
  },
  'an unknown command': {
    request: { type: 99, offset: 512, length: 1 },
    text: 'EINVAL: NBD_CMD 99 of 1 bytes at 512: the command was not offered for this export.',
  },
  'FLUSH with an offset': {
    request: { type: cmd.flush, offset: 1 },
    text: 'EINVAL: NBD_CMD_FLUSH of 0 bytes at 1: offset and length must be 0.',
  },
  'BLOCK_STATUS without a context': {
    request: { type: cmd.blockStatus, length: 512 },
    text: 'EINVAL: NBD_CMD_BLOCK_STATUS of 512 bytes at 0: no metadata context was selected: send NBD_OPT_SET_META_CONTEXT before NBD_OPT_GO.',
  },
  'BLOCK_STATUS of no bytes': {
    request: { type: cmd.blockStatus },
    contexts,
    text: 'EINVAL: NBD_CMD_BLOCK_STATUS of 0 bytes at 0: length must not be 0.',
  },
  'BLOCK_STATUS with a list of no context': {
    request: { ...withList, payload: contextListData(512, []) },
    contexts,
    headers: 'extended',
    text: 'EINVAL: NBD_CMD_BLOCK_STATUS of 8 bytes at 0: the payload must be an 8-byte length and 4 bytes for each of 1 to 1 metadata contexts.',
  },
  'BLOCK_STATUS with a list of an unknown context': {
    request: { ...withList, payload: contextListData(512, [77]) },
    contexts,
    headers: 'extended',
    text: 'EINVAL: NBD_CMD_BLOCK_STATUS of 12 bytes at 0: the payload must list selected metadata contexts, each once.',
  },
  'BLOCK_STATUS whose list has a length past the end': {
    request: { ...withList, payload: contextListData(size + 1, [1]) },
    contexts,
    headers: 'extended',
    text: 'EINVAL: NBD_CMD_BLOCK_STATUS of 200193 bytes at 0: the range exceeds the disk size of 200192 bytes.',
  },
  'RESIZE where the export does not allow it': {
    request: { type: resize, offset: 512 },
    export: aligned,
    text: 'EPERM: NBD_CMD_RESIZE to 512 bytes: the server does not allow clients to resize this export.',
  },
  'RESIZE with a length': {
    request: { type: resize, offset: 512, length: 1 },
    export: resizable,
    text: 'EINVAL: NBD_CMD_RESIZE to 512 bytes: length must be 0.',
  },
  'RESIZE to part of a block': {
    request: { type: resize, offset: 1000 },
    export: resizable,
    text: 'EINVAL: NBD_CMD_RESIZE to 1000 bytes: the size must be a multiple of the minimum block size 512.',
  },
  'RESIZE to 2^63': {
    request: { type: resize, offset: 2n ** 63n },
    export: resizable,
    text: 'ENOSPC: NBD_CMD_RESIZE to 2^53 or more bytes: the size must be below 2^53 bytes.',
  },
};

for (const [what, one] of Object.entries(cases)) {
  describe(what, () => {
    const kinds = one.headers === undefined ? (['structured', 'extended'] as const) : [one.headers];
    for (const headers of kinds) {
      test(`has a message, with ${headers} headers`, async (t) => {
        const exports = { '': one.export?.() ?? new MemoryBackend(size) };
        const { connect } = await startServer(t, { exports, limits });
        const client = await connect();
        await client.open(headers, '', one.contexts);
        assert.equal((await client.call(one.request)).message, one.text);
      });
    }
  });
}

test('RESIZE to a smaller size with other clients has a message', async (t) => {
  const { open } = await startServer(t, { exports: { '': resizable() } });
  const [client] = [await open('structured'), await open()];
  const { message } = await client.call({ type: resize, offset: 512 });
  assert.equal(
    message,
    'EPERM: NBD_CMD_RESIZE to 512 bytes: other clients use this export, so it can only grow: retry after they have disconnected.',
  );
});

test('a request to a server that is shutting down has a message', async (t) => {
  const disk = new SlowDisk(t, pattern(size));
  const { server, open } = await startServer(t, { exports: { '': disk } });
  const client = await open('structured');
  client.request({ type: cmd.read, length: 512 });
  await disk.callsStarted(1);
  const closing = server.close();
  const { error, message } = await client.call({ type: cmd.read, length: 512 });
  assert.equal(error, err.ESHUTDOWN);
  assert.equal(
    message,
    'ESHUTDOWN: NBD_CMD_READ of 512 bytes at 0: the server is shutting down: disconnect.',
  );
  disk.finish();
  await client.closed;
  disk.release();
  await closing;
});

test('the message is kept if the server shuts down before the payload has arrived', async (t) => {
  const disk = new SlowDisk(t, pattern(size));
  const { server, open } = await startServer(t, { exports: { '': disk } });
  const client = await open('structured');
  const read = client.expectReply({ type: cmd.read, length: 512 });
  const write = client.expectReply({ type: cmd.write, flags: 0x4000, length: 512 });
  client.send(requestBytes('structured', read), requestBytes('structured', write));
  await disk.callsStarted(1);
  const closing = server.close();
  client.send(payload);
  const { cookie, message } = await client.reply();
  assert.equal(cookie, write.cookie);
  assert.match(message, /flag 0x4000 was not offered/);
  disk.release();
  await client.closed;
  await closing;
});
