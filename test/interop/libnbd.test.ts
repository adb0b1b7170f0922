/** libnbd: nbdinfo, and every command through its Python module, which nbdsh is. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { needs, pythonWithNbd, run, succeed } from '../support/peers.js';
import { programPath, serve } from '../support/program.js';
import { betweenPipes, listenBeforePipes } from './support/pipes.js';

const diskBytes = 3 * 2 ** 20;

async function randomDisk(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), 'disk.img');
  await writeFile(path, randomBytes(diskBytes));
  return path;
}

describe('nbdinfo', () => {
  test('shows an export', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', 'name=memory:64M']);
    const shown = await succeed(t, 'nbdinfo', [uri]);
    assert.match(shown, /protocol: newstyle-fixed/);
    assert.match(shown, /export="name"/);
    assert.match(shown, /export-size: 67108864 \(64M\)/);
    assert.match(shown, /is_read_only: false/);
    for (const ability of ['cache', 'flush', 'fua', 'multi_conn', 'trim', 'zero']) {
      assert.match(shown, new RegExp(`can_${ability}: true`));
    }
    assert.match(shown, /block_size_maximum: 33554432/);
  });

  test('lists all exports, with their descriptions', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', 'a=memory:1M', 'b=memory:2M']);
    const shown = await succeed(t, 'nbdinfo', ['--list', uri]);
    assert.match(shown, /export="a"[^]*description: memory:1M[^]*export-size: 1048576 /);
    assert.match(shown, /export="b"[^]*description: memory:2M[^]*export-size: 2097152 /);
  });

  test('is told that a read-only export is so', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', '--read-only', await randomDisk(t)]);
    await succeed(t, 'nbdinfo', ['--is', 'read-only', uri]);
    assert.equal((await run(t, 'nbdinfo', ['--can', 'write', uri])).status, 2);
  });

  // libnbd passes a listening socket, as systemd does.
  for (const stdio of [['--stdio'], []]) {
    test(`starts the server: nbdinfo -- [ ${['serve', ...stdio].join(' ')} ]`, async (t) => {
      if (!needs(t, 'nbdinfo')) return;
      const command = [process.execPath, programPath, 'serve', ...stdio, await randomDisk(t)];
      const size = await succeed(t, 'nbdinfo', ['--size', '--', '[', ...command, ']']);
      assert.equal(size, `${diskBytes}\n`, 'and nothing else is printed');
    });
  }

  test('over plain pipes', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const uri = await listenBeforePipes(t, await randomDisk(t));
    assert.equal(await succeed(t, 'nbdinfo', ['--size', uri]), `${diskBytes}\n`);
  });
});

/** The disk is in DISK, the connected handle in h. */
const commands: readonly (readonly [name: string, code: string])[] = [
  ['pread', 'assert h.pread(5000, 12345) == DISK[12345:17345]'],
  ['pread of everything', 'assert h.pread(SIZE, 0) == DISK'],
  [
    'pread_structured',
    `
got = bytearray(100000)
def chunk(data, offset, status, error):
    assert status == nbd.READ_DATA
    got[offset - 777:offset - 777 + len(data)] = data
h.pread_structured(100000, 777, chunk)
assert got == DISK[777:100777]`,
  ],
  [
    'pwrite',
    `
h.pwrite(b'pattern!' * 1000, 4321)
DISK[4321:12321] = b'pattern!' * 1000
assert h.pread(SIZE, 0) == DISK`,
  ],
  [
    'pwrite with FUA',
    `
assert h.can_fua()
h.pwrite(b'fua' * 300, 999999, nbd.CMD_FLAG_FUA)
DISK[999999:1000899] = b'fua' * 300
assert h.pread(SIZE, 0) == DISK`,
  ],
  [
    'pwrite and pread of 2 MiB',
    `
h.pwrite(DISK[:2 << 20], SIZE - (2 << 20))
DISK[SIZE - (2 << 20):] = DISK[:2 << 20]
assert h.pread(SIZE, 0) == DISK`,
  ],
  ['flush', 'assert h.can_flush(); h.flush()'],
  [
    'trim',
    `
assert h.can_trim()
h.trim(65536, 131072)
h.trim(4096, 0, nbd.CMD_FLAG_FUA)
after = h.pread(SIZE, 0)
assert after[4096:131072] == DISK[4096:131072]
assert after[196608:] == DISK[196608:]
DISK[:] = after`,
  ],
  [
    'zero',
    `
assert h.can_zero()
h.zero(100001, 300000)
DISK[300000:400001] = bytes(100001)
h.zero(70000, 500000, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
DISK[500000:570000] = bytes(70000)
assert h.pread(SIZE, 0) == DISK`,
  ],
  ['cache', 'assert h.can_cache(); h.cache(1 << 20, 4096); assert h.pread(SIZE, 0) == DISK'],
  [
    'many requests at once',
    `
buffers = [nbd.Buffer(4096) for _ in range(256)]
cookies = [h.aio_pread(buffer, i * 4096) for i, buffer in enumerate(buffers)]
while h.aio_in_flight() > 0:
    h.poll(-1)
assert all(h.aio_command_completed(cookie) for cookie in cookies)
for i, buffer in enumerate(buffers):
    assert buffer.to_bytearray() == DISK[i * 4096:(i + 1) * 4096]`,
  ],
  [
    'requests that are wrong get their error, and the connection goes on',
    `
import errno
h.set_strict_mode(0)
def fails(number, call):
    try:
        call()
    except nbd.Error as error:
        assert error.errnum == number, error
    else:
        assert False
fails(errno.EINVAL, lambda: h.pread(512, SIZE))
fails(errno.EINVAL, lambda: h.pread(2, SIZE - 1))
fails(errno.ENOSPC, lambda: h.pwrite(b'12', SIZE - 1))
fails(errno.ENOSPC, lambda: h.zero(2, SIZE - 1))
fails(errno.EINVAL, lambda: h.trim(2, SIZE - 1))
assert h.pread(SIZE, 0) == DISK`,
  ],
];

const prelude = `
import nbd, sys
how, path, *where = sys.argv[1:]
DISK = bytearray(open(path, 'rb').read())
SIZE = len(DISK)
h = nbd.NBD()
if how == 'uri': h.connect_uri(where[0])
else: h.connect_command(where)
assert h.get_size() == SIZE
`;
const end = `
h.shutdown()
open(path + '.after', 'wb').write(DISK)
`;

/** Run Python code on a copy of the disk, and compare the served one afterwards. */
async function check(t: TestContext, code: string, disk: string, how: string[]): Promise<void> {
  const python = pythonWithNbd(t);
  if (python === undefined) return;
  const copy = `${disk}.copy`;
  await writeFile(copy, await readFile(disk));
  const [kind = '', ...where] = how;
  await succeed(t, python, ['-c', prelude + code + end, kind, copy, ...where]);
  assert.ok((await readFile(disk)).equals(await readFile(`${copy}.after`)), 'the file differs');
}

describe("libnbd's commands over TCP", () => {
  for (const [name, code] of commands) {
    test(name, async (t) => {
      const disk = await randomDisk(t);
      const { uri } = await serve(t, ['--port', '0', disk]);
      await check(t, code, disk, ['uri', uri]);
    });
  }
});

const everything = commands.map(([, code]) => code).join('\n');

describe("all of libnbd's commands", () => {
  test('over a Unix socket', async (t) => {
    const disk = await randomDisk(t);
    const { uri } = await serve(t, ['--unix', join(await temporaryFolder(t), 'nbd.sock'), disk]);
    await check(t, everything, disk, ['uri', uri]);
  });

  test('over the socket pair that libnbd gives the server it starts', async (t) => {
    const disk = await randomDisk(t);
    const command = [process.execPath, programPath, 'serve', '--stdio', disk];
    await check(t, everything, disk, ['command', ...command]);
  });

  test('over plain pipes', async (t) => {
    const disk = await randomDisk(t);
    await check(t, everything, disk, ['command', ...betweenPipes(disk)]);
  });
});
