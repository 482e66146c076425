import { signal } from '@preact/signals';
import type { Hex } from '#core/hex.js';
import type { Sources } from '../verify/messages.js';

/** `config.json`; functions/page.ts has the other end. */
export interface Config {
  api: string;
  stack: Hex;
  deployment: { chainId: number; token: Hex; consortium: Hex; jobs: Hex; rewards: Hex; block: number };
  rpcUrls: string[];
  gateways: string[];
  temporalUi: string | null;
  /** The page is a runner's own. */
  mine?: true;
}

export const config = signal<Config | null>(null);

/** A visitor's own node and contract, for whom the server's settings are only a suggestion. */
export interface OwnSources {
  rpcUrl: string;
  jobs: string;
}
const key = 'roundtable.sources';
export const ownSources = signal<OwnSources>(stored());

export function keepSources(own: OwnSources): void {
  ownSources.value = own;
  keep(key, own);
}

/** True: config.json could not be had, and what it said at an earlier visit stands in for it. */
export const configIsOld = signal(false);

/** @throws when config.json is missing or is something else, and none was read here before */
export async function loadConfig(): Promise<void> {
  try {
    const response = await fetch('config.json', { signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`config.json: ${response.status}`);
    config.value = (await response.json()) as Config;
    keep(keptConfig(), config.value);
  } catch (error) {
    const kept = read<Config>(keptConfig());
    if (kept === null) throw error;
    config.value = kept;
    configIsOld.value = true;
  }
}
/** Two stacks may be served by one origin, from different folders. */
const keptConfig = () => `roundtable.config ${location.pathname}`;

export function sourcesOf({ deployment, rpcUrls, gateways }: Config): Sources {
  const own = ownSources.value;
  const jobs = /^0x[0-9a-f]{40}$/i.test(own.jobs) ? (own.jobs.toLowerCase() as Hex) : deployment.jobs;
  const { chainId, consortium, rewards, block } = deployment;
  return {
    rpcUrl: own.rpcUrl || (rpcUrls[0] ?? ''),
    gateways,
    contracts: { chainId, consortium, rewards, block, jobs },
  };
}

function stored(): OwnSources {
  const { rpcUrl, jobs } = read<Partial<OwnSources>>(key) ?? {};
  return { rpcUrl: String(rpcUrl ?? ''), jobs: String(jobs ?? '') };
}

/** Where a browser keeps nothing for pages, the next visit begins anew. */
function keep(name: string, value: unknown): void {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    return;
  }
}

function read<T>(name: string): T | null {
  try {
    return JSON.parse(localStorage.getItem(name) ?? 'null') as T | null;
  } catch {
    return null;
  }
}
