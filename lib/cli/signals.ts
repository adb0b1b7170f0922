import { constants } from 'node:os';
import { exitCode } from './exit-codes.js';
import { exitNow } from './exit.js';

/** All that end a process by default and that people and service managers send. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** A signal that asks the program to stop. */
export type StopSignal = (typeof stopSignals)[number];

/** Calls `listener` for each stop signal; they no longer end the process by themselves. */
export function onStopSignal(listener: (signal: StopSignal) => void): void {
  for (const signal of stopSignals) process.on(signal, listener);
}

/** Calls `stop` for the first of them. The second calls `beforeExit` and ends the process. */
export function onStopSignals(
  stop: (signal: StopSignal) => void,
  beforeExit: () => void = () => undefined,
): void {
  let stopping = false;
  onStopSignal((signal) => {
    if (!stopping) {
      stopping = true;
      stop(signal);
      return;
    }
    beforeExit();
    exitNow(statusOf(signal));
  });
}

/** The exit status that a shell reports for a process ended by this signal. */
export function statusOf(signal: NodeJS.Signals): number {
  return exitCode.signalBase + constants.signals[signal];
}
