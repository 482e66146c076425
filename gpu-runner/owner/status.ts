import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import type { Hex, RunnerId } from '#core/hex.js';
import type { DataContract } from '#core/messages.js';
import { parseMessage } from '#core/schema.js';
import { runnerView, type RunnerView } from '#core/views.js';
import { dial } from '#services/outboundUrl.js';
import { readAtMost } from '#services/readAtMost.js';
import { DataSets } from '../dataSets.js';
import { errorNumber, messageOf } from '../failures.js';
import { isHomeLocked } from '../homeLock.js';
import { readAddress } from '../keystore.js';
import type { Policy } from '../policy.js';
import { readPolicy, type RunnerHome } from '../runnerHome.js';
import type { KnownStack } from '../stackFinder.js';
import { readDecisions } from '../verifyDecisions.js';
import { openRunnerChain, readStanding, type Standing } from './registration.js';
import { visit, type Visit } from './stackVisits.js';

/** Everything that an owner may want to know at a glance; no secret is needed for it. */
export interface RunnerStatus {
  address: RunnerId;
  running: boolean;
  /** null: the chain did not answer; `chainProblem` says why. */
  standing: Standing | null;
  chainProblem: string | null;
  stacks: (Visit<RunnerView> & { until: string | null })[];
  data: DataContract[];
  policy: Policy;
}

/** Works as far as others answer: stacks and chain may be down. */
export async function readStatus(home: RunnerHome, signal: AbortSignal): Promise<RunnerStatus> {
  const address = await readAddress(home.paths);
  const [standing, stacks, sets, policy, running, records] = await Promise.all([
    standingOf(home, address),
    visit(home, (stack) => viewAt(stack, address, signal)).catch((error: unknown) => error),
    new DataSets(home.paths.data, () => undefined).list(),
    readPolicy(home.paths),
    isHomeLocked(home.paths.lock),
    readDecisions(home.paths),
  ]);
  const until = (coordinator: Hex): string | null => {
    const entered = records.findLast(
      (record) => record.kind === 'enrolled' && record['coordinator'] === coordinator,
    );
    return typeof entered?.['until'] === 'string' ? entered['until'] : null;
  };
  return {
    address,
    running,
    ...standing,
    stacks: Array.isArray(stacks)
      ? (stacks as Visit<RunnerView>[]).map((entry) => ({ ...entry, until: until(entry.coordinator) }))
      : [],
    data: sets.map(({ contract }) => contract),
    policy,
  };
}

async function standingOf(
  home: RunnerHome,
  address: RunnerId,
): Promise<Pick<RunnerStatus, 'standing' | 'chainProblem'>> {
  try {
    const chain = openRunnerChain(home.config);
    try {
      return { standing: await readStanding(home, address, chain), chainProblem: null };
    } finally {
      chain.close();
    }
  } catch (error) {
    return { standing: null, chainProblem: messageOf(error) };
  }
}

const LARGEST_ANSWER = 8 * 1024 * 1024;
const ANSWER_MS = 5_000;

/** How a stack lists the runner. @throws NOT_FOUND when it does not, UNAVAILABLE when it does not answer */
async function viewAt(stack: KnownStack, address: RunnerId, outer: AbortSignal): Promise<RunnerView> {
  const url = `${stack.api}/v1/runners`;
  const signal = AbortSignal.any([outer, AbortSignal.timeout(ANSWER_MS)]);
  let text: string;
  try {
    // What the owner wrote is dialled wherever it lies; what others wrote is not.
    const response = stack.found ? await dial(url, { signal }, stack.rules) : await fetch(url, { signal });
    text = (await readAtMost(response, LARGEST_ANSWER, 'The stack')).toString();
  } catch (error) {
    if (error instanceof RoundtableError) throw error;
    const because = errorNumber((error as Error).cause) ?? messageOf(error);
    throw new RoundtableError('UNAVAILABLE', `${new URL(url).host} does not answer (${because}).`, {
      cause: error,
    });
  }
  const { items } = parseMessage(listed, jsonOrNull(text), 'The list of runners');
  const own = items.find((entry) => entry.runner === address);
  if (!own) throw new RoundtableError('NOT_FOUND', 'This stack does not know the runner yet.');
  return runnerView.parse(own);
}

const listed = z.object({ items: z.array(z.looseObject({ runner: z.string() })) });

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
