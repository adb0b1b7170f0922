/** The client's side of the handshake: "Fixed newstyle negotiation". */
import type { ByteQueue } from '../../lib/handshake/byte-queue.js';
import { HandshakeFlag, InfoType, OptionReply, OptionType } from '../../lib/wire/constants.js';
import {
  greetingBytes,
  optionHeaderBytes,
  optionReplyHeaderBytes,
  readGreeting,
  readOptionReplyHeader,
  writeOptionHeader,
} from '../../lib/wire/handshake.js';
import { viewOf } from '../../lib/wire/view.js';
import { diskBytes, exportName } from '../disk.js';
import type { HeaderKind } from '../results.js';

/** What NBD_REP_ERR_* have in common: "Option reply types". */
const errorBit = 0x80000000;
const contextName = 'base:allocation';

export interface Conversation {
  readonly input: Pick<ByteQueue, 'take'>;
  readonly send: (bytes: Uint8Array) => void;
}

/** The server's greeting, and the client's flags. */
export async function greet({ input, send }: Conversation): Promise<void> {
  const offered = readGreeting(viewOf(await input.take(greetingBytes)), 0);
  if (offered === undefined)
    throw new Error('Not an NBD server, or one without the fixed newstyle handshake.');
  send(uint32(offered & (HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes)));
}

/** Sends an option that must be acknowledged. Returns the information replies before that. */
export async function option(
  { input, send }: Conversation,
  type: number,
  data: Uint8Array = Buffer.alloc(0),
): Promise<Buffer[]> {
  const replies: Buffer[] = [];
  const request = Buffer.alloc(optionHeaderBytes);
  writeOptionHeader(viewOf(request), 0, { option: type, length: data.length });
  send(Buffer.concat([request, data]));
  for (;;) {
    const header = readOptionReplyHeader(viewOf(await input.take(optionReplyHeaderBytes)), 0);
    if (header === undefined) throw new Error('An option reply has an invalid magic.');
    const reply = header.type;
    const payload = Buffer.from(await input.take(header.length));
    if (reply === OptionReply.ack) return replies;
    if ((reply & errorBit) !== 0) {
      const number = `${type}: error ${(reply & ~errorBit) >>> 0}`;
      throw new Error(`The server refuses option ${number} ${payload.toString()}`.trimEnd());
    }
    replies.push(payload);
  }
}

/** Headers, the metadata context where there is need for it, and the export. */
export async function enter(
  conversation: Conversation,
  headers: HeaderKind,
  withContext: boolean,
): Promise<void> {
  if (headers === 'structured') await option(conversation, OptionType.structuredReply);
  if (headers === 'extended') await option(conversation, OptionType.extendedHeaders);
  const name = lengthAnd(exportName);
  if (withContext) {
    const query = Buffer.concat([name, uint32(1), lengthAnd(contextName)]);
    await option(conversation, OptionType.setMetaContext, query);
  }
  const replies = await option(conversation, OptionType.go, Buffer.concat([name, Buffer.alloc(2)]));
  const info = replies.find((payload) => payload.readUInt16BE(0) === InfoType.export);
  const size = info?.readBigUInt64BE(2) ?? 0n;
  if (size < diskBytes) throw new Error(`The disk has ${size} bytes, not ${diskBytes}.`);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function lengthAnd(text: string): Buffer {
  return Buffer.concat([uint32(Buffer.byteLength(text)), Buffer.from(text)]);
}
