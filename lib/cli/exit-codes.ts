/** How the program ends; `serve --run` ends with the status of its command instead. */
export const exitCode = {
  ok: 0,
  /** It could not begin, or not end, what it was told to: the message says what. */
  failure: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** Added to a signal's number, as shells do. */
  signalBase: 128,
} as const;
