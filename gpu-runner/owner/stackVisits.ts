import { rename } from 'node:fs/promises';
import type { Hex, Sha256Hex } from '#core/hex.js';
import { hash32 } from '#core/schema.js';
import { isRoundtableError } from '#core/errors.js';
import { openConsortium } from '#services/chain.js';
import { certificateExpiry, certificateFingerprint } from '#services/certificate.js';
import { DataSets } from '../dataSets.js';
import { DecisionLog } from '../decisionLog.js';
import { Enrolment } from '../enrolment.js';
import { readEntryKeys } from '../entryKeys.js';
import { errorNumber, messageOf } from '../failures.js';
import { machineName } from '../machineName.js';
import { readPolicy, type RunnerHome } from '../runnerHome.js';
import type { RunnerKey } from '../runnerKey.js';
import { StackClient } from '../stackClient.js';
import { findStacks, type KnownStack, type LostStack } from '../stackFinder.js';
import { readDecisions } from '../verifyDecisions.js';

/** What came of asking one stack. */
export interface Visit<T> {
  coordinator: Hex;
  /** null: its URL is not known or not used. */
  api: string | null;
  /** null: `problem` says why not. */
  answer: T | null;
  problem: { code: string; message: string } | null;
}

export interface Entered {
  member: Hex;
  gatekeeper: string;
  /** When the certificate ends, ISO 8601. */
  until: string;
}

/** Where this runner would work now. */
export async function stacksOf(home: RunnerHome): Promise<{ stacks: KnownStack[]; lost: LostStack[] }> {
  const { chain } = home.config;
  const consortium = openConsortium({ rpcUrls: chain.rpcUrls, deployment: chain, network: chain.network });
  try {
    return await findStacks(home.config, await readPolicy(home.paths), () => consortium.members());
  } finally {
    consortium.close();
  }
}

/** Enters every stack once; for an owner who wants to see that it works. The caller holds the home's lock. */
export async function enterStacks(
  home: RunnerHome,
  key: RunnerKey,
  software: string,
  signal: AbortSignal,
): Promise<Visit<Entered>[]> {
  const keys = await readEntryKeys(home.paths);
  const sets = await new DataSets(home.paths.data, () => undefined).list();
  const data = sets.map(({ contract }) => contract);
  const decisions = await DecisionLog.open(home.paths, key);
  const { name, chain } = home.config;
  return visit(home, async (stack) => {
    const { coordinator } = stack;
    const enrolment = new Enrolment({
      stack: new StackClient(stack, key),
      key,
      keys,
      place: chain,
      coordinator,
      name,
    });
    const answer = await enrolment.enrol({ name, software, machine: machineName(), data }, signal);
    const { certificate } = await enrolment.door();
    const until = new Date(certificateExpiry(certificate) * 1_000).toISOString();
    await decisions.append({
      kind: 'enrolled',
      coordinator,
      member: answer.member,
      fingerprint: certificateFingerprint(certificate),
      until,
      data: data.map((set) => set.name),
    });
    return { member: answer.member, gatekeeper: answer.entrance.statement.gatekeeper, until };
  });
}

/**
 * Tells every stack that the certificates count no longer with which the runner entered it, and puts the TLS key behind
 * them aside: the next start makes another one. For an owner whose TLS key was stolen. The caller holds the home's lock.
 * @returns for each stack the fingerprints that counted until now
 */
export async function revokeCertificates(
  home: RunnerHome,
  key: RunnerKey,
  signal: AbortSignal,
): Promise<Visit<Sha256Hex[]>[]> {
  const now = new Date().toISOString();
  const entered = (await readDecisions(home.paths)).filter(
    ({ kind, until }) => kind === 'enrolled' && typeof until === 'string' && until > now,
  );
  const decisions = await DecisionLog.open(home.paths, key);
  const visits = await visit(home, async (stack): Promise<Sha256Hex[]> => {
    const { coordinator } = stack;
    const fingerprints = entered
      .filter((record) => record['coordinator'] === coordinator)
      .map((record) => hash32.parse(record['fingerprint']));
    if (fingerprints.length === 0) return [];
    const revoked = await new StackClient(stack, key).revoke({ fingerprints }, signal);
    await decisions.append({ kind: 'revoked', coordinator, fingerprints: revoked });
    return revoked;
  });
  await rename(home.paths.tlsKey, `${home.paths.tlsKey}.revoked`).catch((error: unknown) => {
    if (errorNumber(error) !== 'ENOENT') throw error;
  });
  return visits;
}

/** Asks every stack to give the runner no new rounds, or to give it rounds again. What it has it finishes. */
export function drainEverywhere(
  home: RunnerHome,
  key: RunnerKey,
  drain: { on: boolean; reason: string },
  signal: AbortSignal,
): Promise<Visit<string>[]> {
  const { reason, on } = drain;
  const act = { action: on ? 'runner.drain' : 'runner.undrain', target: key.address, reason } as const;
  return visit(home, (stack) => new StackClient(stack, key).act(act, home.config.chain, signal));
}

/** Tells every stack that the runner goes, so that nobody waits for it. */
export function sayGoodbye(home: RunnerHome, key: RunnerKey, signal: AbortSignal): Promise<Visit<boolean>[]> {
  return visit(home, async (stack) => {
    await new StackClient(stack, key).seen({ state: 'leaving', progress: null }, signal);
    return true;
  });
}

/** Asks all stacks at once; one that does not answer keeps none of the others from it. */
export async function visit<T>(
  home: RunnerHome,
  ask: (stack: KnownStack) => Promise<T>,
): Promise<Visit<T>[]> {
  const { stacks, lost } = await stacksOf(home);
  const asked = stacks.map(async (stack): Promise<Visit<T>> => {
    const { coordinator, api } = stack;
    try {
      return { coordinator, api, answer: await ask(stack), problem: null };
    } catch (error) {
      return { coordinator, api, answer: null, problem: problemOf(error) };
    }
  });
  const gone = lost.map(({ coordinator, error }): Visit<T> => ({
    coordinator,
    api: null,
    answer: null,
    problem: problemOf(error),
  }));
  return [...(await Promise.all(asked)), ...gone];
}

function problemOf(error: unknown): { code: string; message: string } {
  return { code: isRoundtableError(error) ? error.code : 'INTERNAL', message: messageOf(error) };
}
