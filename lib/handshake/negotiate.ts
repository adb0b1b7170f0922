/**
 * Option haggling, from the greeting to the chosen export. To be read beside
 * "Newstyle negotiation" of the specification.
 */
import { codeOf, messageOf, NbdError } from '../errors.js';
import type { Agreement } from '../transmission/agreement.js';
import { HandshakeFlag, OptionError, OptionType } from '../wire/constants.js';
import {
  clientFlagsBytes,
  greetingBytes,
  optionHeaderBytes,
  readOptionHeader,
  writeGreeting,
} from '../wire/handshake.js';
import { viewOf } from '../wire/view.js';
import type { ByteQueue } from './byte-queue.js';
import type { Conversation } from './conversation.js';
import { exportRefused } from './export-catalog.js';
import { OptionData, OptionRefusal } from './option-data.js';
import { abort } from './options/abort.js';
import { optionHandlers } from './options/index.js';

/** More data than this in one option is an attack, not a mistake: the connection is closed. */
const optionBytesTolerated = 2 ** 20;

/** Options more for each export that was listed. */
const optionsPerExport = 8;

const handshakeFlags = HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes;

/** Errors of the catalog, and of strings, that become an error reply. */
const errorReplies: ReadonlyMap<string, number> = new Map([
  ['NBDCORK_BAD_STRING', OptionError.invalid],
  ['NBDCORK_EXPORT_DENIED', OptionError.policy],
  ['NBDCORK_EXPORT_UNAVAILABLE', OptionError.unknown],
  // There is no error for this: "server-side policy" is the closest.
  ['NBDCORK_LIST_UNAVAILABLE', OptionError.policy],
]);

/**
 * Negotiates until the client chooses an export. Undefined where it aborts.
 * @throws NbdError where the connection cannot continue: close it.
 */
export async function negotiate(
  conversation: Conversation,
  input: ByteQueue,
): Promise<Agreement | undefined> {
  sendGreeting(conversation);
  readClientFlags(conversation, viewOf(await input.take(clientFlagsBytes)).getUint32(0));
  for (let count = 0; count < optionsMaxOf(conversation); count++) {
    await answerOption(conversation, input);
    await conversation.drained();
    if (conversation.agreement !== undefined || conversation.aborted) return conversation.agreement;
  }
  throw new NbdError(
    'NBDCORK_TOO_MANY_OPTIONS',
    `The client sent ${optionsMaxOf(conversation)} options without choosing an export.`,
  );
}

/** A client that has listed the exports may ask about each of them. */
function optionsMaxOf({ limits, exportsListed }: Conversation): number {
  return limits.optionsMax + optionsPerExport * exportsListed;
}

function sendGreeting(conversation: Conversation): void {
  const greeting = new Uint8Array(greetingBytes);
  writeGreeting(viewOf(greeting), 0, handshakeFlags);
  conversation.send(greeting);
}

function readClientFlags(conversation: Conversation, flags: number): void {
  const unknownFlags = flags & ~handshakeFlags;
  // "The server MUST drop the TCP connection if the client sets an unknown flag."
  if (unknownFlags !== 0) {
    throw new NbdError(
      'NBDCORK_BAD_CLIENT_FLAGS',
      `The client set unknown flags: 0x${(unknownFlags >>> 0).toString(16)}.`,
    );
  }
  conversation.noZeroes = (flags & HandshakeFlag.noZeroes) !== 0;
  if ((flags & HandshakeFlag.fixedNewstyle) !== 0) return;
  // "The server MUST operate in NOTLS mode unless [...] the client replied with" that flag.
  if (conversation.tlsMode === 'require') {
    throw new NbdError('NBDCORK_TLS_REQUIRED', 'The client is too old to negotiate TLS.');
  }
  conversation.tlsMode = 'off';
}

async function answerOption(conversation: Conversation, input: ByteQueue): Promise<void> {
  const header = readOptionHeader(viewOf(await input.take(optionHeaderBytes)), 0);
  if (header === undefined) {
    throw new NbdError('NBDCORK_BAD_MAGIC', 'An option does not begin with its magic number.');
  }
  const { option, length } = header;
  conversation.option = option;
  // "Replaces all previously-set metadata contexts (including when this command fails)".
  if (option === OptionType.setMetaContext) conversation.selection = undefined;
  const tooLong = length > conversation.limits.optionBytesMax;
  if (tooLong && length > optionBytesTolerated) {
    throw new NbdError(
      'NBDCORK_OPTION_TOO_LONG',
      `${conversation.optionName} announces ${length} bytes of data.`,
    );
  }
  if (tooLong) await input.skip(length);
  const data = new OptionData(await input.take(tooLong ? 0 : length));
  try {
    requireTls(conversation);
    if (tooLong) refuseLength(conversation, length);
    else await handleOption(conversation, data);
  } catch (error) {
    const type = errorReplyOf(error);
    // NBD_OPT_EXPORT_NAME has no error reply.
    if (type === undefined || option === OptionType.exportName) throw error;
    conversation.refuse(type, messageOf(error));
  }
}

function errorReplyOf(error: unknown): number | undefined {
  if (error instanceof OptionRefusal) return error.reply;
  return errorReplies.get(codeOf(error) ?? '');
}

async function handleOption(conversation: Conversation, data: OptionData): Promise<void> {
  const handler = optionHandlers.get(conversation.option);
  if (handler === undefined) throw unknownOption();
  // The server "SHOULD error further options received (other than an NBD_OPT_ABORT)".
  if (conversation.stopping && conversation.option !== OptionType.abort) {
    if (conversation.option === OptionType.exportName)
      throw exportRefused('The server is stopping.');
    throw new OptionRefusal(OptionError.shutdown, 'the server is stopping.');
  }
  await handler(conversation, data);
}

/** FORCEDTLS: "any other option, including NBD_OPT_INFO and unsupported options". */
function requireTls({ tlsMode, client, option, optionName }: Conversation): void {
  if (tlsMode !== 'require' || client.tls !== undefined) return;
  if (option === OptionType.startTls || option === OptionType.abort) return;
  if (option === OptionType.exportName) {
    throw new NbdError('NBDCORK_TLS_REQUIRED', `The client sent ${optionName} without TLS.`);
  }
  throw new OptionRefusal(
    OptionError.tlsRequired,
    'this server requires TLS. Send NBD_OPT_STARTTLS first.',
  );
}

/** More data than `optionBytesMax`: NBD_REP_ERR_TOO_BIG, but for the two options that never get an error. */
function refuseLength(conversation: Conversation, length: number): void {
  const { option, limits } = conversation;
  if (option === OptionType.exportName) {
    throw exportRefused(`The name of the export has ${length} bytes.`);
  }
  if (option === OptionType.abort) {
    abort(conversation);
    return;
  }
  if (!optionHandlers.has(option)) throw unknownOption();
  throw new OptionRefusal(OptionError.tooBig, `at most ${limits.optionBytesMax} bytes of data.`);
}

function unknownOption(): OptionRefusal {
  return new OptionRefusal(OptionError.unsupported, 'unknown option.');
}
