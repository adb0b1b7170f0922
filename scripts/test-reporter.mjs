// A compact reporter for node --test: a dot a test, then failures in full and why
// tests were skipped. With NBDCORK_REQUIRE_PEERS=1 a skipped test fails the run,
// unless the addon is turned off.
import { inspect } from 'node:util';

const dotsPerLine = 80;
const start = Date.now();

export default async function* report(source) {
  const failures = [];
  const skipped = [];
  // Names of the groups around a test, by their nesting.
  const path = [];
  let passed = 0;
  let dots = 0;
  let latestFailed = false;
  for await (const { type, data } of source) {
    if (type === 'test:start') path.splice(data.nesting, path.length, data.name);
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    if (type === 'test:diagnostic' && !isSummary(data)) {
      // A test's own follow its result. Node's tell of errors after the end of a test.
      if (latestFailed) failures.push(`${failures.pop()}\n  ${data.message}`);
      else if (/^(Error|Warning): /.test(data.message)) yield `\n${data.message}\n`;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const name = [...path.slice(0, data.nesting), data.name].join(' > ');
    latestFailed = false;
    if (data.skip !== undefined) {
      skipped.push(`${name}: ${data.skip}`);
    } else if (isGroup(data)) {
      continue;
    } else if (type === 'test:fail') {
      latestFailed = true;
      failures.push(failureText(name, data));
      yield `\nFAILED ${name}\n`;
      dots = 0;
      continue;
    } else {
      passed++;
    }
    yield dots++ % dotsPerLine === 0 ? '\n.' : '.';
  }
  if (failures.length > 0) yield `\n\n${failures.join('\n\n')}`;
  if (skipped.length > 0) yield `\n\nSkipped:\n  ${skipped.join('\n  ')}`;
  const seconds = Math.round((Date.now() - start) / 1000);
  const counts = `${passed} passed, ${failures.length} failed, ${skipped.length} skipped`;
  yield `\n\n${counts} in ${seconds} s\n`;
  const { NBDCORK_REQUIRE_PEERS, NBDCORK_NO_NATIVE } = process.env;
  const maySkip = NBDCORK_REQUIRE_PEERS !== '1' || NBDCORK_NO_NATIVE === '1';
  if (skipped.length > 0 && !maySkip) {
    yield 'No test may be skipped with NBDCORK_REQUIRE_PEERS=1.\n';
    process.exitCode = 1;
  }
}

// Node's counts at the end of a run, one a message.
function isSummary({ message }) {
  return /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(message);
}

// The tests in it are reported by themselves, and so are their failures.
function isGroup({ details }) {
  return details.type === 'suite' || details.error?.failureType === 'subtestsFailed';
}

function failureText(name, { file, line, details: { error } }) {
  const cause = error?.cause ?? error;
  const text = typeof cause === 'string' ? cause : inspect(cause);
  return `FAILED ${name}\n  ${file}:${line}\n${text.replaceAll(/^(?=.)/gm, '  ')}`;
}
