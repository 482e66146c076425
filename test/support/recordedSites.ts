import { id } from 'ethers';
import type { Hex } from '#core/hex.js';
import { addressOf, hashOf } from '../services/views.js';
import { anchoredModel } from './anchoredModel.js';
import { anchorRewards } from './anchoredRewards.js';
import { fewViews } from './fewViews.js';
import { nobody, startSite, type Site, type SiteSettings } from './site.js';

/** Sites that say the same in every run, at one moment: what pictures are taken of. */
export interface RecordedSites {
  /** A job under way, with a node that knows what runners have at stake. */
  running: Site;
  /** A version that chain and archive know. */
  anchored: Site & { version: Hex };
  /** Three epochs, and a runner's own page. */
  rewarded: Site;
  stop(): Promise<void>;
}

/** The moment, ms since 1970. */
export const recordedAt = Date.UTC(2026, 10, 2, 9, 30);

/** @param origins under which the browser reaches the sites, so that no port of this run is in a picture */
export async function startRecordedSites(origins: Record<'running' | 'anchored' | 'rewarded', string>) {
  const at = (origin: string): SiteSettings => ({ origin, now: () => recordedAt });
  const running = await startSite(fewViews('running', 5, [], recordedAt), at(origins.running));
  nodeWithStakes(running);
  const anchored = await startSite(fewViews('done', 5, [], recordedAt), at(origins.anchored));
  const version = anchoredModel(anchored, 5_994);
  const rewarded = await startSite(nobody, { ...at(origins.rewarded), mine: ownersPage(recordedAt) });
  anchorRewards(rewarded, { epochs: 3, accounts: 6 }, recordedAt - 3 * 3_600_000);
  return {
    running,
    anchored: Object.assign(anchored, { version }),
    rewarded,
    stop: async () => void (await Promise.all([running.stop(), anchored.stop(), rewarded.stop()])),
  };
}

const word = (value: number | bigint | string): Hex =>
  `0x${(typeof value === 'string' ? value.slice(2) : value.toString(16)).padStart(64, '0')}`;

/** It knows its head, the price of gas and stakes, and refuses the rest, as a node does that was pruned. */
function nodeWithStakes(site: Site): void {
  const registered = site.says.runners.map(({ runner }, i) => ({
    topics: [id('RunnerRegistered(address,address,uint256)'), word(runner), word(0)],
    data: word(10n ** 18n * BigInt(100 + i)),
    blockNumber: '0x1',
    transactionHash: hashOf(runner),
  }));
  const answers: Record<string, (params: unknown[]) => unknown> = {
    eth_chainId: () => '0x7a69',
    eth_gasPrice: () => '0x3b9aca00',
    eth_getBlockByNumber: () => ({
      number: '0x4d2',
      timestamp: `0x${(recordedAt / 1_000 - 4).toString(16)}`,
    }),
    eth_getLogs: ([filter]) =>
      Array.isArray((filter as { topics: unknown[] }).topics[0]) ? registered : null,
  };
  site.routes.post('/rpc', async (context) => {
    const asked = (await context.req.json()) as { id: number; method: string; params: unknown[] };
    const result = answers[asked.method]?.(asked.params) ?? null;
    return result === null
      ? context.json({ jsonrpc: '2.0', id: asked.id, error: { code: -32_000, message: 'pruned' } })
      : context.json({ jsonrpc: '2.0', id: asked.id, result });
  });
  site.routes.get('/gateway/info', (context) => context.json({ height: 1_604_211 }));
}

/** What a runner says of itself to its owner. @param now ms since 1970, behind which everything happened */
export function ownersPage(now: number): NonNullable<SiteSettings['mine']> {
  const time = (ago: number) => new Date(now - 1_000 * ago).toISOString();
  const coordinator = addressOf('coordinator');
  const job = hashOf('few job');
  const of = { coordinator, job, name: 'digits' };
  const items = [
    { kind: 'started', software: '0.1.0' },
    { kind: 'enrolled', coordinator, data: ['digits'], until: time(-86_400) },
    { ...of, kind: 'allowed', round: 1, data: 'digits', rule: 1 },
    { ...of, kind: 'sent', round: 1, samples: 600, bytes: 24_600 },
    { ...of, kind: 'allowed', round: 2, data: 'digits', rule: 1 },
    { ...of, kind: 'sent', round: 2, samples: 600, bytes: 24_600 },
    {
      coordinator: addressOf('stranger'),
      job: hashOf('other job'),
      name: 'letters',
      kind: 'refused',
      round: 1,
      code: 'POLICY_REFUSED',
      reason: 'no rule allows jobs of this member',
    },
  ].map((decision, i, all) => ({ seq: i + 1, time: time(40 * (all.length - i)), ...decision }));
  return {
    status: {
      name: 'ward-north',
      member: addressOf('member 0'),
      address: addressOf('account 0'),
      running: true,
      chain: {
        state: 'registered',
        stake: String(10n ** 20n),
        tokens: '0',
        wei: String(4n * 10n ** 17n),
        published: true,
      },
      chainProblem: null,
      stacks: [
        {
          coordinator,
          api: 'https://north.example',
          until: time(-86_400),
          answer: { state: 'training', lastSeen: time(2), suspension: null, drain: null },
          problem: null,
        },
        {
          coordinator: addressOf('away'),
          api: null,
          until: null,
          answer: null,
          problem: { code: 'UNAVAILABLE', message: 'The stack at https://south.example does not answer.' },
        },
      ],
      data: [{ name: 'digits', samples: 600, input: [1, 28, 28], classes: 10 }],
      rules: [
        '1  allows jobs of the member 0x8f3a…, on the data digits, at most 500 rounds',
        'everything else is refused',
      ],
    },
    decisions: { items, records: items.length, broken: null, lost: 0 },
  };
}
