/**
 * The newest clients, of Debian trixie: libnbd 1.22 and QEMU 10, which have
 * extended headers. They run in a folder that NBDCORK_TRIXIE names.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createServer, MemoryBackend, type Backend } from '../../lib/index.js';
import { temporaryFolder } from '../support/folder.js';
import { serve } from '../support/program.js';
import { Trixie } from '../support/trixie.js';
import { everything, program } from './support/libnbd.js';

const gibibyte = 2 ** 30;

/** TLS by a file of keys has to be allowed to libnbd's Python module. */
const connect = `
import nbd, sys
h = nbd.NBD()
h.set_uri_allow_local_file(True)
h.connect_uri(sys.argv[1])
`;

/** A server in this process: its backends can be looked at. */
async function listen(t: TestContext, backend: Backend): Promise<string> {
  const server = createServer({ exports: { '': backend } });
  await server.listen({ port: 0 });
  t.after(() => server.close());
  return server.uri();
}

describe('libnbd', () => {
  test('agrees on extended headers', async (t) => {
    const trixie = Trixie.find(t);
    if (trixie === undefined) return;
    const { uri } = await serve(t, ['--port', '0', 'memory:64M']);
    assert.match(await trixie.succeed(t, 'nbdinfo', uri), /using extended packets/);
  });

  for (const headers of ['structured', 'extended'] as const) {
    test(`sends every command with ${headers} headers`, async (t) => {
      const trixie = Trixie.find(t);
      if (trixie === undefined) return;
      const disk = join(await temporaryFolder(t), 'disk.img');
      const content = randomBytes(3 * 2 ** 20);
      await writeFile(disk, content);
      const copy = await trixie.file(t, content);
      const { uri } = await serve(t, ['--port', '0', disk]);
      const extended = headers === 'extended' ? 'True' : 'False';
      const agreed = `assert h.get_extended_headers_negotiated() == ${extended}\n`;
      const setup = `h.set_request_extended_headers(${extended})`;
      const code = program(agreed + everything, setup);
      await trixie.succeed(t, 'python3', '-c', code, 'uri', copy, uri);
      assert.ok((await readFile(disk)).equals(await trixie.contentOf(`${copy}.after`)));
    });
  }

  test('zeroes and maps more than 4 GiB at once', async (t) => {
    const trixie = Trixie.find(t);
    if (trixie === undefined) return;
    const { uri } = await serve(t, ['--port', '0', 'memory:4T']);
    const code = `
import nbd, sys
h = nbd.NBD()
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(sys.argv[1])
assert h.get_extended_headers_negotiated()
T = 1 << 40
for offset in (T - 512, 2 * T, 3 * T):
    h.pwrite(b'x' * 512, offset)
sent = h.stats_chunks_sent()
h.zero(T + (1 << 33), T)
assert h.stats_chunks_sent() == sent + 1, 'one request'
assert h.pread(512, 2 * T) == bytes(512)
assert h.pread(512, T - 512) == h.pread(512, 3 * T) == b'x' * 512
seen = []
def extents(context, offset, entries, error):
    seen.append((offset, [tuple(entry) for entry in entries]))
sent = h.stats_chunks_sent()
h.block_status_64(4 * T, 0, extents)
assert h.stats_chunks_sent() == sent + 1, 'one request'
((offset, entries),) = seen
assert offset == 0 and sum(length for length, _ in entries) == 4 * T
at = {}
position = 0
for length, state in entries:
    at[position] = (length, state)
    position += length
assert max(length for length, _ in entries) > 1 << 39
assert entries[0][1] == entries[-1][1] == 3, 'holes'
assert [state for _, state in entries].count(0) == 2, 'and data in two places'
h.trim(3 * T, T >> 1)
h.cache(T, 0)
h.shutdown()
`;
    await trixie.succeed(t, 'python3', '-c', code, uri);
  });

  test('asks for some of the contexts it has selected', async (t) => {
    const trixie = Trixie.find(t);
    if (trixie === undefined) return;
    const backend: Backend = Object.assign(new MemoryBackend(8 * gibibyte), {
      contexts: [
        { name: 'x-test:half', status: (_: number, length: number) => [{ length, flags: 7 }] },
        {
          name: 'x-test:wide',
          wide: true,
          status: (_: number, length: number) => [{ length, flags: 2n ** 63n + 1n }],
        },
      ],
    });
    const code = `
import nbd, sys
h = nbd.NBD()
names = ['base:allocation', 'x-test:half', 'x-test:wide']
for name in names:
    h.add_meta_context(name)
h.connect_uri(sys.argv[1])
assert all(h.can_meta_context(name) for name in names)
assert h.can_block_status_payload()
seen = {}
def extents(context, offset, entries, error):
    assert context not in seen
    seen[context] = [tuple(entry) for entry in entries]
G = 1 << 30
h.block_status_64(8 * G, 0, extents)
assert seen == {
    'base:allocation': [(8 * G, 3)],
    'x-test:half': [(8 * G, 7)],
    'x-test:wide': [(8 * G, (1 << 63) + 1)],
}, seen
for some in (['x-test:wide'], ['x-test:half', 'base:allocation'], names):
    seen = {}
    h.block_status_filter(6 * G, 512, some, extents)
    assert sorted(seen) == sorted(some), seen
h.shutdown()
`;
    await trixie.succeed(t, 'python3', '-c', code, await listen(t, backend));
  });

  test('connects over TLS with a pre-shared key, with extended headers', async (t) => {
    const trixie = Trixie.find(t);
    if (trixie === undefined) return;
    const line = `alice:${randomBytes(32).toString('hex')}\n`;
    const keys = join(await temporaryFolder(t), 'keys.psk');
    await writeFile(keys, line, { mode: 0o600 });
    const theirs = await trixie.file(t, line);
    const { uri } = await serve(t, [
      ...['--port', '0', '--tls', 'require', '--tls-psk', keys],
      'memory:8G',
    ]);
    const secure = `${uri.replace('//', '//alice@')}/?tls-psk-file=${theirs}`;
    const shown = await trixie.succeed(t, 'nbdinfo', secure);
    assert.match(shown, /with TLS, using extended packets/);
    const code = `${connect}
assert h.get_tls_negotiated() and h.get_extended_headers_negotiated()
data = bytes(range(256)) * 4096
h.pwrite(data, 5 << 30)
assert h.pread(len(data), 5 << 30) == data
h.zero(6 << 30, 1 << 30)
assert h.pread(len(data), 5 << 30) == bytes(len(data))
h.shutdown()
`;
    await trixie.succeed(t, 'python3', '-c', code, secure);
  });

  test('copies an image in and out by several connections', async (t) => {
    const trixie = Trixie.find(t);
    if (trixie === undefined) return;
    const content = Buffer.concat([randomBytes(5 * 2 ** 20), Buffer.alloc(11 * 2 ** 20)]);
    const [source, target] = [await trixie.file(t, content), await trixie.file(t, '')];
    const disk = new MemoryBackend(content.length);
    const uri = await listen(t, disk);
    const several = ['--connections=4', '--request-size=65536'];
    await trixie.succeed(t, 'nbdcopy', ...several, source, uri);
    await trixie.succeed(t, 'nbdcopy', ...several, uri, target);
    assert.ok((await trixie.contentOf(target)).equals(content));
  });
});

describe('QEMU', () => {
  test('writes zeroes past 4 GiB, and reads back its patterns', async (t) => {
    const trixie = Trixie.find(t);
    if (trixie === undefined) return;
    const { uri } = await serve(t, ['--port', '0', 'memory:16G']);
    const lines = [
      'write -P 0x5a 9G 1M',
      'write -P 0x5b 15G 1M',
      'write -z -n 1G 9G',
      'read -P 0 9G 1M',
      'read -P 0x5b 15G 1M',
      'write -z -n 12G 4G',
      'read -P 0 15G 1M',
      'discard 8G 1G',
      'flush',
    ];
    await trixie.succeed(
      t,
      'qemu-io',
      ...['-f', 'raw', ...lines.flatMap((line) => ['-c', line]), uri],
    );
  });

  test('maps, converts and compares an image that is sparse', async (t) => {
    const trixie = Trixie.find(t);
    if (trixie === undefined) return;
    const data = randomBytes(2 ** 20);
    const from = new MemoryBackend(32 * gibibyte, { chunkBytes: 2 ** 20 });
    from.write(20 * gibibyte, data);
    const uri = await listen(t, from);
    const shown = JSON.parse(
      await trixie.succeed(t, 'qemu-img', 'map', '--output=json', '-f', 'raw', uri),
    ) as readonly Readonly<Record<string, unknown>>[];
    assert.deepEqual(
      shown.map(({ start, length, data }) => [start, length, data]),
      [
        [0, 20 * gibibyte, false],
        [20 * gibibyte, 2 ** 20, true],
        [20 * gibibyte + 2 ** 20, 12 * gibibyte - 2 ** 20, false],
      ],
    );
    const target = await listen(t, new MemoryBackend(32 * gibibyte));
    const raw = ['-f', 'raw'];
    await trixie.succeed(t, 'qemu-img', 'convert', '-n', ...raw, '-O', 'raw', uri, target);
    await trixie.succeed(t, 'qemu-img', 'compare', ...raw, '-F', 'raw', uri, target);
  });
});
