import type { Export } from '../backend/export.js';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { quoted } from '../quoted.js';
import { OptionError } from '../wire/constants.js';
import type { Negotiation } from './negotiation.js';

/** What an option is answered for an export that the client cannot have without TLS. */
export type WithoutTls = 'tlsRequired' | 'unknown';

/**
 * The export for an option; undefined where the client was told why not.
 * NBD_REP_ERR_TLS_REQD is for NBD_OPT_INFO and NBD_OPT_GO only: "the server
 * MUST NOT send" it "in response to any option other than" these
 * ("SELECTIVETLS mode").
 */
export async function findExport(
  negotiation: Negotiation,
  name: string,
  withoutTls: WithoutTls,
): Promise<Export | undefined> {
  const { catalog, client, mayStartTls } = negotiation;
  const entry = await catalog.find(name, client, mayStartTls);
  if (entry !== undefined) return entry;
  // What needs TLS and what there is not are alike either way, so that "clients
  // that have not initiated TLS cannot enumerate exports".
  if (withoutTls === 'tlsRequired' && mayStartTls) {
    negotiation.refuse(
      OptionError.tlsRequired,
      `There is no export ${quoted(name)} for a client without TLS: send NBD_OPT_STARTTLS first.`,
    );
  } else {
    negotiation.refuse(OptionError.unknown, `There is no export ${quoted(name)}.`);
  }
  return undefined;
}

/**
 * The same for NBD_OPT_EXPORT_NAME, which has no error reply, and measured.
 * @throws NbdError `NBDCORK_EXPORT_REFUSED`.
 */
export async function exportOrThrow(negotiation: Negotiation, name: string): Promise<Export> {
  const entry = await find(negotiation, name);
  if (entry === undefined) {
    throw new NbdError(
      'NBDCORK_EXPORT_REFUSED',
      `There is no export ${quoted(name)} for a client ${negotiation.client.tls ? 'with' : 'without'} TLS.`,
    );
  }
  return entry;
}

async function find(negotiation: Negotiation, name: string): Promise<Export | undefined> {
  const { catalog, client, mayStartTls } = negotiation;
  try {
    const entry = await catalog.find(name, client, mayStartTls);
    if (entry !== undefined) await catalog.measure(entry);
    return entry;
  } catch (cause) {
    if (codeOf(cause) === 'NBDCORK_CLIENT_LEFT') throw cause;
    throw new NbdError('NBDCORK_EXPORT_REFUSED', messageOf(cause), cause);
  }
}
