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
  localStorage.setItem(key, JSON.stringify(own));
}

/** @throws when config.json is missing or is something else */
export async function loadConfig(): Promise<void> {
  const response = await fetch('config.json');
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  config.value = (await response.json()) as Config;
}

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
  try {
    const { rpcUrl, jobs } = JSON.parse(localStorage.getItem(key) ?? '') as Partial<OwnSources>;
    return { rpcUrl: String(rpcUrl ?? ''), jobs: String(jobs ?? '') };
  } catch {
    return { rpcUrl: '', jobs: '' };
  }
}
