import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { addon } from '../../lib/native/load.js';
import { UnixPath } from '../../lib/sockets/unix-path.js';
import { temporaryFolder } from '../support/folder.js';

async function listening(t: TestContext, path: string): Promise<Server> {
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  t.after(() => server.close());
  return server;
}

/** A socket file whose server is gone. */
async function staleSocket(folder: string): Promise<string> {
  const path = join(folder, 'stale');
  const server = createServer();
  server.listen(join(folder, 'other'));
  await once(server, 'listening');
  await rename(join(folder, 'other'), path);
  server.close();
  await once(server, 'close');
  return path;
}

const inUse = { code: 'EADDRINUSE' };

describe('the path of a Unix socket', () => {
  it('is published when the socket listens, and removed at the end', async (t) => {
    const path = join(await temporaryFolder(t), 'socket');
    const claimed = await UnixPath.claim(path);
    await listening(t, claimed.bindPath);
    assert.equal(existsSync(path), false);
    await claimed.publish();
    assert.equal(existsSync(path), true);
    assert.equal(existsSync(claimed.bindPath), false);
    claimed.release();
    assert.equal(existsSync(path), false);
    assert.equal(existsSync(`${path}.lock`), false);
  });

  it('replaces a socket file that no server has', async (t) => {
    const path = await staleSocket(await temporaryFolder(t));
    const claimed = await UnixPath.claim(path);
    await listening(t, claimed.bindPath);
    await claimed.publish();
    await assert.rejects(UnixPath.claim(path), inUse);
    claimed.release();
  });

  it(
    'is claimed by one of many at a time',
    { skip: addon === undefined && 'needs the addon' },
    async (t) => {
      const path = await staleSocket(await temporaryFolder(t));
      const attempts = await Promise.allSettled(
        Array.from({ length: 16 }, async () => {
          const claimed = await UnixPath.claim(path);
          await listening(t, claimed.bindPath);
          await claimed.publish();
          return claimed;
        }),
      );
      const owners = attempts.filter(({ status }) => status === 'fulfilled');
      assert.equal(owners.length, 1);
      for (const attempt of attempts) {
        if (attempt.status === 'fulfilled') attempt.value.release();
      }
    },
  );

  it('is not taken from a server that listens', async (t) => {
    const path = join(await temporaryFolder(t), 'socket');
    await listening(t, path);
    await assert.rejects(UnixPath.claim(path), inUse);
  });

  it('is not taken from a file that is no socket', async (t) => {
    const path = join(await temporaryFolder(t), 'file');
    writeFileSync(path, 'content');
    await assert.rejects(UnixPath.claim(path), inUse);
    assert.equal(existsSync(path), true);
  });

  it('stays where another server has put its socket in place of ours', async (t) => {
    const path = join(await temporaryFolder(t), 'socket');
    const claimed = await UnixPath.claim(path);
    await listening(t, claimed.bindPath);
    await claimed.publish();
    const other = `${path}-other`;
    await listening(t, other);
    await rename(other, path);
    claimed.release();
    assert.equal(existsSync(path), true);
  });
});
