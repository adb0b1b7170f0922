import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { fstatSync, readdirSync, writeSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { codeOf } from '../../lib/errors.js';
import { descriptorKind } from '../../lib/native/addon.js';
import { openTcp, openUnix, type SocketLink } from '../transport/support/links.js';
import {
  failure,
  fdOf,
  native,
  openUntilEnd,
  pipeFd,
  readExactly,
  temporaryFile,
  temporaryFolder,
  withoutAddon,
} from './support/native.js';

/** The number of a descriptor that is not open in any process. */
const noFd = 2 ** 30;

describe('peerCredentials', { skip: withoutAddon }, () => {
  it('returns process, user and group of the peer of a Unix socket', async (t) => {
    const fd = fdOf((await openUnix(t)).sender);
    const numbers = new Float64Array(3);
    assert.equal(native().peerCredentials(fd, numbers), 0);
    assert.deepEqual([...numbers], [process.pid, process.getuid?.(), process.getgid?.()]);
  });

  it('returns -errno for other descriptors, and throws for a short array', (t) => {
    const { fd: file } = temporaryFile(t);
    const room = new Float64Array(3);
    assert.equal(native().peerCredentials(-1, room), failure('EBADF'));
    assert.equal(native().peerCredentials(file, room), failure('ENOTSOCK'));
    assert.throws(() => native().peerCredentials(file, new Float64Array(2)), {
      code: 'ERR_OUT_OF_RANGE',
    });
  });
});

describe('unreadByPeer', { skip: withoutAddon }, () => {
  it('returns what the other end of a socket or a pipe has not read', async (t) => {
    const { sender, receiver } = await openUnix(t);
    const fd = fdOf(sender);
    assert.equal(native().unreadByPeer(fd), 0);
    assert.equal(native().send(fd, new Uint8Array(1000), false), 1000);
    assert.ok(native().unreadByPeer(fd) >= 1000);
    await readExactly(receiver, 1000);
    assert.equal(native().unreadByPeer(fd), 0);
    const pipe = pipeFd(t);
    writeSync(pipe, new Uint8Array(300));
    assert.equal(native().unreadByPeer(pipe), 300);
  });

  it('returns -errno for other descriptors', (t) => {
    assert.equal(native().unreadByPeer(noFd), failure('EBADF'));
    assert.equal(native().unreadByPeer(temporaryFile(t).fd), failure('ENOTTY'));
  });
});

describe('setSendBuffer', { skip: withoutAddon }, () => {
  it('limits what the kernel accepts while the peer does not read', async (t) => {
    const bytes = new Uint8Array(2 ** 20);
    for (const open of [openTcp, openUnix]) {
      const usual = native().send(fdOf((await open(t)).sender), bytes, false);
      const fd = fdOf((await open(t)).sender);
      assert.equal(native().setSendBuffer(fd, 10_000), 0);
      assert.ok(native().send(fd, bytes, false) < usual / 2);
    }
  });

  it('returns -errno for other descriptors, and throws for an invalid size', (t) => {
    const { fd: file } = temporaryFile(t);
    for (const [fd, expected] of [
      [-1, failure('EBADF')],
      [file, failure('ENOTSOCK')],
    ] as const) {
      assert.equal(native().setSendBuffer(fd, 65_536), expected);
    }
    for (const bytes of [-1, 1.5, 2 ** 31]) {
      assert.throws(() => native().setSendBuffer(file, bytes), { code: 'ERR_OUT_OF_RANGE' });
    }
    assert.throws(() => Reflect.apply(native().setSendBuffer, undefined, [file]), {
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });
});

describe('setCork and getCork', { skip: withoutAddon }, () => {
  it('reads the value that was set', async (t) => {
    const fd = fdOf((await openTcp(t)).sender);
    assert.equal(native().getCork(fd), 0);
    assert.equal(native().setCork(fd, true), 0);
    assert.equal(native().getCork(fd), 1);
    assert.equal(native().setCork(fd, false), 0);
    assert.equal(native().getCork(fd), 0);
  });

  it('returns -errno for other descriptors', async (t) => {
    const unix = fdOf((await openUnix(t)).sender);
    const { fd: file } = temporaryFile(t);
    for (const [fd, expected] of [
      [-1, failure('EBADF')],
      [noFd, failure('EBADF')],
      [file, failure('ENOTSOCK')],
      [unix, failure('EOPNOTSUPP')],
    ] as const) {
      assert.equal(native().setCork(fd, true), expected);
      assert.equal(native().getCork(fd), expected);
    }
  });

  it('throws for an invalid descriptor or boolean', () => {
    const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
    const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    for (const fd of [1.5, NaN, Infinity, 2 ** 31, -(2 ** 31) - 1]) {
      assert.throws(() => native().getCork(fd), range);
    }
    assert.throws(() => Reflect.apply(native().getCork, undefined, []), type);
    assert.throws(() => Reflect.apply(native().getCork, undefined, ['1']), type);
    assert.throws(() => Reflect.apply(native().setCork, undefined, [1, 1]), type);
  });
});

describe('send', { skip: withoutAddon }, () => {
  it('sends the bytes of a view, and none if it is empty', async (t) => {
    const { sender, receiver } = await openTcp(t);
    const bytes = randomBytes(10_000);
    assert.equal(native().send(fdOf(sender), bytes.subarray(100, 9_000), false), 8_900);
    assert.equal(native().send(fdOf(sender), new Uint8Array(0), false), 0);
    assert.ok((await readExactly(receiver, 8_900)).equals(bytes.subarray(100, 9_000)));
  });

  it('joins bytes sent with `more` and the next ones in one segment', async (t) => {
    const { sender, receiver } = await openTcp(t);
    const fd = fdOf(sender);
    assert.equal(native().send(fd, Buffer.from('head'), true), 4);
    assert.equal(native().send(fd, Buffer.from('payload'), false), 7);
    assert.equal((await readExactly(receiver, 11)).toString(), 'headpayload');
    const counters = new Float64Array(4);
    assert.equal(native().tcpInfo(fd, counters), 0);
    assert.equal(counters[2], 1);
  });

  it('returns what the kernel accepts while the peer does not read, then -EAGAIN', async (t) => {
    for (const open of [openTcp, openUnix]) {
      const { sender, receiver } = await open(t);
      const bytes = randomBytes(64 * 2 ** 20);
      const sent = native().send(fdOf(sender), bytes, false);
      assert.ok(sent > 0 && sent < bytes.length, `sent ${sent}`);
      const more = sendUntilFull(fdOf(sender), bytes.subarray(sent));
      const received = await readExactly(receiver, sent + more);
      assert.ok(received.equals(bytes.subarray(0, sent + more)));
    }
  });

  it('returns -EPIPE, without a signal, if the peer is gone', async (t) => {
    const { sender, receiver } = await openUnix(t);
    const fd = fdOf(sender);
    receiver.destroy();
    assert.equal(native().send(fd, Buffer.from('x'), false), failure('EPIPE'));
    assert.equal(
      native().sendmsg(fd, [Buffer.from('x')], pieces([0, 0, 1]), 0, 1),
      failure('EPIPE'),
    );
  });

  it('returns -errno for other descriptors', (t) => {
    const bytes = Buffer.from('x');
    assert.equal(native().send(noFd, bytes, false), failure('EBADF'));
    assert.equal(native().send(temporaryFile(t).fd, bytes, false), failure('ENOTSOCK'));
  });

  it('throws for other types than Uint8Array', () => {
    for (const bytes of ['text', [1, 2], new ArrayBuffer(1), new Uint16Array(1), null]) {
      assert.throws(() => Reflect.apply(native().send, undefined, [1, bytes, false]), TypeError);
    }
  });
});

describe('sendmsg', { skip: withoutAddon }, () => {
  it('sends pieces in order, and a buffer as often as pieces refer to it', async (t) => {
    const { sender, receiver } = await openTcp(t);
    const buffers = [Buffer.from('abcdef'), new Uint8Array(Buffer.from('0123456789'))];
    const vector = pieces([0, 0, 2], [1, 3, 4], [0, 6, 0], [0, 2, 4], [1, 0, 10], [0, 0, 1]);
    assert.equal(native().sendmsg(fdOf(sender), buffers, vector, 0, 6), 21);
    assert.equal((await readExactly(receiver, 21)).toString(), 'ab3456cdef0123456789a');
  });

  it('sends `count` pieces from `first` on', async (t) => {
    const { sender, receiver } = await openUnix(t);
    const vector = pieces([0, 0, 1], [0, 1, 1], [0, 2, 1], [0, 3, 1]);
    assert.equal(native().sendmsg(fdOf(sender), [Buffer.from('abcd')], vector, 1, 2), 2);
    assert.equal((await readExactly(receiver, 2)).toString(), 'bc');
  });

  it('returns 0 for no pieces and for empty pieces', async (t) => {
    const fd = fdOf((await openTcp(t)).sender);
    assert.equal(native().sendmsg(fd, [], new Float64Array(0), 0, 0), 0);
    assert.equal(native().sendmsg(fd, [new Uint8Array(0)], pieces([0, 0, 0]), 0, 1), 0);
  });

  it('sends vectors longer than IOV_MAX, and many buffers', async (t) => {
    for (const open of [openTcp, openUnix]) {
      for (const count of [256, 257, 1_023, 1_024, 1_025, 3_000]) {
        const { sender, receiver } = await open(t);
        const buffers = Array.from({ length: count }, () => randomBytes(3));
        const vector = pieces(...buffers.map((_, index) => [index, 0, 3]));
        assert.equal(native().sendmsg(fdOf(sender), buffers, vector, 0, count), 3 * count);
        const received = await readExactly(receiver, 3 * count);
        assert.ok(received.equals(Buffer.concat(buffers)), `${count} pieces`);
      }
    }
  });

  it('returns the bytes sent of a long vector, then -EAGAIN', async (t) => {
    for (const open of [openTcp, openUnix]) {
      const { sender, receiver } = await open(t);
      const bytes = randomBytes(64 * 2 ** 20);
      const size = 16 * 2 ** 10;
      const count = bytes.length / size;
      const vector = pieces(...Array.from({ length: count }, (_, i) => [0, i * size, size]));
      const sent = native().sendmsg(fdOf(sender), [bytes], vector, 0, count);
      assert.ok(sent > 0 && sent < bytes.length, `sent ${sent}`);
      const more = sendUntilFull(fdOf(sender), bytes.subarray(sent));
      assert.equal(
        native().sendmsg(fdOf(sender), [bytes], vector, 0, count),
        failure('EAGAIN'),
        'a full socket accepts no vector',
      );
      const received = await readExactly(receiver, sent + more);
      assert.ok(received.equals(bytes.subarray(0, sent + more)));
    }
  });

  it('accepts SharedArrayBuffers for pieces and bytes', async (t) => {
    const { sender, receiver } = await openTcp(t);
    const bytes = new Uint8Array(new SharedArrayBuffer(4_096), 1_000, 2_000);
    const expected = randomBytes(2_000);
    bytes.set(expected);
    const vector = new Float64Array(new SharedArrayBuffer(48));
    vector.set([0, 500, 1_500, 0, 0, 500]);
    assert.equal(native().sendmsg(fdOf(sender), [bytes], vector, 0, 2), 2_000);
    assert.equal(native().send(fdOf(sender), bytes, false), 2_000);
    const received = await readExactly(receiver, 4_000);
    const halves = [expected.subarray(500), expected.subarray(0, 500), expected];
    assert.ok(received.equals(Buffer.concat(halves)));
  });

  it('returns -errno for other descriptors', (t) => {
    const { sendmsg } = native();
    const vector = pieces([0, 0, 1]);
    assert.equal(sendmsg(noFd, [Buffer.from('x')], vector, 0, 1), failure('EBADF'));
    const { fd } = temporaryFile(t);
    assert.equal(sendmsg(fd, [Buffer.from('x')], vector, 0, 1), failure('ENOTSOCK'));
  });

  it('throws for a piece outside its buffers, and sends nothing', async (t) => {
    const { sender, receiver } = await openTcp(t);
    const fd = fdOf(sender);
    const good = [0, 0, 4];
    const bad = [
      [1, 0, 1],
      [-1, 0, 1],
      [0.5, 0, 1],
      [NaN, 0, 1],
      [0, 5, 0],
      [0, -1, 1],
      [0, 0.5, 1],
      [0, NaN, 1],
      [0, 0, 5],
      [0, 4, 1],
      [0, 0, -1],
      [0, 0, 0.5],
      [0, 0, NaN],
      [0, 1, 2 ** 53],
      [0, 0, Infinity],
    ];
    for (const piece of bad) {
      const vector = pieces(good, piece);
      assert.throws(() => native().sendmsg(fd, [Buffer.from('abcd')], vector, 0, 2), RangeError);
    }
    const late = pieces(...Array.from({ length: 2_000 }, () => good), [0, 0, 5]);
    assert.throws(() => native().sendmsg(fd, [Buffer.from('abcd')], late, 0, 2_001), RangeError);
    assert.equal(native().send(fd, Buffer.from('!'), false), 1);
    assert.equal((await readExactly(receiver, 1)).toString(), '!');
  });

  it('throws for missing pieces and for invalid types', async (t) => {
    const fd = fdOf((await openTcp(t)).sender);
    const bytes = Buffer.from('abcd');
    const vector = pieces([0, 0, 1], [0, 1, 1]);
    const { sendmsg } = native();
    for (const [first, count] of [
      [0, 3],
      [2, 1],
      [-1, 1],
      [0, -1],
      [0, 1.5],
      [NaN, 1],
      [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ] as const) {
      assert.throws(() => sendmsg(fd, [bytes], vector, first, count), RangeError);
    }
    for (const args of [
      [fd, bytes, vector, 0, 1],
      [fd, [Buffer.from('a'), undefined], vector, 0, 1],
      [fd, [new Float64Array(1)], vector, 0, 1],
      [fd, [bytes], [0, 0, 1], 0, 1],
      [fd, [bytes], new Float32Array(3), 0, 1],
      [fd, [bytes], vector, '0', 1],
      [fd, [bytes], vector, 0],
    ]) {
      assert.throws(() => Reflect.apply(sendmsg, undefined, args), TypeError);
    }
  });

  it('survives a list with a getter that transfers memory, or throws', async (t) => {
    const fd = fdOf((await openTcp(t)).sender);
    const first = new Uint8Array(2 ** 20);
    const list = [first, first];
    const vector = pieces([0, 0, 2 ** 20], [1, 0, 1]);
    const replaceSecond = (get: () => Uint8Array): unknown =>
      Object.defineProperty(list, 1, { get, configurable: true });
    replaceSecond(() => {
      structuredClone(first.buffer, { transfer: [first.buffer] });
      return new Uint8Array(1);
    });
    assert.throws(() => native().sendmsg(fd, list, vector, 0, 2), RangeError);
    replaceSecond(() => {
      throw new SyntaxError('of the getter');
    });
    assert.throws(() => native().sendmsg(fd, list, vector, 0, 2), SyntaxError);
  });
});

describe('tcpInfo', { skip: withoutAddon }, () => {
  it('counts segments and bytes, sent and acknowledged', async (t) => {
    const { sender, receiver } = await openTcp(t);
    const fd = fdOf(sender);
    const before = new Float64Array(4);
    assert.equal(native().tcpInfo(fd, before), 0);
    assert.equal(native().send(fd, new Uint8Array(1_000), false), 1_000);
    await readExactly(receiver, 1_000);
    // The bytes of the peer carry the acknowledgement of those sent.
    receiver.write('x');
    await once(sender, 'data');
    const after = new Float64Array(4);
    assert.equal(native().tcpInfo(fd, after), 0);
    assert.ok(difference(after, before, 0) >= 1);
    assert.ok(difference(after, before, 1) >= 1_000);
    assert.ok(difference(after, before, 2) >= 1);
    assert.equal(difference(after, before, 3), 1_000);
  });

  it('returns -errno, and throws for a short array', async (t) => {
    const counters = new Float64Array(4);
    const unix = fdOf((await openUnix(t)).sender);
    assert.equal(native().tcpInfo(noFd, counters), failure('EBADF'));
    assert.equal(native().tcpInfo(unix, counters), failure('EOPNOTSUPP'));
    assert.throws(() => native().tcpInfo(unix, new Float64Array(3)), RangeError);
    assert.throws(() => Reflect.apply(native().tcpInfo, undefined, [unix, [0]]), TypeError);
  });
});

describe('kindOf', { skip: withoutAddon }, () => {
  it('distinguishes files, pipes and sockets', async (t) => {
    const { kindOf } = native();
    assert.equal(kindOf(temporaryFile(t).fd), descriptorKind.file);
    assert.equal(kindOf(pipeFd(t)), descriptorKind.pipe);
    assert.equal(kindOf(openUntilEnd(t, temporaryFolder(t), 'r')), descriptorKind.other);
    assert.equal(kindOf(openUntilEnd(t, '/dev/null', 'r')), descriptorKind.other);
    const kindOfLink = ({ sender }: SocketLink): number => kindOf(fdOf(sender));
    assert.equal(kindOfLink(await openTcp(t)), descriptorKind.tcp);
    assert.equal(kindOfLink(await openTcp(t, '::1')), descriptorKind.tcp);
    assert.equal(kindOfLink(await openUnix(t)), descriptorKind.unix);
    assert.equal(kindOf(await udpFd(t)), descriptorKind.otherSocket);
    assert.equal(kindOf(noFd), failure('EBADF'));
  });
});

/** Pieces for `sendmsg`: index, offset and length of each. */
function pieces(...list: readonly (readonly number[])[]): Float64Array {
  return Float64Array.from(list.flat());
}

/** Sends until the kernel accepts no more. Returns the bytes sent. */
function sendUntilFull(fd: number, bytes: Uint8Array): number {
  for (let total = 0; ;) {
    const sent = native().send(fd, bytes.subarray(total), false);
    if (sent < 0) {
      assert.equal(sent, failure('EAGAIN'));
      return total;
    }
    total += sent;
  }
}

function difference(after: Float64Array, before: Float64Array, index: number): number {
  return (after[index] ?? NaN) - (before[index] ?? NaN);
}

/** The descriptor of a UDP socket: the one that appears when it is bound. */
async function udpFd(t: TestContext): Promise<number> {
  const before = socketFds();
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const [fd, ...others] = socketFds().filter((name) => !before.includes(name));
  assert.ok(fd !== undefined && others.length === 0, 'not exactly one socket appeared');
  return fd;
}

function socketFds(): number[] {
  return readdirSync('/proc/self/fd').map(Number).filter(isSocket);
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch (error) {
    // The descriptor of the listing itself is closed now.
    assert.equal(codeOf(error), 'EBADF');
    return false;
  }
}
