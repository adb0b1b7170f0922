import type { Agreement } from '../../transmission/agreement.js';
import { InfoType, OptionError, OptionReply } from '../../wire/constants.js';
import { encodeUtf8 } from '../../wire/strings.js';
import { writeUint64 } from '../../wire/uint64.js';
import type { Conversation } from '../conversation.js';
import { OptionRefusal, type OptionData } from '../option-data.js';
import { findExport } from './find-export.js';

/** NBD_OPT_INFO: the information that NBD_OPT_GO would send. */
export async function info(conversation: Conversation, data: OptionData): Promise<void> {
  await describeExport(conversation, data);
}

/** NBD_OPT_GO: the same, and the transmission phase begins. */
export async function go(conversation: Conversation, data: OptionData): Promise<void> {
  conversation.agreement = await describeExport(conversation, data);
}

/** Sends the information, and returns what it promises. */
async function describeExport(conversation: Conversation, data: OptionData): Promise<Agreement> {
  const name = data.string(data.uint32());
  const requested = new Set<number>();
  for (let left = data.uint16(); left > 0; left--) requested.add(data.uint16());
  data.end();
  const entry = await findExport(conversation, name, OptionError.tlsRequired);
  await conversation.awaitDisk(name, () => conversation.catalog.measure(entry));
  const agreement = conversation.agreementOn(name, entry);
  sendExport(conversation, agreement);
  sendBlockSize(conversation, agreement);
  if (requested.has(InfoType.name)) {
    sendInfo(conversation, InfoType.name, encodeUtf8(entry.name));
  }
  if (requested.has(InfoType.description) && entry.description !== undefined) {
    sendInfo(conversation, InfoType.description, encodeUtf8(entry.description));
  }
  const { minimum } = agreement.blockSize;
  if (minimum > 1 && !requested.has(InfoType.blockSize)) {
    throw new OptionRefusal(
      OptionError.blockSizeRequired,
      `requests must be multiples of ${minimum} bytes. Request NBD_INFO_BLOCK_SIZE.`,
    );
  }
  conversation.acknowledge();
  return agreement;
}

function sendExport(conversation: Conversation, agreement: Agreement): void {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  writeUint64(view, 0, agreement.export.backend.size);
  view.setUint16(8, agreement.transmissionFlags);
  sendInfo(conversation, InfoType.export, bytes);
}

function sendBlockSize(conversation: Conversation, { blockSize }: Agreement): void {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, blockSize.minimum);
  view.setUint32(4, blockSize.preferred);
  view.setUint32(8, blockSize.maximum);
  sendInfo(conversation, InfoType.blockSize, bytes);
}

function sendInfo(conversation: Conversation, type: number, payload: Uint8Array): void {
  const header = new Uint8Array(2);
  new DataView(header.buffer).setUint16(0, type);
  conversation.reply(OptionReply.info, header, payload);
}
