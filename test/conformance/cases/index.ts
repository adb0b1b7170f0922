import type { Case } from '../case.js';
import { choosing } from './choosing.js';
import { contexts } from './contexts.js';
import { extended } from './extended.js';
import { handshake } from './handshake.js';
import { requests } from './requests.js';
import { resizing } from './resizing.js';
import { tls } from './tls.js';
import { writing } from './writing.js';

export const cases: readonly Case[] = [
  ...handshake,
  ...choosing,
  ...contexts,
  ...requests,
  ...writing,
  ...resizing,
  ...extended,
  ...tls,
];
