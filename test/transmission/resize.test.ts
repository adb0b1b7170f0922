/** NBD_CMD_RESIZE (proto-resize.md). */
import assert from 'node:assert/strict';
import { stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { MemoryBackend, openFile, type Backend } from '../../lib/index.js';
import { goData, headerKinds, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd, cmdFlag, err, info, opt } from '../support/numbers.js';
import { startServer, until } from '../support/server.js';

const resize = 8;
const sendResize = 1 << 9;
const mebibyte = 2 ** 20;
const resizable = (backend: Backend) => ({ exports: { '': { backend, resizable: true } } });

describe('NBD_CMD_RESIZE', () => {
  for (const headers of headerKinds) {
    test(`grows and shrinks a disk, with ${headers} headers`, async (t) => {
      const disk = new MemoryBackend(mebibyte);
      const { open } = await startServer(t, resizable(disk));
      const client = await open(headers);
      const past = { type: cmd.read, offset: mebibyte, length: 4096 };
      assert.equal((await client.call(past)).error, err.EINVAL);

      assert.equal((await client.call({ type: resize, offset: 2 * mebibyte })).error, 0);
      assert.equal(disk.size, 2 * mebibyte);
      assert.ok((await client.call(past)).data.equals(Buffer.alloc(4096)));
      const payload = pattern(4096);
      const last = { offset: 2 * mebibyte - 4096 };
      assert.equal((await client.call({ type: cmd.write, ...last, payload })).error, 0);

      const shorter = { type: resize, flags: cmdFlag.fua, offset: mebibyte };
      assert.equal((await client.call(shorter)).error, 0);
      // "requests beyond the new size but not beyond the old one MUST fail with ENOSPC"
      assert.equal((await client.call(past)).error, err.ENOSPC);
      const beyondBoth = { type: cmd.read, offset: 2 * mebibyte, length: 1 };
      assert.equal((await client.call(beyondBoth)).error, err.EINVAL);

      assert.equal((await client.call({ type: resize, offset: 2 * mebibyte })).error, 0);
      const reply = await client.call({ type: cmd.read, ...last, length: 4096 });
      assert.ok(reply.data.equals(Buffer.alloc(4096)), 'what was cut off does not come back');
    });
  }

  test('is refused if the export does not allow it', async (t) => {
    const exports = {
      plain: new MemoryBackend(mebibyte),
      fixed: new BufferDisk(pattern(8192)),
      readOnly: { backend: new MemoryBackend(mebibyte), resizable: true, readOnly: true },
    };
    const { connect } = await startServer(t, { exports });
    for (const [name, error] of [
      // "Server configuration does not allow".
      ['plain', err.EPERM],
      // A disk that cannot be resized at all does not have the command.
      ['fixed', err.EINVAL],
      ['readOnly', err.EPERM],
    ] as const) {
      const client = await connect();
      const { flags } = await client.open('simple', name);
      assert.equal(flags & sendResize, 0);
      assert.equal((await client.call({ type: resize, offset: 4096 })).error, error);
    }
  });

  test('is advertised if it is allowed', async (t) => {
    const { connect } = await startServer(t, resizable(new MemoryBackend(mebibyte)));
    const { flags } = await (await connect()).open();
    assert.equal(flags & sendResize, sendResize);
  });

  test('is refused for invalid sizes, and with a length', async (t) => {
    const backend = Object.assign(new MemoryBackend(mebibyte), {
      blockSize: { minimum: 512, preferred: 4096, maximum: 65_536 },
    });
    const { open } = await startServer(t, resizable(backend));
    const client = await open('extended');
    const tooLong = { type: resize, offset: 2n ** 64n - 512n };
    assert.equal((await client.call(tooLong)).error, err.ENOSPC);
    assert.equal((await client.call({ type: resize, offset: 1000 })).error, err.EINVAL);
    assert.equal((await client.call({ type: resize, offset: 512, length: 1 })).error, err.EINVAL);
    assert.equal(backend.size, mebibyte);
  });

  test('does not shrink a disk that another client uses', async (t) => {
    const disk = new MemoryBackend(mebibyte);
    const { open, server } = await startServer(t, resizable(disk));
    const [one, other] = [await open(), await open()];
    assert.equal((await one.call({ type: resize, offset: 4096 })).error, err.EPERM);
    assert.equal((await one.call({ type: resize, offset: 2 * mebibyte })).error, 0);
    // The other one may use what is new, too.
    const past = { type: cmd.read, offset: mebibyte, length: 512 };
    assert.equal((await other.call(past)).error, 0);
    other.stream.destroy();
    await until(() => server.connectionCount === 1);
    assert.equal((await one.call({ type: resize, offset: 4096 })).error, 0);
  });

  test('a write that arrives while the disk shrinks leaves no data behind', async (t) => {
    const disk = new MemoryBackend(mebibyte);
    const { open } = await startServer(t, resizable(disk));
    const client = await open();
    const payload = pattern(65_536);
    const write = client.expectReply({ type: cmd.write, offset: mebibyte - 65_536, payload });
    const bytes = requestBytes('simple', write);
    const target = disk.writeTarget.bind(disk);
    const begun = new Promise<void>((resolve) => {
      disk.writeTarget = (offset, length) => {
        resolve();
        return target(offset, length);
      };
    });
    client.send(bytes.subarray(0, 1000));
    await begun;
    disk.resize(4096);
    client.send(bytes.subarray(1000));
    assert.equal((await client.reply()).error, err.ENOSPC);
    disk.resize(mebibyte);
    const read = { type: cmd.read, offset: mebibyte - 65_536, length: 65_536 };
    assert.ok((await client.call(read)).data.equals(Buffer.alloc(65_536)));
  });

  test('grows and shrinks a file', async (t) => {
    const path = join(await temporaryFolder(t), 'disk');
    await writeFile(path, pattern(8192));
    const { open } = await startServer(t, resizable(await openFile(path)));
    const client = await open('structured');
    assert.equal((await client.call({ type: resize, offset: 100_000 })).error, 0);
    assert.equal((await stat(path)).size, 100_000);
    assert.equal((await client.call({ type: resize, offset: 4096 })).error, 0);
    assert.equal((await stat(path)).size, 4096);
    const reply = await client.call({ type: cmd.read, offset: 0, length: 4096 });
    assert.ok(reply.data.equals(pattern(8192).subarray(0, 4096)));
  });

  test('that fails leaves the disk unchanged and has a message', async (t) => {
    const failing: Backend = {
      size: 4096,
      read: (_, length) => new Uint8Array(length),
      write: () => undefined,
      resize: () =>
        Promise.reject(Object.assign(new Error('The pool is full.'), { code: 'ENOSPC' })),
    };
    const { open } = await startServer(t, resizable(failing));
    const client = await open('structured');
    const reply = await client.call({ type: resize, offset: 8192 });
    assert.equal(reply.error, err.ENOSPC);
    assert.match(reply.message, /The pool is full/);
  });
});

describe('a file that another process extends', () => {
  test('has its new size for new clients, and fails reads past its end', async (t) => {
    const path = join(await temporaryFolder(t), 'disk');
    await writeFile(path, pattern(4096));
    const { open, connect } = await startServer(t, { exports: { '': await openFile(path) } });
    const before = await open();
    await truncate(path, 12_288);
    const client = await connect();
    await client.greet();
    const replies = await client.option(opt.info, goData(''));
    const [first] = replies;
    assert.equal(first?.data.readUInt16BE(0), info.export);
    assert.equal(first.data.readBigUInt64BE(2), 12_288n);
    assert.equal((await before.call({ type: cmd.read, offset: 8192, length: 4096 })).error, 0);

    await truncate(path, 5000);
    const other = await open('structured');
    const reply = await other.call({ type: cmd.read, offset: 4096, length: 4096 });
    assert.equal(reply.error, err.EIO);
    assert.deepEqual(
      other.lastChunks.map(({ type, length }) => (type === 1 ? length : type)),
      [904, 0x8002],
    );
    assert.ok(reply.data.equals(Buffer.alloc(904)));
  });
});
