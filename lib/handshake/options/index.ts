import type { MaybePromise } from '../../backend/maybe-promise.js';
import { OptionType } from '../../wire/constants.js';
import type { Conversation } from '../conversation.js';
import type { OptionData } from '../option-data.js';
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
 * Answers one option. Some errors that it throws become an error reply, and option
 * haggling continues: see `errorReplyOf` in negotiate.ts. Any other error ends the
 * connection.
 */
type OptionHandler = (conversation: Conversation, data: OptionData) => MaybePromise<void>;

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
