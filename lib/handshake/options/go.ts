import type { Agreement } from '../../transmission/agreement.js';
import { InfoType, OptionError, OptionReply } from '../../wire/constants.js';
import { findExport } from '../find-export.js';
import type { Negotiation } from '../negotiation.js';
import { badOption, bytesAt, uint16At, uint32At } from '../option-data.js';
import { readString } from '../strings.js';

/** NBD_OPT_INFO: what NBD_OPT_GO would answer. */
export async function info(negotiation: Negotiation, data: Buffer): Promise<void> {
  await describe(negotiation, data);
}

/** NBD_OPT_GO: the same, and with success the transmission phase begins. */
export async function go(negotiation: Negotiation, data: Buffer): Promise<void> {
  negotiation.agreement = await describe(negotiation, data);
}

/** What the client was told about the export; undefined where it was refused. */
async function describe(negotiation: Negotiation, data: Buffer): Promise<Agreement | undefined> {
  const { name, wanted } = readRequest(data);
  const entry = await findExport(negotiation, name, 'tlsRequired');
  if (entry === undefined) return undefined;
  await negotiation.catalog.measure(entry);
  const agreement = negotiation.agreeOn(name, entry);
  sendExport(negotiation, agreement);
  sendBlockSize(negotiation, agreement);
  if (wanted.has(InfoType.name)) {
    sendInfo(negotiation, InfoType.name, Buffer.from(entry.name));
  }
  if (wanted.has(InfoType.description) && entry.description !== undefined) {
    sendInfo(negotiation, InfoType.description, Buffer.from(entry.description));
  }
  const { minimum } = agreement.blockSize;
  if (minimum > 1 && !wanted.has(InfoType.blockSize)) {
    negotiation.refuse(
      OptionError.blockSizeRequired,
      `Requests must be multiples of ${minimum} bytes: ask for NBD_INFO_BLOCK_SIZE.`,
    );
    return undefined;
  }
  negotiation.acknowledge();
  return agreement;
}

function readRequest(data: Buffer): { name: string; wanted: ReadonlySet<number> } {
  const nameLength = uint32At(data, 0);
  const name = readString(bytesAt(data, 4, nameLength));
  const count = uint16At(data, 4 + nameLength);
  const first = 6 + nameLength;
  if (data.byteLength !== first + 2 * count) {
    throw badOption(`${count} information requests do not fill the data.`);
  }
  const wanted = new Set<number>();
  for (let index = 0; index < count; index++) wanted.add(data.readUInt16BE(first + 2 * index));
  return { name, wanted };
}

function sendExport(negotiation: Negotiation, agreement: Agreement): void {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(agreement.export.backend.size), 0);
  bytes.writeUInt16BE(agreement.transmissionFlags, 8);
  sendInfo(negotiation, InfoType.export, bytes);
}

function sendBlockSize(negotiation: Negotiation, { blockSize }: Agreement): void {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(blockSize.minimum, 0);
  bytes.writeUInt32BE(blockSize.preferred, 4);
  bytes.writeUInt32BE(blockSize.maximum, 8);
  sendInfo(negotiation, InfoType.blockSize, bytes);
}

function sendInfo(negotiation: Negotiation, type: number, payload: Buffer): void {
  const header = Buffer.alloc(2);
  header.writeUInt16BE(type);
  negotiation.reply(OptionReply.info, header, payload);
}
