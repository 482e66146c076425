import type { ActionName } from '#core/acts.js';
import type { ActStatement } from '#core/eip712.js';
import type { Suspension } from '#core/entryMessages.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { signalNames } from '#core/names.js';
import { address, jobId, parseMessage } from '#core/schema.js';
import { finalJobStates, queueView } from '#core/views.js';
import type { ApiParts } from './app.js';
import { findJob } from './jobs.js';
import type { Signer } from './signer.js';

type Statement = ActStatement & { action: ActionName };
/** Does it, and says what came of it. */
type Doing = () => Promise<string>;

/**
 * Looks whether an act can be done and whether its signer may do it, and changes nothing yet.
 * @throws FORBIDDEN, NOT_FOUND, CONFLICT, INVALID_INPUT
 */
export function carryOut(parts: ApiParts, statement: Statement, signer: Signer): Promise<Doing> {
  switch (statement.action) {
    case 'job.pause':
      return signal(parts, statement, signer, 'pause');
    case 'job.resume':
      return signal(parts, statement, signer, 'resume');
    case 'job.cancel':
      return signal(parts, statement, signer, 'cancel');
    case 'runner.drain':
      return drain(parts, statement, signer, true);
    case 'runner.undrain':
      return drain(parts, statement, signer, false);
    case 'runner.suspend':
      return suspend(parts, statement, signer, true);
    case 'runner.resume':
      return suspend(parts, statement, signer, false);
    case 'queue.redrive':
      return redrive(parts, statement, signer);
  }
}

async function signal(
  parts: ApiParts,
  { target }: Statement,
  signer: Signer,
  name: keyof typeof signalNames,
): Promise<Doing> {
  refuseRunners(signer);
  const job = parseMessage(jobId, target, 'The target');
  const { state } = await findJob(parts, job);
  if (finalJobStates.includes(state))
    throw new RoundtableError('CONFLICT', `Job ${job} has ended (${state}); it cannot ${name}.`);
  return async () => {
    await parts.temporal.signalJob(job, name);
    return signalWords[name];
  };
}

const signalWords: Record<keyof typeof signalNames, string> = {
  pause: 'the job was told to pause before its next round',
  resume: 'the job was told to go on',
  cancel:
    'the job was told to end now; finished rounds stand and are paid, the rest of the budget is refunded',
};

/** By the runner itself, the member it belongs to, and the member whose stack it is. */
async function drain(
  { table, coordinator }: ApiParts,
  { target, reason }: Statement,
  signer: Signer,
  on: boolean,
): Promise<Doing> {
  const runner = parseMessage(address, target, 'The target');
  const view = await table.getRunner(runner);
  if (!view) throw new RoundtableError('NOT_FOUND', `Runner ${runner} is not enrolled here.`);
  if (![runner, view.member, coordinator].includes(signer.address))
    throw new RoundtableError(
      'FORBIDDEN',
      `Runner ${runner} is drained by itself, by its member ${view.member} or by the stack's member ${coordinator}.`,
    );
  return async () => {
    await table.drainRunner(runner, on ? writtenBy(signer.address, reason) : null);
    return on
      ? 'the runner finishes what it has and gets no new rounds here'
      : 'the runner gets rounds again';
  };
}

async function suspend(
  { table, coordinator }: ApiParts,
  { target, reason }: Statement,
  signer: Signer,
  on: boolean,
): Promise<Doing> {
  const runner = parseMessage(address, target, 'The target');
  if (signer.address !== coordinator)
    throw new RoundtableError(
      'FORBIDDEN',
      `Only the member whose stack this is, ${coordinator}, suspends runners here.`,
    );
  if (on && reason.trim() === '')
    throw new RoundtableError(
      'INVALID_INPUT',
      'A suspension needs a reason; the runner and everybody else see it.',
    );
  return async () => {
    await table.suspendRunner(runner, on ? writtenBy(signer.address, reason) : null);
    return on ? 'the runner is let in nowhere here' : 'the runner may come in again';
  };
}

async function redrive({ queues }: ApiParts, { target }: Statement, signer: Signer): Promise<Doing> {
  refuseRunners(signer);
  const queue = parseMessage(queueView.shape.queue, target, 'The target');
  return async () => `${await queues[queue].redrive(mostRedriven)} messages were put back`;
}

/** Messages put back by one act. */
const mostRedriven = 1_000;

function refuseRunners({ address: signer, member }: Signer): void {
  if (signer !== member)
    throw new RoundtableError('FORBIDDEN', `${signer} is a runner; this is for members of the consortium.`);
}

function writtenBy(by: Hex, reason: string): Suspension {
  return { by, reason: reason.trim(), at: new Date().toISOString() };
}
