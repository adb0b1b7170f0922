import type { MaybePromise } from '../../backend/maybe-promise.js';
import { OptionType } from '../../wire/constants.js';
import type { Negotiation } from '../negotiation.js';
import { abort } from './abort.js';
import { exportName } from './export-name.js';
import { extendedHeaders } from './extended-headers.js';
import { go, info } from './go.js';
import { listMetaContext } from './list-meta-context.js';
import { list } from './list.js';
import { setMetaContext } from './set-meta-context.js';
import { startTls } from './start-tls.js';
import { structuredReply } from './structured-reply.js';

/**
 * Answers one option, whose data are there whole. What it throws becomes an
 * error reply where `errorReplies` (negotiation.ts) has its code; any other
 * error ends the connection.
 */
export type OptionHandler = (negotiation: Negotiation, data: Buffer) => MaybePromise<void>;

export const optionHandlers: ReadonlyMap<number, OptionHandler> = new Map([
  [OptionType.exportName, exportName],
  [OptionType.abort, abort],
  [OptionType.list, list],
  [OptionType.startTls, startTls],
  [OptionType.info, info],
  [OptionType.go, go],
  [OptionType.structuredReply, structuredReply],
  [OptionType.listMetaContext, listMetaContext],
  [OptionType.setMetaContext, setMetaContext],
  [OptionType.extendedHeaders, extendedHeaders],
]);
