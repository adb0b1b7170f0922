import { NbdError } from '../errors.js';
import { OptionError } from '../wire/constants.js';
import type { Export } from './exports.js';
import type { Negotiation } from './negotiation.js';

/** The export for NBD_OPT_INFO and NBD_OPT_GO; undefined where the client was told why not. */
export async function findExport(
  negotiation: Negotiation,
  name: string,
): Promise<Export | undefined> {
  const entry = await negotiation.catalog.find(name, negotiation.client);
  if (entry !== undefined && negotiation.allows(entry)) return entry;
  if (negotiation.client.tls === undefined && negotiation.tlsMode === 'on') {
    // Both alike, so that "clients that have not initiated TLS cannot enumerate exports".
    negotiation.refuse(
      OptionError.tlsRequired,
      `There is no export '${name}', or it needs TLS: send NBD_OPT_STARTTLS first.`,
    );
  } else {
    negotiation.refuse(OptionError.unknown, `There is no export '${name}'.`);
  }
  return undefined;
}

/**
 * The same for NBD_OPT_EXPORT_NAME, which has no error reply.
 * @throws NbdError `NBDCORK_TLS_REQUIRED` or `NBDCORK_EXPORT_REFUSED`.
 */
export async function exportOrThrow(negotiation: Negotiation, name: string): Promise<Export> {
  const entry = await negotiation.catalog.find(name, negotiation.client);
  if (entry === undefined) {
    throw new NbdError('NBDCORK_EXPORT_REFUSED', `There is no export '${name}'.`);
  }
  if (!negotiation.allows(entry)) {
    throw new NbdError(
      'NBDCORK_TLS_REQUIRED',
      `The export '${name}' needs TLS, and the client asked for it without.`,
    );
  }
  return entry;
}
