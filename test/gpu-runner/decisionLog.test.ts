import { appendFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { DecisionLog, type DecisionPaths } from '#gpu-runner/decisionLog.js';
import { runnerKey } from '#gpu-runner/runnerKey.js';
import { readDecisions, verifyDecisions } from '#gpu-runner/verifyDecisions.js';
import { temporaryFolder } from './folder.js';

const key = runnerKey(`0x${'42'.repeat(32)}`);
const refusal = (round: number) =>
  ({
    kind: 'refused',
    coordinator: `0x${'c0'.repeat(20)}`,
    job: `0x${'11'.repeat(32)}`,
    name: 'digits',
    round,
    code: 'POLICY_REFUSED',
    reason: 'The owner does not allow the job digits.',
  }) as const;

/** A log of so many records. */
async function logOf(records: number, limit?: number) {
  const folder = await temporaryFolder();
  const paths = { decisions: join(folder, 'decisions.log'), decisionsHead: join(folder, 'decisions.head') };
  const log = await DecisionLog.open(paths, key, limit);
  await Promise.all(Array.from({ length: records }, (_, i) => log.append(refusal(i + 1))));
  return { folder, paths, log };
}

const verify = (paths: DecisionPaths) => verifyDecisions(paths, key.address);

async function editLine(path: string, line: number, edit: (text: string) => string | null): Promise<void> {
  const lines = (await readFile(path, 'utf8')).split('\n');
  const edited = lines.flatMap((text, i) => (i === line - 1 ? (edit(text) ?? []) : text));
  await writeFile(path, edited.join('\n'));
}

describe('the decision log', () => {
  test('keeps what was decided, in order, for the owner only', async () => {
    const { paths } = await logOf(5);
    expect(await verify(paths)).toEqual({ records: 5, broken: null, torn: 0, lost: 0 });
    const records = await readDecisions(paths);
    expect(records.map(({ seq, round }) => [seq, round])).toEqual([1, 2, 3, 4, 5].map((n) => [n, n]));
    expect((await stat(paths.decisions)).mode & 0o077).toBe(0);
  });

  test.each<[string, number, (text: string) => string | null, string]>([
    ['changed', 3, (text) => text.replace('POLICY_REFUSED', 'OUTSIDE_HOURS'), 'the hash beside'],
    ['taken out', 3, () => null, 'its number is 4 where 3'],
    ['made unreadable', 2, (text) => text.slice(5), 'not a record'],
    ['doubled', 2, (text) => `${text}\n${text}`, 'its number is 2 where 3'],
  ])('names the first line that was %s', async (_, line, edit, reason) => {
    const { paths } = await logOf(5);
    await editLine(paths.decisions, line, edit);
    const { broken } = await verify(paths);
    expect(broken).toMatchObject({ file: 'decisions.log', line: reason.includes('2 where 3') ? 3 : line });
    expect(broken?.reason).toContain(reason);
  });

  test('shows that its end was cut off, and says so for ever once it goes on', async () => {
    const { paths } = await logOf(5);
    const lines = (await readFile(paths.decisions, 'utf8')).split('\n');
    await writeFile(paths.decisions, `${lines.slice(0, 3).join('\n')}\n`);
    expect((await verify(paths)).broken).toMatchObject({
      file: 'decisions.head',
      reason: 'it was signed for 5 records, and 3 are there',
    });
    await DecisionLog.open(paths, key);
    expect(await verify(paths)).toEqual({ records: 4, broken: null, torn: 0, lost: 1 });
    expect((await readDecisions(paths)).at(-1)).toMatchObject({ kind: 'lost', signedSeq: 5 });
  });

  test('cannot be written anew by whoever does not have the key', async () => {
    const { paths } = await logOf(2);
    await rm(paths.decisions);
    const forged = await DecisionLog.open(paths, runnerKey(`0x${'43'.repeat(32)}`));
    await forged.append(refusal(1));
    expect((await verify(paths)).broken).toMatchObject({ reason: `it was not signed by ${key.address}` });
    await rm(paths.decisionsHead);
    expect((await verify(paths)).broken).toMatchObject({ reason: 'it is missing or damaged' });
  });

  test('cut off within a line by a crash, is repaired in sight', async () => {
    const { paths } = await logOf(2);
    await appendFile(paths.decisions, '{"seq":3,"ti');
    expect(await verify(paths)).toEqual({ records: 2, broken: null, torn: 12, lost: 0 });
    const log = await DecisionLog.open(paths, key);
    await log.append(refusal(3));
    expect((await readDecisions(paths)).map(({ kind }) => kind)).toEqual([
      'refused',
      'refused',
      'repaired',
      'refused',
    ]);
    expect(await verify(paths)).toEqual({ records: 4, broken: null, torn: 0, lost: 0 });
  });

  test('a crash between a record and its signature breaks nothing', async () => {
    const { paths, log } = await logOf(2);
    const head = await readFile(paths.decisionsHead);
    await log.append(refusal(3));
    await writeFile(paths.decisionsHead, head);
    expect(await verify(paths)).toEqual({ records: 3, broken: null, torn: 0, lost: 0 });
    await DecisionLog.open(paths, key);
    expect((await readDecisions(paths)).length).toBe(3);
  });

  test('goes on in a new file when one is full, in one chain', async () => {
    const { folder, paths } = await logOf(20, 2_000);
    const files = (await readdir(folder)).filter((name) => name.endsWith('.log'));
    expect(files.length).toBeGreaterThan(3);
    expect(await verify(paths)).toEqual({ records: 20, broken: null, torn: 0, lost: 0 });
    const log = await DecisionLog.open(paths, key, 2_000);
    await log.append(refusal(21));
    expect(await verify(paths)).toMatchObject({ records: 21, broken: null });
    const [first = ''] = files.sort();
    await rm(join(folder, first));
    expect((await verify(paths)).broken).toMatchObject({ file: basename(String(files[1])), line: 1 });
  });
});
