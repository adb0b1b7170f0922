import { HeaderKind } from '../../wire/header-kind.js';
import type { Negotiation } from '../negotiation.js';
import { expectNoData } from '../option-data.js';

/** NBD_OPT_EXTENDED_HEADERS: "takes precedence over structured replies". */
export function extendedHeaders(negotiation: Negotiation, data: Buffer): void {
  expectNoData(data);
  negotiation.headers = HeaderKind.extended;
  negotiation.acknowledge();
}
