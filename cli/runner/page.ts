import { randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync } from 'node:fs';
import { serve, type ServerType } from '@hono/node-server';
import { Hono } from 'hono';
import { z } from 'zod';
import { deployment, type Deployment } from '#contracts/deployment.js';
import { RoundtableError } from '#core/errors.js';
import { address } from '#core/schema.js';
import { pageApp, pageSettings, type PageConfig } from '#functions/page.js';
import { readAddress } from '#gpu-runner/keystore.js';
import { stacksOf } from '#gpu-runner/owner/stackVisits.js';
import { readStatus } from '#gpu-runner/owner/status.js';
import type { RunnerHome } from '#gpu-runner/runnerHome.js';
import { readDecisions, verifyDecisions } from '#gpu-runner/verifyDecisions.js';
import { readAtMost } from '#services/readAtMost.js';
import { policyLines } from './policyCheck.js';
import { statusValue } from './statusLines.js';

export interface OwnerPage {
  /** For the owner alone: the token behind it opens the decision log. */
  url: string;
  close(): Promise<void>;
}

/** Decisions that the page is given; the whole log is in the file. */
const mostDecisions = 1_000;
/** Asking chain and stacks takes a moment, and the page asks every second. */
const statusMilliseconds = 10_000;

/**
 * The runner's own page, on this machine only. What the runner knows of itself is given to whoever has the token;
 * requests under another host name are refused, so that no web site can reach it by a name of its own.
 * @param folder of the built page
 * @throws NOT_FOUND when the page was not built, UNAVAILABLE when no stack says where the contracts are
 */
export async function serveOwnerPage(
  home: RunnerHome,
  folder: string,
  signal: AbortSignal,
): Promise<OwnerPage> {
  if (!existsSync(folder))
    throw new RoundtableError(
      'NOT_FOUND',
      `The page is not there: ${folder} does not exist. Build it first.`,
    );
  const token = randomBytes(32).toString('base64url');
  const config = await configOf(home, signal);
  const app = new Hono();
  let port = 0;
  app.use(async (context, next) => {
    const host = context.req.header('host') ?? '';
    if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`)
      return context.text('This page is served to its own machine only.', 421);
    await next();
  });
  app.use('/mine/*', async (context, next) => {
    if (!sameText(context.req.header('authorization') ?? '', `Bearer ${token}`))
      return context.json({ detail: 'The token of the address that the runner printed is missing.' }, 401);
    await next();
    context.header('cache-control', 'no-store');
  });
  const status = keptFor(statusMilliseconds, () => statusOf(home, signal));
  app.get('/mine/status', async (context) => context.json(await status()));
  app.get('/mine/decisions', async (context) => context.json(await decisionsOf(home)));
  app.route('/', pageApp(folder, config));

  const server = await listen(app);
  port = server.port;
  return {
    url: `http://127.0.0.1:${port}/#/mine/${token}`,
    close: () => new Promise((resolve) => server.server.close(() => resolve())),
  };
}

function listen(app: Hono): Promise<{ server: ServerType; port: number }> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
      resolve({ server, port }),
    );
    server.once('error', reject);
  });
}

/** Chain and contracts are the home's own; what it does not know, its first stack says. */
async function configOf(home: RunnerHome, signal: AbortSignal): Promise<PageConfig> {
  const { stacks } = await stacksOf(home);
  const [first] = stacks;
  if (!first)
    throw new RoundtableError(
      'UNAVAILABLE',
      'The runner knows no stack yet: policy.yaml allows no coordinator, and runner.yaml names none.',
    );
  const { chainId, consortium, jobs, block, rpcUrls } = home.config.chain;
  const said = await readJson(`${first.api}/health`, health, signal);
  if (!said)
    throw new RoundtableError(
      'UNAVAILABLE',
      `The stack at ${first.api} does not answer; its page cannot be shown.`,
    );
  const contracts: Deployment = { ...said.deployment, chainId, consortium, jobs, block };
  const page = await readJson(`${first.api}/config.json`, pageSettings.loose(), signal);
  return {
    api: first.api,
    stack: first.coordinator,
    deployment: contracts,
    rpcUrls,
    gateways: page?.gateways ?? [],
    temporalUi: null,
    mine: true,
  };
}

const health = z.looseObject({ stack: address, deployment });

async function readJson<T extends z.ZodType>(
  url: string,
  schema: T,
  signal: AbortSignal,
): Promise<z.output<T> | null> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(5_000)]);
    const response = await fetch(url, { signal: limit });
    return schema.parse(JSON.parse((await readAtMost(response, 65_536, 'The stack')).toString()));
  } catch {
    return null;
  }
}

async function statusOf(home: RunnerHome, signal: AbortSignal): Promise<object> {
  const status = await readStatus(home, signal);
  return { ...statusValue(home, status), home: undefined, rules: policyLines(status.policy) };
}

async function decisionsOf({ paths }: RunnerHome): Promise<object> {
  const [records, verified] = await Promise.all([
    readDecisions(paths),
    verifyDecisions(paths, await readAddress(paths)),
  ]);
  return { items: records.slice(-mostDecisions), ...verified };
}

function keptFor<T>(milliseconds: number, ask: () => Promise<T>): () => Promise<T> {
  let kept: { until: number; answer: Promise<T> } | null = null;
  return () => {
    if (!kept || kept.until < Date.now()) {
      kept = { until: Date.now() + milliseconds, answer: ask() };
      kept.answer.catch(() => (kept = null));
    }
    return kept.answer;
  };
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
