import { setTimeout as pause } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { RoundtableError } from '#core/errors.js';
import type { ClosingProposal } from '#core/attestations.js';
import { closingHash } from '#services/chain/words.js';
import type { Attested, CloseInput } from '../types.js';
import type { Dependencies } from './dependencies.js';

const LOOK_MS = 500;

/** Shows with what a round is to be closed, for members that are drawn to recompute it. */
export async function proposeClosing(
  deps: Pick<Dependencies, 'chain' | 'table'>,
  input: CloseInput,
): Promise<void> {
  await deps.table.proposeClosing(await proposalOf(deps, input));
}

/** Waits for the signatures of as many drawn members as the contract demands. Those that came, in the order of the draw. */
export async function awaitAttestations(
  deps: Pick<Dependencies, 'chain' | 'table'>,
  { seconds, ...input }: CloseInput & { seconds: number },
  signal: AbortSignal = Context.current().cancellationSignal,
): Promise<Attested> {
  const { job, spec, coordinator } = input.prepared;
  const proposal = await proposalOf(deps, input);
  const closing = closingHash(proposal.opening, proposal);
  const until = Date.now() + 1_000 * seconds;
  for (;;) {
    const drawn = await deps.chain.drawn(job);
    // Where fewer are members than are to be drawn, all are drawn, and the others of them are enough.
    const needed = Math.min(spec.attesters ?? 0, Math.max(0, (drawn?.length ?? Infinity) - 1));
    const signatures = new Map(
      (await deps.table.listAttestations(closing)).map(({ member, signature }) => [member, signature]),
    );
    const others = (drawn ?? []).flatMap((member, place) =>
      member === coordinator ? [] : [{ member, place, signature: signatures.get(member) }],
    );
    const given = others
      .flatMap(({ place, signature }) => (signature === undefined ? [] : [{ place, signature }]))
      .slice(0, needed);
    const silent = others.flatMap(({ member, signature }) => (signature === undefined ? [member] : []));
    if ((drawn && given.length >= needed) || Date.now() >= until) return { needed, given, silent };
    await pause(LOOK_MS, undefined, { signal });
  }
}

async function proposalOf(
  { chain }: Pick<Dependencies, 'chain'>,
  { prepared: { job }, round, rootHeader, version, archive }: CloseInput,
): Promise<ClosingProposal> {
  const { opening } = await chain.commitments(job, round);
  if (!opening)
    throw new RoundtableError('UNAVAILABLE', `The chain does not show the opening of round ${round} yet.`);
  const { paramsRoot, versionId } = version;
  const { manifestHash, manifest: archiveId } = archive;
  return { job, round, opening, rootHeader, paramsRoot, versionId, manifestHash, archiveId };
}
