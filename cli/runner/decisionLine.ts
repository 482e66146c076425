import type { DecisionRecord } from '#gpu-runner/decisionLog.js';

/** @example '2026-11-22T18:00:00.000Z  refused   digits, round 3: POLICY_REFUSED The runner's owner does not allow …' */
export function decisionLine(record: DecisionRecord): string {
  return `${record.time}  ${record.kind.padEnd(8)}  ${textOf(record)}`;
}

function textOf(record: DecisionRecord): string {
  const field = (name: string): string => shown(record[name]);
  switch (record.kind) {
    case 'started':
      return field('software');
    case 'enrolled':
      return `at the stack of ${field('coordinator')} until ${field('until')}, with the data ${field('data')}`;
    case 'revoked':
      return `the certificates ${field('fingerprints')} at the stack of ${field('coordinator')}`;
    case 'allowed':
      return `${field('name')}, round ${field('round')}, on ${field('data')}, by rule ${field('rule')}, for ${field('coordinator')}`;
    case 'sealed':
      return `${field('name')}, round ${field('round')}: the seal ${field('seal')} of an update, to ${field('coordinator')}`;
    case 'opened':
      return `job ${field('job')}, round ${field('round')}: the seal ${field('seal')}, on chain by ${field('transaction')}`;
    case 'sent':
      return `${field('name')}, round ${field('round')}: an update from ${field('samples')} samples, ${field('bytes')} bytes, to ${field('coordinator')}`;
    case 'receipt':
      return `job ${field('job')}, round ${field('round')}: signed for by ${field('coordinator')}`;
    case 'claim':
      return `job ${field('job')}, round ${field('round')}: ${field('outcome')}`;
    case 'refused':
      return `${field('name')}, round ${field('round')}: ${field('code')} ${field('reason')}`;
    case 'repaired':
      return `${field('bytes')} bytes of a line that a crash had cut off were dropped`;
    case 'lost':
      return `the runner had signed for ${field('signedSeq')} records, and the last of them were gone`;
    default:
      return '';
  }
}

/** What stands in a task was written by others: nothing of it may steer a terminal. */
function shown(value: unknown): string {
  const text = Array.isArray(value) ? value.map(String).join(', ') : value === null ? '?' : String(value);
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}
