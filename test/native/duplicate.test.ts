import assert from 'node:assert/strict';
import { closeSync, fstatSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { failure, native, temporaryFile, withoutAddon } from './support/native.js';

/** The number of a descriptor that is not open in any process. */
const noFd = 2 ** 30;
/** O_CLOEXEC, as fdinfo shows it. */
const closeOnExec = 0o2000000;

describe('duplicate', { skip: withoutAddon }, () => {
  it('returns another descriptor of the same open file, which programs do not inherit', (t) => {
    const { fd } = temporaryFile(t);
    const other = native().duplicate(fd);
    assert.ok(other >= 0 && other !== fd, `${other}`);
    const [stats, otherStats] = [fstatSync(fd), fstatSync(other)];
    const flags = /^flags:\s*(\d+)/m.exec(
      readFileSync(`/proc/self/fdinfo/${other}`, 'latin1'),
    )?.[1];
    closeSync(other);
    assert.equal(otherStats.ino, stats.ino);
    assert.equal(parseInt(flags ?? '', 8) & closeOnExec, closeOnExec);
  });

  it('returns -errno for a number that is no descriptor, and throws for what is no number', () => {
    assert.equal(native().duplicate(noFd), failure('EBADF'));
    assert.equal(native().duplicate(-1), failure('EBADF'));
    const wrong = ['1'];
    assert.throws(() => Reflect.apply(native().duplicate, undefined, wrong), TypeError);
  });
});
