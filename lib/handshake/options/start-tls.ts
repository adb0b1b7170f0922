import { OptionError } from '../../wire/constants.js';
import type { Negotiation } from '../negotiation.js';
import { badOption, expectNoData } from '../option-data.js';

/** NBD_OPT_STARTTLS: see "TLS support". */
export async function startTls(negotiation: Negotiation, data: Buffer): Promise<void> {
  expectNoData(data);
  if (negotiation.client.tls !== undefined) throw badOption('TLS is in use already.');
  if (negotiation.tlsMode === 'off') {
    negotiation.refuse(OptionError.policy, 'This server is set up without TLS.');
    return;
  }
  await negotiation.secure();
}
