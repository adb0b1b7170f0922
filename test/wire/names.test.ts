import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { commandName, errorName, optionName } from '../../lib/wire/names.js';

describe('names, as the specification writes them', () => {
  const commands: Record<number, string> = {
    0: 'NBD_CMD_READ',
    1: 'NBD_CMD_WRITE',
    2: 'NBD_CMD_DISC',
    3: 'NBD_CMD_FLUSH',
    4: 'NBD_CMD_TRIM',
    5: 'NBD_CMD_CACHE',
    6: 'NBD_CMD_WRITE_ZEROES',
    7: 'NBD_CMD_BLOCK_STATUS',
    8: 'NBD_CMD_RESIZE',
    9: 'NBD_CMD 9',
    65535: 'NBD_CMD 65535',
  };
  for (const [type, name] of Object.entries(commands)) {
    test(`command ${type} is ${name}`, () => {
      assert.equal(commandName(Number(type)), name);
    });
  }

  const options: Record<number, string> = {
    0: 'NBD_OPT 0',
    1: 'NBD_OPT_EXPORT_NAME',
    2: 'NBD_OPT_ABORT',
    3: 'NBD_OPT_LIST',
    4: 'NBD_OPT 4',
    5: 'NBD_OPT_STARTTLS',
    6: 'NBD_OPT_INFO',
    7: 'NBD_OPT_GO',
    8: 'NBD_OPT_STRUCTURED_REPLY',
    9: 'NBD_OPT_LIST_META_CONTEXT',
    10: 'NBD_OPT_SET_META_CONTEXT',
    11: 'NBD_OPT_EXTENDED_HEADERS',
    4294967295: 'NBD_OPT 4294967295',
  };
  for (const [type, name] of Object.entries(options)) {
    test(`option ${type} is ${name}`, () => {
      assert.equal(optionName(Number(type)), name);
    });
  }

  const errors: Record<number, string> = {
    1: 'EPERM',
    5: 'EIO',
    12: 'ENOMEM',
    22: 'EINVAL',
    28: 'ENOSPC',
    75: 'EOVERFLOW',
    95: 'ENOTSUP',
    108: 'ESHUTDOWN',
    2: '2',
  };
  for (const [value, name] of Object.entries(errors)) {
    test(`error ${value} is ${name}`, () => {
      assert.equal(errorName(Number(value)), name);
    });
  }
});
