/** Filling the disk: what was never written is read from one page of zeros, which flatters. */
import type { ByteQueue } from '../../lib/handshake/byte-queue.js';
import { Command, CommandFlag, magic } from '../../lib/wire/constants.js';
import {
  extendedReplyBytes,
  simpleReplyBytes,
  structuredReplyBytes,
} from '../../lib/wire/reply.js';
import { extendedRequestHeaderBytes, requestHeaderBytes } from '../../lib/wire/request.js';
import { writeUint64 } from '../../lib/wire/uint64.js';
import { viewOf } from '../../lib/wire/view.js';
import { diskBytes, extentBytes } from '../disk.js';
import type { HeaderKind, Kind } from '../results.js';
import type { Conversation } from './handshake.js';

const writeBytes = 8 * extentBytes;

/** In transmission, before the first run. For `extents` every second extent is written, else all. */
export async function fill(
  conversation: Conversation,
  headers: HeaderKind,
  kind: Kind,
): Promise<void> {
  const [bytes, step] =
    kind === 'extents' ? [extentBytes, 2 * extentBytes] : [writeBytes, writeBytes];
  const payload = Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + 7) % 256);
  for (let offset = 0; offset < diskBytes; offset += step) {
    const length = Math.min(bytes, diskBytes - offset);
    conversation.send(writeHeader(headers, offset, length));
    conversation.send(payload.subarray(0, length));
    await done(conversation.input);
  }
}

function writeHeader(headers: HeaderKind, offset: number, length: number): Uint8Array {
  const extended = headers === 'extended';
  const bytes = new Uint8Array(extended ? extendedRequestHeaderBytes : requestHeaderBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, extended ? magic.extendedRequest : magic.request);
  view.setUint16(4, extended ? CommandFlag.payloadLength : 0);
  view.setUint16(6, Command.write);
  writeUint64(view, 16, offset);
  if (extended) writeUint64(view, 24, length);
  else view.setUint32(24, length);
  return bytes;
}

/** A reply without an error has no payload. */
async function done(input: Pick<ByteQueue, 'take'>): Promise<void> {
  const start = viewOf(await input.take(simpleReplyBytes));
  const found = start.getUint32(0);
  if (found === magic.simpleReply) {
    if (start.getUint32(4) === 0) return;
  } else {
    const bytes = found === magic.structuredReply ? structuredReplyBytes : extendedReplyBytes;
    const rest = viewOf(await input.take(bytes - simpleReplyBytes));
    if (rest.getUint32(rest.byteLength - 4) === 0) return;
  }
  throw new Error('The server failed a write while its disk was filled.');
}
