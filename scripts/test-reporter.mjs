// A compact reporter for node --test: a dot a test, failures in full, and why
// tests were skipped. With NBDCORK_REQUIRE_PEERS=1 a skipped test fails the run.
import { inspect } from 'node:util';

const dotsPerLine = 80;
const start = Date.now();

export default async function* report(source) {
  const counts = { passed: 0, failed: 0 };
  const failures = [];
  const skipped = [];
  // Names of the groups around a test, by their nesting.
  const path = [];
  let dots = 0;
  for await (const { type, data } of source) {
    if (type === 'test:start') path.length = data.nesting;
    if (type === 'test:start') path.push(data.name);
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    if (type === 'test:diagnostic' && !isSummary(data)) yield `\n${data.message}\n`;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const name = [...path.slice(0, data.nesting), data.name].join(' > ');
    if (data.skip !== undefined) skipped.push(`${name}: ${data.skip}`);
    else if (isGroup(data)) continue;
    else if (type === 'test:pass') counts.passed++;
    else {
      counts.failed++;
      failures.push(failureText(name, data));
      yield `\nFAILED ${name}`;
      dots = 0;
      continue;
    }
    yield dots++ % dotsPerLine === 0 ? '\n.' : '.';
  }
  if (failures.length > 0) yield `\n\n${failures.join('\n\n')}`;
  if (skipped.length > 0) yield `\n\nSkipped:\n${skipped.map((text) => `  ${text}`).join('\n')}`;
  const seconds = Math.round((Date.now() - start) / 1000);
  const { passed, failed } = counts;
  yield `\n\n${passed} passed, ${failed} failed, ${skipped.length} skipped in ${seconds} s\n`;
  if (skipped.length > 0 && process.env.NBDCORK_REQUIRE_PEERS === '1') {
    yield 'No test may be skipped with NBDCORK_REQUIRE_PEERS=1.\n';
    process.exitCode = 1;
  }
}

// What Node says at the end of a run, one count a message.
function isSummary({ message }) {
  return /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(message);
}

// Its tests are reported by themselves, and so are their failures.
function isGroup({ details }) {
  return details.type === 'suite' || details.error?.failureType === 'subtestsFailed';
}

function failureText(name, { file, line, details: { error } }) {
  const cause = error?.cause ?? error;
  const text = typeof cause === 'string' ? cause : inspect(cause);
  return `FAILED ${name}\n  ${file}:${line}\n${text.replaceAll(/^(?=.)/gm, '  ')}`;
}
