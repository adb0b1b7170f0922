import { OptionError } from '../../wire/constants.js';
import { HeaderKind } from '../../wire/header-kind.js';
import type { Negotiation } from '../negotiation.js';
import { expectNoData } from '../option-data.js';

/** NBD_OPT_STRUCTURED_REPLY. */
export function structuredReply(negotiation: Negotiation, data: Buffer): void {
  expectNoData(data);
  if (negotiation.headers === HeaderKind.extended) {
    negotiation.refuse(
      OptionError.extendedHeadersRequired,
      'Extended headers are agreed on, which take precedence.',
    );
    return;
  }
  negotiation.headers = HeaderKind.structured;
  negotiation.acknowledge();
}
