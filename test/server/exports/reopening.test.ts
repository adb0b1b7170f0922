/** Disks that have failed are opened again when their clients have left. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Backend, ServerOptions } from '../../../lib/index.js';
import { Backends } from '../../../lib/server/exports/backends.js';
import { goData } from '../../support/byte-client.js';
import { BufferDisk, pattern } from '../../support/disks.js';
import { Log } from '../../support/log.js';
import { cmd, opt, rep } from '../../support/numbers.js';
import { eventLoopTurn, startServer, until, type TestServer } from '../../support/server.js';

const read = { type: cmd.read, length: 512 };
const eio = 5;

/** A disk whose flushes fail for ever once one has failed. */
class FailingDisk extends BufferDisk {
  mustReopen = false;
  mayClose: Promise<void> | undefined;
  closed = 0;

  constructor() {
    super(Buffer.from(pattern(8192)));
  }

  override flush(): void {
    if (this.mustReopen) throw Object.assign(new Error('lost'), { code: 'EIO' });
  }

  override async close(): Promise<void> {
    await this.mayClose;
    this.closed++;
  }
}

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

interface Disks extends TestServer {
  readonly opened: FailingDisk[];
  readonly log: Log;
}

/** A server of one export. `open` is called for the disks after the first. */
async function start(
  t: TestContext,
  open: (disk: FailingDisk) => FailingDisk | Promise<FailingDisk> = (disk) => disk,
  exportsOf?: (next: () => Promise<Backend>) => ServerOptions['exports'],
  limits: ServerOptions['limits'] = {},
): Promise<Disks> {
  const opened: FailingDisk[] = [];
  const log = new Log();
  const next = async (): Promise<FailingDisk> => {
    const disk = await open(new FailingDisk());
    opened.push(disk);
    return disk;
  };
  const first = new FailingDisk();
  if (exportsOf === undefined) opened.push(first);
  const exports = exportsOf?.(next) ?? { '': { backend: first, reopen: next } };
  const code = 'NBDCORK_DATA_LOST';
  const options = { exports, logger: log, limits };
  const server = await startServer(t, options, 'Unix', { expectCloseError: code });
  return { ...server, opened, log };
}

/** Fails the newest disk of a server. */
function fail({ opened }: Disks): void {
  const disk = opened.at(-1);
  assert.ok(disk !== undefined);
  disk.mustReopen = true;
}

async function leave(disks: Disks, client: { stream: { destroy: () => unknown } }): Promise<void> {
  const before = disks.server.connectionCount;
  client.stream.destroy();
  await until(() => disks.server.connectionCount < before);
}

async function answerTo(disks: Disks, option: number = opt.go): Promise<number> {
  const client = await disks.connect();
  await client.greet();
  const type = (await client.option(option, goData(''))).at(-1)?.type ?? 0;
  await leave(disks, client);
  return type;
}

describe('a disk that has failed', () => {
  test('is closed when its last client has left, and opened for the next', async (t) => {
    const disks = await start(t);
    const [one, two] = [await disks.open(), await disks.open()];
    fail(disks);
    assert.equal((await one.call({ type: cmd.flush })).error, eio);
    await leave(disks, one);
    assert.equal(disks.opened[0]?.closed, 0);
    assert.equal((await two.call(read)).error, 0);
    await leave(disks, two);
    const next = await disks.open();
    assert.equal((await next.call({ type: cmd.flush })).error, 0);
    assert.deepEqual(
      disks.opened.map(({ closed }) => closed),
      [1, 0],
    );
    const lines = disks.log.shown.map(({ message }) => message);
    assert.ok(lines.some((line) => line.startsWith('closing the disk, which has failed')));
    assert.ok(lines.some((line) => line.startsWith('cannot close backend: lost')));
    assert.ok(lines.includes('the disk is open again'));
    await assert.rejects(disks.server.close(), { code: 'NBDCORK_DATA_LOST' });
    assert.deepEqual(
      disks.opened.map(({ closed }) => closed),
      [1, 1],
    );
  });

  test('gets no new clients while it has others', async (t) => {
    const disks = await start(t);
    const client = await disks.open();
    fail(disks);
    assert.equal(await answerTo(disks), rep.errUnknown);
    assert.equal(disks.opened.length, 1);
    await leave(disks, client);
    assert.equal(await answerTo(disks), rep.ack);
    assert.equal(disks.opened.length, 2);
  });

  test('may fail again', async (t) => {
    const disks = await start(t);
    for (let count = 1; count <= 4; count++) {
      const client = await disks.open();
      assert.equal((await client.call({ type: cmd.flush })).error, 0);
      assert.equal(disks.opened.length, count);
      fail(disks);
      await leave(disks, client);
    }
    await assert.rejects(disks.server.close(), { code: 'NBDCORK_DATA_LOST' });
    assert.deepEqual(
      disks.opened.map(({ closed }) => closed),
      [1, 1, 1, 1],
    );
  });

  test('is opened again for a client that has asked about it only', async (t) => {
    const disks = await start(t);
    const client = await disks.connect();
    await client.greet();
    assert.equal((await client.option(opt.info, goData(''))).at(-1)?.type, rep.ack);
    fail(disks);
    assert.equal((await client.option(opt.go, goData(''))).at(-1)?.type, rep.ack);
    assert.equal(disks.opened.length, 2);
  });

  test('refuses a client where opening it again fails, and tries again for the next', async (t) => {
    let works = false;
    const disks = await start(t, (disk) => {
      if (works) return disk;
      throw new Error('still broken');
    });
    const client = await disks.open();
    fail(disks);
    await leave(disks, client);
    assert.equal(await answerTo(disks), rep.errUnknown);
    assert.ok(disks.log.shown.some(({ message }) => message.endsWith('still broken')));
    works = true;
    assert.equal(await answerTo(disks), rep.ack);
    assert.equal(disks.opened[0]?.closed, 1);
  });

  test('is opened once for several clients', async (t) => {
    const disks = await start(t);
    const client = await disks.open();
    fail(disks);
    await leave(disks, client);
    const clients = await Promise.all([disks.open(), disks.open(), disks.open()]);
    for (const each of clients) assert.equal((await each.call(read)).error, 0);
    assert.equal(disks.opened.length, 2);
  });

  test('is opened again only when it is closed', async (t) => {
    const closing = gate();
    const disks = await start(t);
    const [first] = disks.opened;
    assert.ok(first !== undefined);
    first.mayClose = closing.opened;
    const client = await disks.open();
    fail(disks);
    await leave(disks, client);
    const next = await disks.connect();
    await next.greet();
    const answer = next.option(opt.go, goData(''));
    for (let turn = 0; turn < 10; turn++) await eventLoopTurn();
    assert.equal(disks.opened.length, 1);
    closing.open();
    assert.equal((await answer).at(-1)?.type, rep.ack);
    assert.equal(disks.opened.length, 2);
  });

  test('is closed when the server stops while it is being opened', async (t) => {
    const opening = gate();
    const disks = await start(t, (disk) => opening.opened.then(() => disk));
    const client = await disks.open();
    fail(disks);
    await leave(disks, client);
    const next = await disks.connect();
    await next.greet();
    void next.option(opt.go, goData('')).catch(() => undefined);
    await disks.log.find(({ message }) => message.startsWith('cannot close backend'));
    for (let turn = 0; turn < 10; turn++) await eventLoopTurn();
    const stopped = assert.rejects(disks.server.close(), { code: 'NBDCORK_DATA_LOST' });
    opening.open();
    await stopped;
    assert.deepEqual(
      disks.opened.map(({ closed }) => closed),
      [1, 1],
    );
  });

  test('is not held by a client that was disconnected while it was being opened', async (t) => {
    const opening = gate();
    const disks = await start(
      t,
      (disk) => opening.opened.then(() => disk),
      (next) => ({ '': { backend: next } }),
      { handshakeTimeoutMs: 500 },
    );
    const late = await disks.connect();
    await late.greet();
    void late.option(opt.go, goData('')).catch(() => undefined);
    const { message } = await disks.log.findCode('NBDCORK_HANDSHAKE_TIMEOUT');
    assert.match(message, /disk of the export ""/);
    await until(() => disks.server.connectionCount === 0);
    opening.open();
    const client = await disks.open();
    fail(disks);
    await leave(disks, client);
    assert.equal(await answerTo(disks), rep.ack);
    assert.deepEqual(
      disks.opened.map(({ closed }) => closed),
      [1, 0],
    );
  });

  test('is opened again by the function that opened it, also that of a finder', async (t) => {
    const disks = await start(t, undefined, (next) => ({ find: () => ({ backend: next }) }));
    const client = await disks.open();
    fail(disks);
    await leave(disks, client);
    assert.equal(await answerTo(disks), rep.ack);
    assert.deepEqual(
      disks.opened.map(({ closed }) => closed),
      [1, 0],
    );
  });

  test('is refused where its function returns the disk that was closed', async (t) => {
    const disk = new FailingDisk();
    const disks = await start(
      t,
      () => disk,
      (next) => ({ '': { backend: next } }),
    );
    const client = await disks.open();
    fail(disks);
    await leave(disks, client);
    assert.equal(await answerTo(disks), rep.errUnknown);
    await assert.rejects(disks.server.close(), { code: 'NBDCORK_DATA_LOST' });
    assert.equal(disk.closed, 1);
  });

  test('stays in use where there is no function that opens it', async (t) => {
    const disk = new FailingDisk();
    const disks = await start(t, undefined, () => ({ '': disk }));
    const client = await disks.open();
    disk.mustReopen = true;
    await leave(disks, client);
    const next = await disks.open();
    assert.equal((await next.call(read)).error, 0);
    assert.equal(disk.closed, 0);
  });
});

describe('the stop of a server', () => {
  async function failedDisk() {
    const disk = new FailingDisk();
    const backends = new Backends([disk], Infinity, new Log());
    await backends.shared('', { backend: disk, reopen: () => disk }, { kind: 'stream' });
    disk.mustReopen = true;
    return { disk, backends };
  }

  test('closes a failed disk once, also where its last client leaves later', async () => {
    const { disk, backends } = await failedDisk();
    const closed = backends.close();
    backends.leave('', disk);
    await closed;
    assert.equal(disk.closed, 1);
    assert.equal(backends.closer.dataLoss?.code, 'NBDCORK_DATA_LOST');
  });

  test('waits for a failed disk that is being closed', async () => {
    const { disk, backends } = await failedDisk();
    const mayClose = gate();
    disk.mayClose = mayClose.opened;
    backends.leave('', disk);
    const closed = backends.close().then(() => disk.closed);
    for (let turn = 0; turn < 10; turn++) await eventLoopTurn();
    mayClose.open();
    assert.equal(await closed, 1);
  });
});
