/** Seals of rounds in which every runner commits itself to its update before any of them shows its own (core/seal.ts). */
import { canonicalBytes } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import { sha256 } from '#services/sha256.js';
import { trainAnswer, type RoundOpening, type SignedSealList, type TrainSeal } from '#core/messages.js';
import { sealListHash, sealOf, type SealList } from '#core/seal.js';
import { sealSigner } from '#services/seals.js';
import type { AdmitInput, PreparedJob } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { refuse } from './updateDelta.js';

/** Accepts a seal into the round, or says why not. @throws UPDATE_REFUSED */
export function admitSeal(input: { prepared: PreparedJob; opening: RoundOpening; seal: TrainSeal }): void {
  const { prepared, opening } = input;
  // A runner's answer comes as whatever its process sent.
  const parsed = trainAnswer.safeParse(input.seal);
  if (!parsed.success || parsed.data.kind !== 'sealed') refuse('its seal has not the form of one');
  const { runner, ...signed } = parsed.data;
  if (!opening.selection.some((selected) => selected.runner === runner))
    refuse(`runner ${runner} was not selected`);
  const signer = sealSigner({ domain: prepared.domain, opening }, signed);
  if (signer !== runner) refuse(`its seal is signed by ${signer ?? 'nobody'}, not by runner ${runner}`);
}

/**
 * Signs that these seals are all that the round has, and puts their list where runners can fetch it. For one opening one list
 * is ever signed: runners that were shown two could not know who had joined the round with a copy.
 * @param input seals that were admitted, ascending by runner
 * @throws SEALS_BROKEN when an earlier attempt at this opening signed another list; the round must not go on then
 */
export async function signSeals(
  { artifacts, table, signSealList }: Pick<Dependencies, 'artifacts' | 'table' | 'signSealList'>,
  { opening, seals }: { opening: RoundOpening; seals: TrainSeal[] },
): Promise<SignedSealList> {
  const entries: SealList = seals.map(({ runner, seal, signature }) => ({ runner, seal, signature }));
  const list = sealListHash(sha256, entries);
  const { job, round, openHash } = opening;
  await artifacts.put(canonicalBytes(entries));
  if ((await table.keepSealList({ job, round, openHash }, list)) !== list)
    throw new RoundtableError(
      'SEALS_BROKEN',
      `Round ${round} of job ${job} was begun before under this opening, and this stack's member has signed another list of seals for it. Runners would refuse a second one, so the round ends here.`,
    );
  return { list, signature: signSealList({ job, round, openHash, list }) };
}

/** The runner shows what it had sealed. @throws UPDATE_REFUSED */
export function checkSealed({ prepared, update: { runner, updateRoot, salt }, seal }: AdmitInput): void {
  if (!prepared.spec.sealFirst) return;
  if (salt === undefined || seal === undefined) refuse('it has no salt that opens a seal');
  if (sealOf(sha256, updateRoot, runner, salt) !== seal)
    refuse(`its root and salt do not open the seal ${seal} that its runner had signed`);
}
