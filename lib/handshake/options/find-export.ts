import type { Export } from '../../backend/export.js';
import { quoted } from '../../quoted.js';
import { OptionError } from '../../wire/constants.js';
import type { Conversation } from '../conversation.js';
import { OptionRefusal } from '../option-data.js';

/**
 * Opens the export for an option.
 *
 * @param withoutTls The error where the client could start TLS and has not.
 *   NBD_REP_ERR_TLS_REQD is for NBD_OPT_INFO and NBD_OPT_GO only: "the server MUST
 *   NOT send" it "in response to any option other than" these ("SELECTIVETLS mode").
 * @throws OptionRefusal where there is no such export for this client.
 */
export async function findExport(
  conversation: Conversation,
  name: string,
  withoutTls: typeof OptionError.tlsRequired | typeof OptionError.unknown,
): Promise<Export> {
  const { catalog, client, mayStartTls } = conversation;
  const entry = await conversation.awaitDisk(name, () => catalog.find(name, client, mayStartTls));
  if (entry !== undefined) return entry;
  // An export that requires TLS gets the same error as one that does not exist, so
  // that "clients that have not initiated TLS cannot enumerate exports".
  if (mayStartTls && withoutTls === OptionError.tlsRequired) {
    throw new OptionRefusal(
      OptionError.tlsRequired,
      `unknown export ${quoted(name)} for a client without TLS. Send NBD_OPT_STARTTLS first.`,
    );
  }
  throw new OptionRefusal(OptionError.unknown, `unknown export ${quoted(name)}.`);
}
