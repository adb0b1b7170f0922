/** The client's side of the handshake: "Fixed newstyle negotiation". */
import type { Channel } from '../../lib/handshake/channel.js';
import {
  HandshakeFlag,
  InfoType,
  magic,
  OptionReply,
  OptionType,
} from '../../lib/wire/constants.js';
import { diskBytes, exportName } from '../disk.js';
import type { HeaderKind } from '../results.js';

/** What NBD_REP_ERR_* have in common: "Option reply types". */
const errorBit = 0x80000000;
const contextName = 'base:allocation';

export interface Conversation {
  readonly input: Pick<Channel, 'take'>;
  readonly send: (bytes: Uint8Array) => void;
}

/** The server's greeting, and the client's flags. */
export async function greet({ input, send }: Conversation): Promise<void> {
  const greeting = await input.take(18);
  if (greeting.toString('latin1', 0, 16) !== magic.init + magic.option) {
    throw new Error('This is no NBD server, or one that is too old.');
  }
  const flags = greeting.readUInt16BE(16) & (HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes);
  send(uint32(flags));
}

/** An option that must be acknowledged; what the server told before that. */
export async function option(
  { input, send }: Conversation,
  type: number,
  data: Uint8Array = Buffer.alloc(0),
): Promise<Buffer[]> {
  const told: Buffer[] = [];
  send(Buffer.concat([Buffer.from(magic.option), uint32(type), uint32(data.length), data]));
  for (;;) {
    const header = await input.take(20);
    const reply = header.readUInt32BE(12);
    const payload = await input.take(header.readUInt32BE(16));
    if (reply === OptionReply.ack) return told;
    if ((reply & errorBit) !== 0) {
      const number = `${type}: error ${(reply & ~errorBit) >>> 0}`;
      throw new Error(`The server refuses option ${number} ${payload.toString()}`.trimEnd());
    }
    told.push(payload);
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
  const told = await option(conversation, OptionType.go, Buffer.concat([name, Buffer.alloc(2)]));
  const info = told.find((payload) => payload.readUInt16BE(0) === InfoType.export);
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
