/** How the program ends; `serve --run` ends with the status of its command instead. */
export const exitCode = {
  ok: 0,
  /** A source could not be opened, or there is no listening there. */
  failure: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** Added to a signal's number, as shells do. */
  signalBase: 128,
} as const;
