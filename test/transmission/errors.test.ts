/** "Error values": the number for each invalid request; the connection stays usable. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend, ExportOptions, Limits } from '../../lib/index.js';
import { headerKinds, type Headers, type RequestFields } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import { startServer } from '../support/server.js';

const size = 200_000;
const content = pattern(size);
const data = pattern(4096, 3);
const limits: Partial<Limits> = { requestBytesMax: 65_536 };

interface Case {
  readonly request: RequestFields;
  readonly error: keyof typeof err;
  readonly export?: (disk: BufferDisk) => Backend | ExportOptions;
  /** Kinds of headers that it is about; all where absent. */
  readonly headers?: readonly Headers[];
}

const readOnly = (backend: BufferDisk): ExportOptions => ({ backend, readOnly: true });
const withoutWriting = ({ size, bytes }: BufferDisk): Backend => ({
  size,
  read: (offset, length) => bytes.subarray(offset, offset + length),
});
const bare = (disk: BufferDisk): Backend => ({ ...withoutWriting(disk), write: () => undefined });
const aligned = (disk: BufferDisk): Backend =>
  Object.assign(disk, { blockSize: { minimum: 512, preferred: 4096, maximum: 65_536 } });
const chunked = ['structured', 'extended'] as const;
const compact = ['simple', 'structured'] as const;
const range = { offset: 512, length: 1024 };

const cases: Record<string, Case> = {
  // "EPERM if it receives a write or trim request on a read-only export"
  'WRITE to a read-only export': {
    request: { type: cmd.write, payload: data },
    error: 'EPERM',
    export: readOnly,
  },
  'a long WRITE to a read-only export': {
    request: { type: cmd.write, payload: pattern(65_536) },
    error: 'EPERM',
    export: readOnly,
  },
  'WRITE of no bytes to a read-only export': {
    request: { type: cmd.write, length: 0 },
    error: 'EPERM',
    export: readOnly,
  },
  'TRIM of a read-only export': {
    request: { type: cmd.trim, ...range },
    error: 'EPERM',
    export: readOnly,
  },
  'WRITE_ZEROES to a read-only export': {
    request: { type: cmd.writeZeroes, ...range },
    error: 'EPERM',
    export: readOnly,
  },
  'WRITE to a backend that cannot write': {
    request: { type: cmd.write, payload: data },
    error: 'EPERM',
    export: withoutWriting,
  },
  'WRITE with FUA, which is not offered, to a read-only export': {
    request: { type: cmd.write, payload: data, flags: cmdFlag.fua },
    error: 'EPERM',
    export: withoutWriting,
    headers: compact,
  },
  // "ENOSPC if it receives a write request including [...] sectors beyond the size"
  'WRITE that ends one byte past the end': {
    request: { type: cmd.write, offset: size - 4095, payload: data },
    error: 'ENOSPC',
  },
  'WRITE past the end': {
    request: { type: cmd.write, offset: size + 1, payload: data },
    error: 'ENOSPC',
  },
  'WRITE at offset 2^64 - 1': {
    request: { type: cmd.write, offset: 2n ** 64n - 1n, payload: data },
    error: 'ENOSPC',
  },
  'WRITE_ZEROES past the end': {
    request: { type: cmd.writeZeroes, offset: size - 1, length: 2 },
    error: 'ENOSPC',
  },
  // "EINVAL if it receives a read or trim request including [...] sectors beyond the size"
  'READ that ends one byte past the end': {
    request: { type: cmd.read, offset: size - 9, length: 10 },
    error: 'EINVAL',
  },
  'READ of length 0 past the end': {
    request: { type: cmd.read, offset: size + 1, length: 0 },
    error: 'EINVAL',
  },
  'READ at offset 2^64 - 1': {
    request: { type: cmd.read, offset: 2n ** 64n - 1n, length: 1 },
    error: 'EINVAL',
  },
  'READ of 2^64 - 1 bytes': {
    request: { type: cmd.read, length: 2n ** 64n - 1n },
    error: 'EINVAL',
    headers: ['extended'],
  },
  'TRIM past the end': {
    request: { type: cmd.trim, offset: size - 1, length: 2 },
    error: 'EINVAL',
  },
  'CACHE past the end': {
    request: { type: cmd.cache, offset: size - 1, length: 2 },
    error: 'EINVAL',
  },
  // "EINVAL if it receives an unknown command" and "an unknown command flag"
  'command 9': { request: { type: 9, ...range }, error: 'EINVAL' },
  'command 65535': { request: { type: 65_535 }, error: 'EINVAL' },
  'BLOCK_STATUS without a metadata context': {
    request: { type: cmd.blockStatus, ...range },
    error: 'EINVAL',
  },
  'RESIZE, which is not offered': { request: { type: 8, ...range }, error: 'EINVAL' },
  'an unknown flag on READ': {
    request: { type: cmd.read, ...range, flags: 0x8000 },
    error: 'EINVAL',
  },
  'an unknown flag on FLUSH': { request: { type: cmd.flush, flags: 0x40 }, error: 'EINVAL' },
  'an unknown flag on WRITE': {
    request: { type: cmd.write, payload: data, flags: 0x4000 | cmdFlag.payloadLen },
    error: 'EINVAL',
    headers: ['extended'],
  },
  'an unknown flag on WRITE, with its payload': {
    request: { type: cmd.write, payload: data, flags: 0x4000 },
    error: 'EINVAL',
    headers: compact,
  },
  'NO_HOLE on TRIM': {
    request: { type: cmd.trim, ...range, flags: cmdFlag.noHole },
    error: 'EINVAL',
  },
  'REQ_ONE on READ': {
    request: { type: cmd.read, ...range, flags: cmdFlag.reqOne },
    error: 'EINVAL',
  },
  'DF without structured replies': {
    request: { type: cmd.read, ...range, flags: cmdFlag.df },
    error: 'EINVAL',
    headers: ['simple'],
  },
  'DF on CACHE': { request: { type: cmd.cache, ...range, flags: cmdFlag.df }, error: 'EINVAL' },
  'FUA that is not offered': {
    request: { type: cmd.read, ...range, flags: cmdFlag.fua },
    error: 'EINVAL',
    export: bare,
  },
  'PAYLOAD_LEN on WRITE without extended headers': {
    request: { type: cmd.write, payload: data, flags: cmdFlag.payloadLen },
    error: 'EINVAL',
    headers: compact,
  },
  'WRITE past the end without PAYLOAD_LEN, but with its payload': {
    request: { type: cmd.write, offset: size, payload: data, flags: cmdFlag.fua },
    error: 'ENOSPC',
    headers: ['extended'],
  },
  'READ with a payload': {
    request: { type: cmd.read, payload: data, flags: cmdFlag.payloadLen },
    error: 'EINVAL',
    headers: ['extended'],
  },
  'FLUSH with a payload': {
    request: { type: cmd.flush, payload: data, flags: cmdFlag.payloadLen },
    error: 'EINVAL',
    headers: ['extended'],
  },
  'an unknown command with a payload': {
    request: { type: 99, payload: data, flags: cmdFlag.payloadLen },
    error: 'EINVAL',
    headers: ['extended'],
  },
  // "For a flush request, length and offset are reserved, and MUST be set to all-zero."
  'FLUSH with an offset': { request: { type: cmd.flush, offset: 1 }, error: 'EINVAL' },
  'FLUSH with a length': { request: { type: cmd.flush, length: 1 }, error: 'EINVAL' },
  // "A client MUST NOT send a [...] request unless [...] was set in the transmission flags"
  'FLUSH that is not offered': { request: { type: cmd.flush }, error: 'EINVAL', export: bare },
  'TRIM that is not offered': {
    request: { type: cmd.trim, ...range },
    error: 'EINVAL',
    export: bare,
  },
  'WRITE_ZEROES that is not offered': {
    request: { type: cmd.writeZeroes, ...range },
    error: 'EINVAL',
    export: bare,
  },
  'CACHE that is not offered': {
    request: { type: cmd.cache, ...range },
    error: 'EINVAL',
    export: bare,
  },
  // "EINVAL if [...] a read or write request is not aligned to advertised minimum block sizes"
  'READ at an offset that is not aligned': {
    request: { type: cmd.read, offset: 1, length: 512 },
    error: 'EINVAL',
    export: aligned,
  },
  'READ of a length that is not aligned': {
    request: { type: cmd.read, offset: 512, length: 511 },
    error: 'EINVAL',
    export: aligned,
  },
  'WRITE that is not aligned': {
    request: { type: cmd.write, offset: 256, payload: data },
    error: 'EINVAL',
    export: aligned,
  },
  'WRITE_ZEROES that is not aligned': {
    request: { type: cmd.writeZeroes, offset: 512, length: 100 },
    error: 'EINVAL',
    export: aligned,
  },
  // "Permitted to reject large read requests up front with NBD_EOVERFLOW"
  'READ longer than the maximum': {
    request: { type: cmd.read, length: 65_537 },
    error: 'EOVERFLOW',
    headers: chunked,
  },
  'READ longer than the maximum, in a simple reply': {
    request: { type: cmd.read, length: 65_537 },
    error: 'EINVAL',
    headers: ['simple'],
  },
  'WRITE longer than the maximum': {
    request: { type: cmd.write, payload: pattern(65_537) },
    error: 'EINVAL',
  },
};

for (const [what, { request, error, export: exported, headers }] of Object.entries(cases)) {
  describe(what, () => {
    for (const kind of headers ?? headerKinds) {
      test(`is ${error} with ${kind} headers, and the connection stays usable`, async (t) => {
        const disk = new BufferDisk(Buffer.from(content));
        const exports = { '': exported?.(disk) ?? disk };
        const client = await (await startServer(t, { exports, limits })).open(kind);
        const fields =
          kind === 'extended' && request.type === cmd.write && request.flags === undefined
            ? { ...request, flags: cmdFlag.payloadLen }
            : request;
        // In one packet with a good request: what is skipped is neither more nor less than it.
        const wrong = client.request(fields);
        const right = client.request({ type: cmd.read, offset: 1024, length: 2048 });
        const refusal = await client.reply();
        assert.equal(refusal.cookie, wrong);
        assert.equal(refusal.error, err[error]);
        assert.equal(refusal.message === '', kind === 'simple');
        const reply = await client.reply();
        assert.equal(reply.cookie, right);
        assert.deepEqual(reply.data, content.subarray(1024, 3072));
        assert.ok(disk.bytes.equals(content), 'nothing was changed');
        assert.deepEqual(
          disk.calls.filter((call) => !call.startsWith('read 1024')),
          [],
        );
      });
    }
  });
}

describe('an invalid WRITE of length 0', () => {
  for (const headers of headerKinds) {
    test(`is answered although no byte follows, with ${headers} headers`, async (t) => {
      const backend = new BufferDisk(Buffer.from(content));
      const client = await (
        await startServer(t, { exports: { '': readOnly(backend) } })
      ).open(headers);
      assert.equal((await client.call({ type: cmd.write, length: 0 })).error, err.EPERM);
    });
  }
});

describe('payloads that are too long', () => {
  for (const headers of headerKinds) {
    test(`of 32 MiB are consumed with ${headers} headers`, async (t) => {
      const disk = new BufferDisk(Buffer.from(content));
      const client = await (await startServer(t, { exports: { '': disk }, limits })).open(headers);
      const payload = Buffer.alloc(2 ** 25, 0x25);
      assert.equal((await client.call({ type: cmd.write, payload })).error, err.ENOSPC);
      const { data: read } = await client.call({ type: cmd.read, length: 100 });
      assert.deepEqual(read, content.subarray(0, 100));
    });

    test(`of more than 32 MiB close the connection with ${headers} headers`, async (t) => {
      const disk = new BufferDisk(Buffer.from(content));
      const client = await (await startServer(t, { exports: { '': disk }, limits })).open(headers);
      client.request({
        type: cmd.write,
        length: 2 ** 25 + 1,
        ...(headers === 'extended' ? { flags: cmdFlag.payloadLen } : {}),
      });
      await client.closed;
      assert.deepEqual(disk.calls, []);
    });
  }

  test('may have up to requestBytesMax bytes if that is more', async (t) => {
    const disk = new BufferDisk(Buffer.alloc(34 * 2 ** 20));
    const options = { exports: { '': disk }, limits: { requestBytesMax: 33 * 2 ** 20 } };
    const client = await (await startServer(t, options)).open();
    const payload = Buffer.alloc(33 * 2 ** 20, 0x25);
    assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
    assert.ok(disk.bytes.subarray(0, payload.length).equals(payload));
    const offset = disk.size - 10;
    assert.equal((await client.call({ type: cmd.write, offset, payload })).error, err.ENOSPC);
    assert.equal((await client.call({ type: cmd.flush })).error, 0);
    client.request({ type: cmd.write, length: 33 * 2 ** 20 + 1 });
    await client.closed;
  });
});
