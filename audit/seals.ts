/** Whether runners were committed to their updates before any of them showed its own (core/seal.ts). */
import type { RoundManifest } from '#core/manifest.js';
import type { Hash } from '#core/hex.js';
import { sealListHash, sealOf } from '#core/seal.js';
import { sealListSigner, wrongSeal } from '#services/seals.js';
import { same, Wrong, type Checklist } from './checklist.js';
import type { AuditChain, AuditSources } from './sources.js';

type Round = RoundManifest['hashed'];

/** Of a job whose runners seal first; of others, that there is nothing of the kind. */
export async function checkSeals(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  subject: string,
  round: Round,
): Promise<void> {
  if (!round.spec.sealFirst && !round.seals && round.headers.every(({ salt }) => salt === undefined)) return;
  const how =
    "EIP-712 of every seal and of their list; root and salt of every update under its runner's seal";
  await list.check(subject, 'seals', how, (say) => {
    throwUnlessSealed(sources.hash, round);
    const { length } = round.headers;
    say(`${length} opened, ${(round.seals?.list.length ?? 0) - length} not`);
  });
}

/** @throws Wrong at the first thing that is */
export function throwUnlessSealed(hash: Hash, { spec, seals, headers, opening, domain, coordinator }: Round) {
  if (!spec.sealFirst) {
    if (seals) throw new Wrong('it has seals, and its job asks for none');
    const salted = headers.find(({ salt }) => salt !== undefined);
    if (salted)
      throw new Wrong(`runner ${salted.runner} has a salt, and its job asks for no seals`, {
        runner: salted.runner,
      });
    return;
  }
  if (!seals) throw new Wrong('it has no seals, and its job asks for them');
  const selected = new Set(opening.selection.map(({ runner }) => runner));
  const stranger = seals.list.find(({ runner }) => !selected.has(runner));
  if (stranger)
    throw new Wrong(`runner ${stranger.runner} sealed and was not selected`, { runner: stranger.runner });
  const wrong = wrongSeal({ domain, opening }, seals.list);
  if (wrong) throw new Wrong(wrong.what, { runner: wrong.runner });
  const signer = sealListSigner({ domain, opening }, sealListHash(hash, seals.list), seals.signature);
  same('the signer of the list of seals', signer, coordinator);
  const sealed = new Map(seals.list.map(({ runner, seal }) => [runner, seal]));
  for (const { runner, updateRoot, salt } of headers) {
    const seal = sealed.get(runner);
    if (seal === undefined) throw new Wrong(`runner ${runner} is present and sealed nothing`, { runner });
    if (salt === undefined) throw new Wrong(`the seal of runner ${runner} has no salt`, { runner });
    if (sealOf(hash, updateRoot, runner, salt) !== seal)
      throw new Wrong(`root and salt of runner ${runner} do not open its seal`, { runner });
  }
}
