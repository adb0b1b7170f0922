import { constants } from 'node:os';
import { exitCode } from './exit-codes.js';

const stopSignals = ['SIGINT', 'SIGTERM'] as const;

/** What asks the program to stop. */
export type StopSignal = (typeof stopSignals)[number];

/** From now on `listener` is told of SIGINT and SIGTERM, which end nothing themselves any more. */
export function onStopSignal(listener: (signal: StopSignal) => void): void {
  for (const signal of stopSignals) process.on(signal, listener);
}

/** `stop` is told of the first of them; the second ends the process at once, behind `giveUp`. */
export function onStopSignals(
  stop: (signal: StopSignal) => void,
  giveUp: () => void = () => undefined,
): void {
  let stopping = false;
  onStopSignal((signal) => {
    if (!stopping) {
      stopping = true;
      stop(signal);
      return;
    }
    giveUp();
    process.exit(statusOf(signal));
  });
}

/** As a shell reports what a signal has ended. */
export function statusOf(signal: NodeJS.Signals): number {
  return exitCode.signalBase + constants.signals[signal];
}
