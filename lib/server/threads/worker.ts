/** The program of a serving thread. */
import { parentPort } from 'node:worker_threads';
import { NbdError } from '../../errors.js';
import type { FromThread, ToThread } from './messages.js';
import { ServingThread } from './serving-thread.js';

const port = parentPort;
if (port === null) {
  throw new NbdError('NBDCORK_BAD_THREADS', 'This module is the program of a thread of a server.');
}
const post = (message: FromThread): void => {
  port.postMessage(message);
};
let thread: ServingThread | undefined;
port.on('message', (message: ToThread) => {
  if (message.type !== 'setup') {
    thread?.receive(message);
    return;
  }
  // What it throws ends the thread, and is reported to the one that started it.
  void ServingThread.start(message.setup, post).then((started) => {
    thread = started;
  });
});
