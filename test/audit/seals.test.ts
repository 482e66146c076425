import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import { auditVersion } from '#audit/audit.js';
import { AuditStopped, Checklist } from '#audit/checklist.js';
import { accuse } from '#audit/dispute.js';
import { checkSeals } from '#audit/seals.js';
import { roundManifest, type RoundManifest } from '#core/manifest.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import { listSignedBy, sealedBy } from '#test/support/seals.js';
import { sourcesOf as sourcesIn, startCourt } from './court.js';
import { writeHistory, type History } from './history.js';
import { runnerWallets } from './signing.js';

/** Seals in the record of a round: whatever is wrong with one is found, and its runner named. */
let stack: ChainStack;
let honest: History;
let manifest: RoundManifest['hashed'];
const [first, second, third] = runnerWallets;
if (!first || !second || !third) throw new Error('no runners');
const otherRoot = `0x${'77'.repeat(32)}` as const;

beforeAll(async () => {
  stack = await startCourt();
  honest = await writeHistory(stack, 'sealed', {}, { sealFirst: true });
  const bytes = await honest.archive.get(honest.archived['manifest 2'] ?? '');
  manifest = roundManifest.parse(JSON.parse(new TextDecoder().decode(bytes))).hashed;
});
afterAll(() => stack.stop());

const sourcesOf = (history: History) => sourcesIn(stack, history);

async function checked(round: RoundManifest['hashed']) {
  const list = new Checklist();
  await checkSeals(list, sourcesOf(honest), 'round 2', round).catch((error: unknown) => {
    if (!(error instanceof AuditStopped)) throw error;
  });
  return list.checks[0];
}

type Round = RoundManifest['hashed'];
type Seals = NonNullable<Round['seals']>;
const sealsOf = ({ seals }: Round): Seals => {
  if (!seals) throw new Error('no seals');
  return seals;
};
/** The list changed, and signed anew by whoever coordinates. */
const relist = (round: Round, change: (list: Seals['list']) => Seals['list'], by = stack.member): void => {
  const list = change(sealsOf(round).list);
  round.seals = { list, signature: listSignedBy(by, round, list) };
};

describe('an honest history with seals', () => {
  test('verifies, and says of each round that its seals were opened', async () => {
    const result = await auditVersion(sourcesOf(honest), honest.versions[2] ?? '0x');
    expect(result.wrong).toBeNull();
    const seals = result.checks.filter(({ check }) => check === 'seals');
    expect(seals.map(({ subject, ok, detail }) => [subject, ok, detail])).toEqual([
      ['round 1', true, '3 opened, 0 not'],
      ['round 2', true, '3 opened, 0 not'],
    ]);
    expect(await accuse(sourcesOf(honest), honest.job, 2)).toEqual({ accusations: [], unknown: [] });
  });

  test('holds where a runner sealed and did not reveal', async () => {
    const round = structuredClone(manifest);
    round.headers.pop();
    expect(await checked(round)).toMatchObject({ ok: true, detail: '2 opened, 1 not' });
  });

  test('of a job without seals has no such check', async () => {
    const { spec, headers, seals: _, ...rest } = structuredClone(manifest);
    const { sealFirst: _first, ...plain } = spec;
    const bare = headers.map(({ salt: _salt, ...header }) => header);
    expect(await checked({ ...rest, spec: plain, headers: bare })).toBeUndefined();
  });
});

describe('in the record of a round', () => {
  const cases: [string, RegExp, Wallet | null, (round: Round) => void][] = [
    ['no seals at all', /no seals, and its job asks/, null, (round) => delete round.seals],
    [
      'an update of a runner that sealed nothing',
      /present and sealed nothing/,
      second,
      (round) => relist(round, (list) => list.filter((_, index) => index !== 1)),
    ],
    [
      'an update of another root than was sealed',
      /do not open its seal/,
      third,
      (round) => relist(round, ([a, b]) => [a, b, sealedBy(third, round, otherRoot)].filter(is)),
    ],
    [
      "the update of another runner under its own seal's salt",
      /do not open its seal/,
      second,
      (round) => {
        const [one, two] = round.headers;
        if (one && two) two.updateRoot = one.updateRoot;
      },
    ],
    [
      'another salt',
      /do not open its seal/,
      first,
      (round) => {
        const [one] = round.headers;
        if (one) one.salt = `0x${'99'.repeat(32)}`;
      },
    ],
    ['no salt', /has no salt/, first, (round) => delete round.headers[0]?.salt],
    [
      'a list that changed after it was signed',
      /signer of the list of seals/,
      null,
      (round) => void sealsOf(round).list.pop(),
    ],
    [
      'a list that somebody else signed',
      /signer of the list of seals/,
      null,
      (round) => relist(round, (list) => list, new Wallet(id('somebody else'))),
    ],
    [
      'a seal twice',
      /out of order or there twice/,
      first,
      (round) => relist(round, (list) => [...list.slice(0, 1), ...list]),
    ],
    [
      'a seal that another signed',
      /is signed by/,
      second,
      (round) =>
        relist(round, ([a, , c]) =>
          [a, sealedBy(second, round, round.headers[1]?.updateRoot ?? '0x', first), c].filter(is),
        ),
    ],
    [
      'a seal for another opening',
      /is signed by/,
      first,
      (round) => {
        const elsewhere = { ...round, opening: { ...round.opening, round: 1 } };
        relist(round, ([, b, c]) =>
          [sealedBy(first, elsewhere, round.headers[0]?.updateRoot ?? '0x'), b, c].filter(is),
        );
      },
    ],
    [
      'a seal of a runner that was not selected',
      /was not selected/,
      third,
      (round) => void round.opening.selection.pop(),
    ],
    [
      'seals in a job that asks for none',
      /its job asks for none/,
      null,
      (round) => delete round.spec.sealFirst,
    ],
    [
      'salts in a job that asks for no seals',
      /asks for no seals/,
      first,
      (round) => {
        delete round.spec.sealFirst;
        delete round.seals;
      },
    ],
  ];
  test.each(cases)('%s is found', async (_, detail, runner, change) => {
    const round = structuredClone(manifest);
    change(round);
    const found = await checked(round);
    expect(found?.ok).toBe(false);
    expect(found?.detail).toMatch(detail);
    expect(found?.place).toEqual(runner ? { runner: addressOf(runner) } : {});
  });

  test('a wrong salt ends the audit there, and no contract can be shown it', async () => {
    const history = await writeHistory(
      stack,
      'wrong salt',
      {
        manifest: ({ headers: [header] }) => {
          if (header) header.salt = `0x${'99'.repeat(32)}`;
        },
      },
      { sealFirst: true },
    );
    const { wrong } = await auditVersion(sourcesOf(history), history.versions[2] ?? '0x');
    expect([wrong?.subject, wrong?.check, wrong?.place.runner]).toEqual([
      'round 2',
      'seals',
      addressOf(first),
    ]);
    const verdict = await accuse(sourcesOf(history), history.job, 2);
    expect(verdict.accusations).toEqual([]);
    expect(verdict.undisputable).toEqual([expect.stringContaining('do not open its seal')]);
  });
});

function is<T>(value: T | undefined): value is T {
  return value !== undefined;
}
