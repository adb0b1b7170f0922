import { OptionReply } from '../../wire/constants.js';
import type { Negotiation } from '../negotiation.js';
import { expectNoData } from '../option-data.js';

/** NBD_OPT_LIST: one NBD_REP_SERVER an export, with its description behind its name. */
export async function list(negotiation: Negotiation, data: Buffer): Promise<void> {
  expectNoData(data);
  for (const listing of await negotiation.catalog.list(negotiation.client)) {
    if (!negotiation.allows(listing)) continue;
    const { name, description } = listing;
    const nameBytes = Buffer.from(name);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(nameBytes.byteLength);
    negotiation.reply(OptionReply.server, length, nameBytes, Buffer.from(description ?? ''));
  }
  negotiation.acknowledge();
}
