import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { serve, type ServerType } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { deploymentAt } from '#contracts/deployment.js';
import type { CreditMessage } from '#core/messages.js';
import type {
  EarningView,
  EpochView,
  JobView,
  QueueView,
  RoundView,
  RunnerView,
  TriggerView,
  VersionView,
} from '#core/views.js';
import { pageApp } from '#functions/page.js';
import { distFile } from '#local/paths.js';

/** What a site's API says; a test changes it while the page looks. */
export interface Answers {
  jobs: JobView[];
  /** A round of the first job by its number; it has as many as the job says. */
  round: (number: number) => RoundView;
  versions: VersionView[];
  runners: RunnerView[];
  triggers: TriggerView[];
  queues: QueueView[];
  epochs: EpochView[];
  credits: CreditMessage[];
}

export interface Site {
  url: string;
  says: Answers;
  /** `slow`: answers wait until it is said otherwise. */
  api: 'answers' | 'slow' | 'broken';
  /** Questions to the API so far, by path. */
  asked: Map<string, number>;
  /** More than the API: a node, a gateway. */
  routes: Hono;
  stop: () => Promise<void>;
}

export const nobody: Answers = {
  jobs: [],
  round: () => {
    throw new Error('there is no round');
  },
  versions: [],
  runners: [],
  triggers: [],
  queues: [],
  epochs: [],
  credits: [],
};

const none: readonly never[] = [];
const zero = `0x${'00'.repeat(20)}` as const;

export interface SiteSettings {
  /** What the page calls its own address in config.json, where it is reached by another name than the server's. */
  origin?: string;
  /** The server's clock, ms since 1970. */
  now?: () => number;
  /** Makes it a runner's own page, which says this of itself. */
  mine?: { status: object; decisions: object };
}

/** The built page with an API that says what it is told; its node and gateway are `routes` under /rpc and /gateway. */
export async function startSite(says: Answers, settings: SiteSettings = {}): Promise<Site> {
  const { now = Date.now, mine } = settings;
  const app = new Hono();
  const routes = new Hono();
  const site: Site = { url: '', says, api: 'answers', asked: new Map(), routes, stop: async () => {} };
  const bodies = new WeakMap<object, { text: string; tag: string }>();
  const answer = async (context: Context, value: object): Promise<Response> => {
    const { path } = context.req;
    site.asked.set(path, (site.asked.get(path) ?? 0) + 1);
    while (site.api === 'slow') await new Promise((resolve) => setTimeout(resolve, 20));
    if (site.api === 'broken') return context.json({ detail: 'The table does not answer.' }, 503);
    let body = bodies.get(value);
    if (!body) {
      const text = JSON.stringify(Array.isArray(value) ? { items: value } : value);
      bodies.set(value, (body = { text, tag: `"${createHash('sha256').update(text).digest('hex')}"` }));
    }
    const headers = {
      etag: body.tag,
      'content-type': 'application/json',
      date: new Date(now()).toUTCString(),
    };
    return context.req.header('if-none-match') === body.tag
      ? context.body(null, 304, headers)
      : context.body(body.text, 200, headers);
  };
  app.get('/health', (context) => answer(context, { ok: true }));
  for (const list of ['jobs', 'versions', 'runners', 'triggers', 'queues', 'epochs'] as const)
    app.get(`/v1/${list}`, (context) => answer(context, site.says[list]));
  app.get('/v1/credits', (context) => {
    const { job, round } = context.req.query();
    const ofRound = site.says.credits.filter(
      (credit) => credit.job === job && String(credit.round) === round,
    );
    return answer(context, job === undefined ? site.says.credits : ofRound);
  });
  app.get('/v1/earnings', (context) => answer(context, earningsOf(site.says.credits)));
  app.get('/v1/acts', (context) => answer(context, none));
  app.get('/v1/jobs/:job', async (context): Promise<Response> => {
    const found = site.says.jobs.find(({ job }) => job === context.req.param('job'));
    return found ? answer(context, found) : context.json({ detail: 'There is no such job.' }, 404);
  });
  app.get('/v1/jobs/:job/rounds', (context) => answer(context, roundsAsked(site.says, context.req.query())));
  if (mine) {
    app.get('/mine/status', (context) => answer(context, mine.status));
    app.get('/mine/decisions', (context) => answer(context, mine.decisions));
  }
  const server = await listen(app, (own) => {
    const url = settings.origin ?? own;
    const config = {
      api: '.',
      stack: zero,
      deployment: deploymentAt(zero, 31_337),
      rpcUrls: [`${url}/rpc`],
      gateways: [`${url}/gateway`],
      temporalUi: `${url}/temporal`,
      ...(mine && { mine: true as const }),
    };
    app.route('/', pageApp(distFile('web'), config));
  });
  // They may come after the start.
  app.notFound((context) => routes.fetch(context.req.raw));
  site.url = urlOf(server);
  site.stop = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      if ('closeAllConnections' in server) server.closeAllConnections();
    });
  return site;
}

/** As services/table/rewards.ts keeps them. */
function earningsOf(credits: readonly CreditMessage[]): EarningView[] {
  const sums = new Map<string, EarningView>();
  for (const { payer, runner, amount } of credits) {
    const sum = sums.get(runner) ?? { payer, runner, amount: '0', credits: 0 };
    sums.set(runner, {
      ...sum,
      amount: String(BigInt(sum.amount) + BigInt(amount)),
      credits: sum.credits + 1,
    });
  }
  return [...sums.values()];
}

/** As functions/api/jobs.ts answers it. */
function roundsAsked({ jobs, round }: Answers, query: Record<string, string>): RoundView[] {
  const [job] = jobs;
  const done = job?.round ?? 0;
  if (query['every'] !== undefined) {
    const every = Number(query['every']);
    return Array.from({ length: Math.floor(done / every) }, (_, i) => round((i + 1) * every));
  }
  // Behind those that are done is the one under way.
  const last = done + (job?.state === 'running' && done < job.spec.rounds ? 1 : 0);
  const before = Math.min(last + 1, Number(query['before'] ?? Infinity));
  const first = Math.max(Number(query['after'] ?? 0) + 1, before - Number(query['newest'] ?? Infinity), 1);
  return Array.from({ length: Math.max(0, before - first) }, (_, i) => round(first + i));
}

async function listen(app: Hono, ready: (url: string) => void): Promise<ServerType> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => {
      ready(urlOf(server));
      resolve(server);
    });
  });
}

const urlOf = (server: ServerType): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
