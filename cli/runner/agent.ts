import type { Passphrase } from '#gpu-runner/keystore.js';

/** What runs a home; loaded only by `start`, as it brings the training runtime with it. */
export interface Agent {
  runAgent(options: { homes: readonly string[]; passphrase: Passphrase; logLevel: string }): Promise<number>;
}

/** @param url of agent.js as the build made it */
export async function loadAgent(url: URL): Promise<Agent> {
  return (await import(url.href)) as Agent;
}
