import { NbdError } from '../../errors.js';
import { HeaderKind } from '../../wire/header-kind.js';
import { exportOrThrow } from '../find-export.js';
import type { Negotiation } from '../negotiation.js';
import { readString } from '../strings.js';

/** "124 bytes, zeroes (reserved)", unless NBD_FLAG_C_NO_ZEROES was negotiated. */
const reservedBytes = 124;

/** NBD_OPT_EXPORT_NAME, which has no error reply: "the server MUST terminate the session". */
export async function exportName(negotiation: Negotiation, data: Buffer): Promise<void> {
  if (negotiation.headers === HeaderKind.extended) {
    throw new NbdError(
      'NBDCORK_EXPORT_REFUSED',
      'The client agreed on extended headers, which need NBD_OPT_GO.',
    );
  }
  const name = readName(data);
  const entry = await exportOrThrow(negotiation, name);
  const agreement = negotiation.agreeOn(name, entry);
  const reply = Buffer.alloc(10 + (negotiation.noZeroes ? 0 : reservedBytes));
  reply.writeBigUInt64BE(BigInt(entry.backend.size), 0);
  reply.writeUInt16BE(agreement.transmissionFlags, 8);
  negotiation.send(reply);
  negotiation.agreement = agreement;
}

function readName(data: Buffer): string {
  try {
    return readString(data);
  } catch (cause) {
    throw new NbdError('NBDCORK_EXPORT_REFUSED', 'The name of the export is malformed.', cause);
  }
}
