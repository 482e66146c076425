import type { Wallet } from 'ethers';
import { Attester, type AttestationView } from '#audit/attester.js';
import type { AuditSources } from '#audit/index.js';
import { fromHex, type Hex } from '#core/hex.js';
import type { OutboundRules } from '#services/outboundUrl.js';
import { signTypedData } from '#services/signatures.js';
import type { Context } from '../command.js';
import type { OpenUpdate } from '../model/updates.js';
import { wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';
import { memberStack, othersOf } from './memberStack.js';

/** A round waits for it. */
export const attestEveryMs = 2_000;

/** @returns looks once at what other members' stacks propose, and signs where the wallet's member is drawn */
export function attestWhenDrawn(
  context: Context,
  { sources, ...asking }: { sources: AuditSources; wallet: Wallet; rules: OutboundRules; open: OpenUpdate },
): () => Promise<void> {
  const { wallet } = asking;
  const key = fromHex(wallet.privateKey as Hex, 32);
  const address = wallet.address.toLowerCase() as Hex;
  const attester = new Attester(sources, {
    address,
    sign: (domain, types, statement) => signTypedData(key, domain, types, statement),
  });
  const silent = new Map<Hex, string>();
  const say = (view: AttestationView): void =>
    context.print({ subject: 'attestation', ...view }, () =>
      attestationLines(context.terminal.theme(), view),
    );
  const complain = (coordinator: Hex, error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error);
    if (silent.get(coordinator) === message) return;
    silent.set(coordinator, message);
    const what = `the stack of ${coordinator} cannot be asked what it wants attested: ${message}`;
    const text = context.json ? JSON.stringify({ trouble: { code: 'UNAVAILABLE', message: what } }) : what;
    context.terminal.writeError(`${text}\n`);
  };
  return async () => {
    const others = othersOf(await sources.chain.members(), address);
    await attester.look(
      others.map((member) => memberStack(member, asking)),
      say,
      complain,
    );
  };
}

function attestationLines(
  theme: Theme,
  { job, round, coordinator, outcome, what }: AttestationView,
): string[] {
  const { ok, fail, wait } = glyphs(theme);
  const mark = { signed: ok, refused: fail, undecided: wait }[outcome];
  const style = { signed: 'green', refused: 'red', undecided: 'yellow' } as const;
  const said = {
    signed: 'attested before it closes',
    refused: `not attested, coordinator ${coordinator} would close it wrong`,
    undecided: 'not attested yet',
  }[outcome];
  const [first = '', ...more] = wrap(
    `${mark} round ${round} of job ${job}: ${said}: ${what}.`,
    theme.columns,
  );
  return [paint(theme, style[outcome], first), ...more];
}
