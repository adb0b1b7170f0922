/** Exit codes of the program; `serve --run` exits with the status of its command instead. */
export const exitCode = {
  ok: 0,
  /** An operation failed: the message on standard error has the reason. */
  failure: 1,
  /** Invalid usage: unknown or contradicting options, invalid values. */
  usage: 2,
  /** Data that clients have written may be lost: a disk could not be flushed or closed. */
  dataLost: 3,
  /** Added to a signal's number, as shells do. */
  signalBase: 128,
} as const;
