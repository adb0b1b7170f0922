import type { Export } from '../../backend/export.js';
import { codeOf, messageOf } from '../../errors.js';
import { quoted } from '../../quoted.js';
import { HeaderKind } from '../../wire/header-kind.js';
import { writeUint64 } from '../../wire/uint64.js';
import type { Conversation } from '../conversation.js';
import { exportRefused } from '../export-catalog.js';
import type { OptionData } from '../option-data.js';

/** "124 bytes, zeroes (reserved)", unless NBD_FLAG_C_NO_ZEROES was negotiated. */
const reservedBytes = 124;

/** NBD_OPT_EXPORT_NAME has no error reply: "the server MUST terminate the session". */
export async function exportName(conversation: Conversation, data: OptionData): Promise<void> {
  if (conversation.headers === HeaderKind.extended) {
    throw exportRefused(
      'Extended headers require NBD_OPT_GO, but the client sent NBD_OPT_EXPORT_NAME.',
    );
  }
  const name = readName(data);
  const entry = await openExport(conversation, name);
  const agreement = conversation.agreementOn(name, entry);
  const reply = new Uint8Array(10 + (conversation.noZeroes ? 0 : reservedBytes));
  const view = new DataView(reply.buffer);
  writeUint64(view, 0, entry.backend.size);
  view.setUint16(8, agreement.transmissionFlags);
  conversation.send(reply);
  conversation.agreement = agreement;
}

function readName(data: OptionData): string {
  try {
    return data.string(data.remainingBytes);
  } catch (cause) {
    throw exportRefused('The name of the export is malformed.', cause);
  }
}

/** The export with its current size. */
async function openExport(conversation: Conversation, name: string): Promise<Export> {
  const { catalog, client, mayStartTls } = conversation;
  let entry;
  try {
    entry = await conversation.awaitDisk(name, async () => {
      const found = await catalog.find(name, client, mayStartTls);
      if (found !== undefined) await catalog.measure(found);
      return found;
    });
  } catch (cause) {
    if (codeOf(cause) === 'NBDCORK_CLIENT_LEFT') throw cause;
    throw exportRefused(messageOf(cause), cause);
  }
  if (entry !== undefined) return entry;
  throw exportRefused(
    `Unknown export ${quoted(name)} for a client ${client.tls ? 'with' : 'without'} TLS.`,
  );
}
