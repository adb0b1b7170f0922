/**
 * Hostile clients of the program as it is run, each with an ordinary client
 * beside it, every reply of which is checked. In the end the program must have
 * nothing to complain of itself: it stops as it should.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import {
  goData,
  headerKinds,
  optionBytes,
  requestBytes,
  type ByteClient,
  type Headers,
} from '../support/byte-client.js';
import { connectTo } from '../support/connecting.js';
import { pattern } from '../support/disks.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd, cmdFlag, err, opt, rep, u32 } from '../support/numbers.js';
import { serve } from '../support/program.js';
import { createAuthority, issueCertificate } from '../support/tls.js';

const mebibyte = 2 ** 20;
const longest = 2 ** 32 - 1;
const tooMuch = new Set<number>([err.EINVAL, err.ENOSPC, err.EOVERFLOW]);

/** An ordinary client that writes and reads, as long as something goes on. */
class Neighbour {
  private constructor(private readonly client: ByteClient) {}

  static async of(t: TestContext, uri: string): Promise<Neighbour> {
    const client = await connectTo(t, uri);
    await client.open('structured', 'ordinary');
    return new Neighbour(client);
  }

  /** One round of work. */
  async works(round = 0): Promise<void> {
    const payload = pattern(20_000, round);
    const offset = (round % 100) * 1000;
    assert.equal((await this.client.call({ type: cmd.write, offset, payload })).error, 0);
    const { data } = await this.client.call({ type: cmd.read, offset, length: payload.length });
    assert.ok(data.equals(payload));
  }

  /** Works until it has happened, and once more. */
  async worksDuring<T>(attack: Promise<T>): Promise<T> {
    const state = { over: false };
    const over = (): void => {
      state.over = true;
    };
    attack.then(over, over);
    for (let round = 1; !state.over; round++) await this.works(round);
    await this.works();
    return attack;
  }
}

async function serving(t: TestContext, ...args: string[]) {
  const { uri, server } = await serve(t, [
    '--port=0',
    ...args,
    'ordinary=memory:1M',
    ...(args.some((arg) => arg.startsWith('attacked=')) ? [] : ['attacked=memory:64M']),
  ]);
  const neighbour = await Neighbour.of(t, uri);
  await neighbour.works();
  return { uri, server, neighbour };
}

async function attacker(t: TestContext, uri: string, headers: Headers = 'simple') {
  const client = await connectTo(t, uri);
  await client.open(headers, 'attacked');
  return client;
}

function reset({ stream }: ByteClient): void {
  assert.ok(stream instanceof Socket);
  stream.resetAndDestroy();
}

/** What the kernel says of a process, in KiB: such as VmHWM, the most memory it has ever had. */
async function kibibytes(pid: number, what: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const match = new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status);
  assert.ok(match !== null);
  return Number(match[1]);
}

describe('an ordinary client is unharmed by', () => {
  for (const headers of headerKinds) {
    test(`a length of 2^32 - 1, ${headers}`, async (t) => {
      const { uri, neighbour } = await serving(t);
      const attack = async (): Promise<void> => {
        const client = await attacker(t, uri, headers);
        for (const type of [cmd.read, cmd.trim, cmd.writeZeroes, cmd.cache, cmd.blockStatus]) {
          for (const offset of [0, 64 * mebibyte - 1, longest]) {
            const { error } = await client.call({ type, offset, length: longest });
            assert.ok(tooMuch.has(error), `error ${error}`);
          }
        }
        assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
        client.send(requestBytes(headers, { type: cmd.write, length: longest }), Buffer.alloc(1e6));
        await client.closed;
      };
      await neighbour.worksDuring(attack());
    });
  }

  test('an option of 2^32 - 1 bytes', async (t) => {
    const { uri, neighbour } = await serving(t);
    const client = await connectTo(t, uri);
    await client.greet();
    client.send(Buffer.from('IHAVEOPT'), u32(opt.go), u32(longest), Buffer.alloc(1e6));
    await neighbour.worksDuring(client.closed);
  });

  test('options without end', async (t) => {
    const { uri, neighbour } = await serving(t);
    const attack = async (): Promise<void> => {
      const client = await connectTo(t, uri);
      await client.greet();
      const options = Buffer.concat(Array.from({ length: 100 }, () => optionBytes(opt.list)));
      const { stream } = client;
      while (!stream.destroyed) {
        const written = new Promise((resolve) => stream.write(options, resolve));
        await Promise.race([written, client.closed]);
      }
    };
    await neighbour.worksDuring(attack());
  });

  test('options and requests that come a byte at a time', async (t) => {
    const { uri, neighbour } = await serving(t);
    const client = await connectTo(t, uri);
    const read = client.expectReply({ type: cmd.read, offset: 5, length: 100 });
    const session = [
      u32(3),
      optionBytes(opt.list),
      optionBytes(opt.go, goData('attacked')),
      requestBytes('simple', read),
    ];
    for (const [round, byte] of Buffer.concat(session).entries()) {
      client.send(Buffer.of(byte));
      await neighbour.works(round);
    }
    await client.take(18);
    assert.equal((await client.optionReplies(opt.list)).at(-1)?.type, rep.ack);
    assert.equal((await client.optionReplies(opt.go)).at(-1)?.type, rep.ack);
    assert.deepEqual((await client.reply()).data, Buffer.alloc(100));
  });

  test('a handshake that gets a byte further now and then, until it is cut', async (t) => {
    const { uri, neighbour } = await serving(t, '--handshake-timeout=300ms');
    const client = await connectTo(t, uri);
    await client.greet();
    const option = optionBytes(opt.go, Buffer.alloc(60_000));
    for (const [round, byte] of option.entries()) {
      if (client.stream.destroyed) break;
      client.send(Buffer.of(byte));
      await neighbour.works(round);
    }
    await neighbour.worksDuring(client.closed);
  });

  test('1,000 connections that say nothing', async (t) => {
    const { uri, server, neighbour } = await serving(t, '--handshake-timeout=3s');
    const before = await kibibytes(server.pid, 'VmRSS');
    const silent = Array.from({ length: 1000 }, () => connectTo(t, uri));
    const clients = await neighbour.worksDuring(Promise.all(silent));
    await neighbour.worksDuring(Promise.all(clients.map((client) => client.take(18))));
    const grown = (await kibibytes(server.pid, 'VmRSS')) - before;
    assert.ok(grown < 64 * 1024, `1,000 connections took ${grown} KiB`);
    await neighbour.worksDuring(Promise.all(clients.map(({ closed }) => closed)));
    await (await Neighbour.of(t, uri)).works();
  });

  test('one that asks for 64 times 32 MiB and reads nothing', async (t) => {
    const disk = join(await temporaryFolder(t), 'disk.img');
    await writeFile(disk, pattern(mebibyte));
    await truncate(disk, 64 * mebibyte);
    const { uri, server, neighbour } = await serving(t, '--send-timeout=2s', `attacked=${disk}`);
    const before = await kibibytes(server.pid, 'VmHWM');
    const client = await attacker(t, uri);
    client.stream.pause();
    for (let count = 0; count < 64; count++) {
      client.request({ type: cmd.read, offset: count, length: 32 * mebibyte });
    }
    const cut = server.stderr.match(/NBDCORK_CLIENT_STALLED/);
    await neighbour.worksDuring(cut);
    const grown = (await kibibytes(server.pid, 'VmHWM')) - before;
    // In progress may be 64 MiB and one request more: see `bytesInFlightMax`.
    assert.ok(grown < 192 * 1024, `2 GiB of replies took ${grown} KiB`);
  });

  test('one that asks for minutes of work with a few bytes', async (t) => {
    const { uri, neighbour } = await serving(t);
    const client = await attacker(t, uri);
    const all = { type: cmd.writeZeroes, length: 64 * mebibyte, flags: cmdFlag.noHole };
    assert.equal((await client.call(all)).error, 0);
    // All but a byte of two chunks: cleared, not dropped.
    const trim = { type: cmd.trim, offset: 1, length: 32 * mebibyte - 2 };
    const trims = Array.from({ length: 500 }, () => client.expectReply({ ...trim }));
    client.send(...trims.map((request) => requestBytes('simple', request)));
    let answered = 0;
    const replies = async (): Promise<void> => {
      for (; answered < trims.length; answered++) assert.equal((await client.reply()).error, 0);
    };
    const attack = replies();
    await new Promise((resolve) => client.stream.once('data', resolve));
    await neighbour.works();
    assert.ok(answered < trims.length, 'the neighbour had to wait for all of it');
    await neighbour.worksDuring(attack);
  });

  test('resets in the middle of everything', async (t) => {
    const { uri, neighbour } = await serving(t);
    const payload = pattern(3000);
    const session = Buffer.concat([
      u32(3),
      optionBytes(opt.structuredReply),
      optionBytes(opt.list),
      optionBytes(opt.go, goData('attacked')),
      requestBytes('structured', { type: cmd.read, cookie: 1n, length: 32 * mebibyte }),
      requestBytes('structured', { type: cmd.write, cookie: 2n, offset: 100, payload }),
      requestBytes('structured', { type: cmd.writeZeroes, cookie: 3n, length: 50 * mebibyte }),
      requestBytes('structured', { type: cmd.flush, cookie: 4n }),
    ]);
    for (let sent = 0; sent <= session.length; sent += 11) {
      const client = await connectTo(t, uri);
      if (sent % 2 === 0) await client.take(18);
      await new Promise((resolve) => client.stream.write(session.subarray(0, sent), resolve));
      if (sent % 3 === 0) await neighbour.works(sent);
      reset(client);
    }
    await neighbour.works();
  });

  test('a write past the end, whose payload looks like requests', async (t) => {
    const { uri, neighbour } = await serving(t);
    const disconnect = requestBytes('simple', { type: cmd.disc });
    const payload = Buffer.concat(Array.from({ length: 5000 }, () => disconnect));
    for (const headers of headerKinds) {
      const client = await attacker(t, uri, headers);
      const attack = async (): Promise<void> => {
        for (const offset of [64 * mebibyte - 1, 64 * mebibyte, 2 ** 52, 2n ** 64n - 1n]) {
          const { error } = await client.call({ type: cmd.write, offset, payload });
          assert.equal(error, err.ENOSPC);
          const { data } = await client.call({ type: cmd.read, length: 1000 });
          assert.deepEqual(data, Buffer.alloc(1000));
        }
      };
      await neighbour.worksDuring(attack());
    }
  });
});

describe('with TLS, an ordinary client is unharmed by', () => {
  /** A client whose STARTTLS was sent with whatever comes behind it. */
  async function startTlsWith(t: TestContext, behind: Uint8Array) {
    const folder = join(await temporaryFolder(t), 'pki');
    await mkdir(folder);
    const ca = await createAuthority();
    const { key, cert } = await issueCertificate(ca, 'localhost');
    await writeFile(join(folder, 'ca-cert.pem'), ca.cert);
    await writeFile(join(folder, 'server-cert.pem'), cert);
    await writeFile(join(folder, 'server-key.pem'), key);
    const served = await serving(t, '--tls=on', `--tls-certificates=${folder}`);
    const client = await connectTo(t, served.uri.replace('nbds:', 'nbd:'));
    await client.greet();
    client.send(optionBytes(opt.startTls), behind);
    return { ...served, client };
  }

  test('garbage after STARTTLS', async (t) => {
    const { server, client, neighbour } = await startTlsWith(t, Buffer.alloc(0));
    assert.deepEqual(await client.optionReplies(opt.startTls), [
      { type: rep.ack, data: Buffer.alloc(0) },
    ]);
    client.send(pattern(100_000));
    await neighbour.worksDuring(client.closed);
    await neighbour.worksDuring(server.stderr.match(/NBDCORK_TLS_FAILED/));
  });

  test('plaintext that is injected before TLS', async (t) => {
    const injected = optionBytes(opt.go, goData('attacked'));
    const { server, client, neighbour } = await startTlsWith(t, injected);
    const rest = await neighbour.worksDuring(client.closed);
    assert.ok(!rest.includes(u32(opt.go)), 'what was injected is not answered');
    await neighbour.worksDuring(server.stderr.match(/NBDCORK_TLS_INJECTION/));
  });
});
