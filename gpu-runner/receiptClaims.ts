/** What a runner does with its receipts by itself: asks on chain for an update that was left out, claims a dead round's fee. */
import { loadAccused } from '#audit/accused.js';
import { questionId } from '#audit/questions.js';
import { leftOut, receiptSubject } from '#audit/receipts.js';
import { fileAccusation } from '#audit/report.js';
import { receiptJudgeAbi } from '#contracts/generated/ReceiptJudge.js';
import { typedContract } from '#contracts/typed.js';
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { selectionRootAt } from '#core/openHash.js';
import type { Archive } from '#services/archive.js';
import type { ConsortiumChain } from '#services/chain.js';
import { openingFields, wordHolds, wordTime } from '#services/chain/words.js';
import type { Sender, Sent } from '#services/chainSender.js';
import { sha256 } from '#services/sha256.js';
import type { DecisionLog } from './decisionLog.js';
import type { HeldReceipt, ReceiptBook, ReceiptOutcome } from './receiptBook.js';

export interface ClaimParts {
  book: ReceiptBook;
  chain: ConsortiumChain;
  archive: Pick<Archive, 'get' | 'find'>;
  /** Of the runner's own account, which pays bonds and gas. */
  sender: Sender;
  receiptJudge: Hex;
  decisions: Pick<DecisionLog, 'append'>;
}

type Signed = HeldReceipt & { signature: Hex };
type Anchored = Signed & { words: NonNullable<HeldReceipt['words']> };

/**
 * Looks once at every receipt that has not ended. What was begun is on the disk and on chain, so a look after a kill goes
 * on with it and sends nothing twice.
 * @param complain is told what keeps a receipt from being looked at; the others are
 */
export async function followReceipts(
  parts: ClaimParts,
  complain: (held: HeldReceipt, error: unknown) => void,
): Promise<void> {
  for (const held of parts.book.all()) {
    const { signature } = held;
    if (signature === null) continue;
    try {
      await follow(parts, { ...held, signature });
    } catch (error) {
      complain(held, error);
    }
  }
}

async function follow(parts: ClaimParts, receipt: Signed): Promise<void> {
  const held = await anchored(parts, receipt);
  if (!held) return;
  const { chain } = parts;
  const { job, round } = held.opening;
  if (await chain.died(held.words.opening)) return claimFee(parts, held);
  const { opening, closing } = await chain.commitments(job, round);
  const { closed } = await chain.escrow(job);
  if (opening !== held.words.opening) return again(parts, held, opening);
  if (held.question) return await followQuestion(parts, held, held.question);
  if (!closing) return;
  if (round > closed) return end(parts, held, 'void', null);
  await seek(parts, held, closing);
}

/** Notes what the chain says of the round while it says it: a take-over or a conviction may replace it. */
async function anchored({ book, chain }: ClaimParts, held: Signed): Promise<Anchored | null> {
  if (held.words) return { ...held, words: held.words };
  const { job, round, openHash } = held.opening;
  const [{ opening }, { closing: previous }] = await Promise.all([
    chain.commitments(job, round),
    chain.commitments(job, round - 1),
  ]);
  if (!opening || !previous || !wordHolds(opening, openingFields(previous, job, round, openHash)))
    return null;
  const found = { ...held, words: { opening, previous } };
  await book.write(found);
  return found;
}

/** A reorganisation gives an opening another time, and so another word; a take-over gives the round another opening. */
async function again(parts: ClaimParts, held: Anchored, opening: Hex | null): Promise<void> {
  if (!opening) return;
  const { job, round, openHash } = held.opening;
  const { closing: previous } = await parts.chain.commitments(job, round - 1);
  if (previous && wordHolds(opening, openingFields(previous, job, round, openHash)))
    return parts.book.write({ ...held, words: { opening, previous } });
  return end(parts, held, 'void', null);
}

/** Whether the update is in the closed round; where it is not, or nobody can see it in half of the window, it is asked for. */
async function seek(parts: ClaimParts, held: Anchored, closing: Hex): Promise<void> {
  const { chain, archive, sender, receiptJudge } = parts;
  const { job, round } = held.opening;
  const closedAt = wordTime(closing);
  const window = await chain.disputeWindow();
  const now = await timeOf(chain);
  if (now >= closedAt + window) return end(parts, held, 'over', null);
  const accused = await loadAccused({ chain, archive, hash: sha256 }, job, round);
  if (accused.name.closing !== closing) return;
  const evidence = accused.committed?.evidence ?? null;
  if (!evidence && now < closedAt + window / 2) return;
  const signed = { receipt: statementOf(held), signature: held.signature };
  const judges = { receipts: receiptJudge };
  const accusation = leftOut({ judges }, signed, evidence, held.words.previous);
  if (!accusation) return end(parts, held, 'included', null);
  const question = questionId({ job, round, closing }, receiptSubject(held));
  // Written first: a question that nobody would end after a kill is a bond thrown away.
  await parts.book.write({ ...held, question });
  await ask(chain, sender, accusation);
}

/** Nothing where somebody else has asked for the same. */
async function ask(
  chain: ConsortiumChain,
  sender: Sender,
  accusation: Parameters<typeof fileAccusation>[2],
): Promise<void> {
  try {
    await fileAccusation(chain, sender, accusation);
  } catch (error) {
    if (!isRoundtableError(error) || error.details['error'] !== 'AskedBefore') throw error;
  }
}

async function followQuestion(parts: ClaimParts, held: Anchored, question: Hex): Promise<void> {
  const { chain, sender, receiptJudge } = parts;
  const judge = typedContract(receiptJudgeAbi, receiptJudge, chain.provider);
  const [challenger, until] = await judge.read.questions(question);
  if (BigInt(challenger) === 0n) return followUnasked(parts, held);
  if ((await timeOf(chain)) < Number(until)) return;
  try {
    const sent = await sender.send(`expire/${question}`, judge.call.expire(question));
    await end(parts, held, 'convicted', sent);
  } catch (error) {
    // Somebody else was faster: the next look sees how it ended.
    if (!isRoundtableError(error) || error.details['error'] !== 'NotAsked') throw error;
  }
}

/** The question has ended, or was never asked because the runner was killed before. */
async function followUnasked(parts: ClaimParts, held: Anchored): Promise<void> {
  const { chain, receiptJudge } = parts;
  const judge = typedContract(receiptJudgeAbi, receiptJudge, chain.provider);
  const topics = judge.topics('Answered', { question: held.question ?? '0x' });
  const answered = await chain.provider.getLogs({
    address: judge.address,
    topics,
    fromBlock: chain.deployment.block,
  });
  if (answered.length > 0) return end(parts, held, 'answered', null);
  const {
    opening: { job, round },
  } = held;
  const { closing } = await chain.commitments(job, round);
  const { closed, phase } = await chain.escrow(job);
  if (phase === 'convicted' || round > closed) return end(parts, held, 'convicted', null);
  if (closing) await seek(parts, held, closing);
}

/** Also where somebody else claimed it for this runner. */
async function claimFee(parts: ClaimParts, held: Anchored): Promise<void> {
  const { receiptJudge, sender } = parts;
  const { opening, place, signature, runner, words } = held;
  const { job, round, baseVersion, specHash, shift, selection } = opening;
  const maxSamples = selection[0]?.maxSamples ?? 0;
  const selectionRoot = selectionRootAt(sha256, { runner, maxSamples }, place);
  const { call } = typedContract(receiptJudgeAbi, receiptJudge);
  const statement = statementOf(held);
  const claim = call.claimFee(
    { ...statement, round: BigInt(round) },
    signature,
    BigInt(wordTime(words.opening)),
    {
      previous: words.previous,
      opening: {
        job,
        round: BigInt(round),
        baseVersion,
        specHash,
        shift: BigInt(shift),
        count: BigInt(place.count),
        selectionRoot,
      },
    },
    { index: BigInt(place.index), runner, maxSamples: BigInt(maxSamples), proof: place.proof },
  );
  try {
    await end(parts, held, 'paid', await sender.send(`fee/${words.opening}`, claim));
  } catch (error) {
    const refused = isRoundtableError(error) ? String(error.details['error']) : '';
    if (refused === 'CompensatedBefore') return end(parts, held, 'paid', null);
    // Its coordinator was refunded before anybody claimed, or another had signed.
    if (!['NotDead', 'NotReceipt'].includes(refused)) throw error;
    await end(parts, held, 'refused', null);
  }
}

async function end(
  { book, decisions }: ClaimParts,
  held: Anchored,
  outcome: ReceiptOutcome,
  sent: Sent | null,
): Promise<void> {
  const {
    coordinator,
    opening: { job, round },
  } = held;
  const transaction = sent?.hash ?? null;
  await decisions.append({ kind: 'claim', coordinator, job, round, outcome, transaction });
  await book.end(held, outcome);
}

function statementOf({ opening: { job, round, openHash }, runner, updateRoot }: HeldReceipt) {
  return { job, round, openHash, runner, updateRoot };
}

/** Seconds since 1970: a chain on which nobody sends anything has old blocks. */
async function timeOf(chain: ConsortiumChain): Promise<number> {
  const block = await chain.provider.getBlock('latest');
  return Math.max(block?.timestamp ?? 0, Math.floor(Date.now() / 1_000));
}
