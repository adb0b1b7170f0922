const stopSignals = ['SIGINT', 'SIGTERM'] as const;

/** What asks the program to stop. */
export type StopSignal = (typeof stopSignals)[number];

/** From now on `listener` is told of SIGINT and SIGTERM, which end nothing themselves any more. */
export function onStopSignal(listener: (signal: StopSignal) => void): void {
  for (const signal of stopSignals) process.on(signal, listener);
}
