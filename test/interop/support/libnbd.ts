/** Programs for libnbd's Python module: every command, with each of its flags. */

/** The disk is in DISK, the connected handle in h. */
export const commands: readonly (readonly [name: string, code: string])[] = [
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
  [
    'pread_structured with DF',
    `
assert h.can_df()
chunks = []
def chunk(data, offset, status, error):
    chunks.append((data, offset, status))
h.pread_structured(65536, 54321, chunk, nbd.CMD_FLAG_DF)
assert chunks == [(DISK[54321:119857], 54321, nbd.READ_DATA)]`,
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
  [
    'zero with FAST_ZERO',
    `
assert h.can_fast_zero()
try:
    h.zero(65536, 786432, nbd.CMD_FLAG_FAST_ZERO)
except nbd.Error as error:
    assert error.errnum == errno.ENOTSUP, error
else:
    DISK[786432:851968] = bytes(65536)
assert h.pread(SIZE, 0) == DISK`,
  ],
  [
    'block_status, with REQ_ONE too',
    `
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
def extents(context, offset, entries, error):
    assert context == nbd.CONTEXT_BASE_ALLOCATION
    found.append((offset, entries))
found = []
h.block_status(SIZE, 0, extents)
((offset, entries),) = found
position = 0
for length, state in zip(entries[::2], entries[1::2]):
    if state & nbd.STATE_ZERO:
        assert not any(DISK[position:position + length])
    position += length
assert offset == 0 and position <= SIZE
found = []
h.block_status(1000, 4097, extents, nbd.CMD_FLAG_REQ_ONE)
((offset, entries),) = found
assert offset == 4097 and len(entries) == 2 and 0 < entries[0] <= 1000`,
  ],
  [
    'the abilities of the export',
    `
assert not h.is_read_only() and not h.is_rotational()
assert h.can_multi_conn() and h.can_cache() and h.can_fua() and h.can_trim()`,
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

export const everything = commands.map(([, code]) => code).join('\n');

const prelude = `
import errno, nbd, sys
how, path, *where = sys.argv[1:]
DISK = bytearray(open(path, 'rb').read())
SIZE = len(DISK)
h = nbd.NBD()
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
SETUP
if how == 'uri': h.connect_uri(where[0])
else: h.connect_command(where)
assert h.get_size() == SIZE
`;
const end = `
h.shutdown()
open(path + '.after', 'wb').write(DISK)
`;

/**
 * A program whose arguments are `uri` or `command`, a copy of the disk, and the URI
 * or command. It writes the disk's expected content to a file beside the copy.
 * `setup` is code that configures the handle before it connects.
 */
export function program(code: string, setup = ''): string {
  return prelude.replace('SETUP', setup) + code + end;
}
