/** Logger of a server, such as pino. */
export interface Logger {
  /** Details of a connection, such as failed requests past the first ten. */
  debug(details: object, message: string): void;
  /** Clients that connect and disconnect. */
  info(details: object, message: string): void;
  /** Requests, clients and connections that failed or were refused. */
  warn(details: object, message: string): void;
  /** Faults of the server's own surroundings: backends, access rules, listening sockets. */
  error(details: object, message: string): void;
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
