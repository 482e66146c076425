/**
 * Questions to a coordinator (contracts/Questions.sol): what they are called on chain, and how it stands with them. Those of
 * contracts/DataJudge.sol are about what a round committed to, those of contracts/ReceiptJudge.sol about what it left out.
 */
import { AbiCoder, encodeBytes32String, Interface, keccak256, type InterfaceAbi, type Result } from 'ethers';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import { logReader } from '#services/chain/logs.js';
import type { Chain } from '#services/chain.js';

/** Turns lead from the root of the aggregation tree down to a node: none for the root itself. */
export type Subject =
  | { of: 'root' }
  | { of: 'opening' }
  | { of: 'node' | 'leaf'; turns: readonly number[]; child: number }
  | { of: 'chunk' | 'step'; turns: readonly number[]; chunk: number }
  | { of: 'nodes'; turns: readonly number[]; tree: InnerTree; height: number; index: number };

/** Trees whose inner nodes can be asked for, as the contract counts them. */
export const innerTrees = { sum: 0, params: 1 } as const;
export type InnerTree = keyof typeof innerTrees;

/** Which round, by the word of its closing: a number can be closed anew. */
export interface RoundName {
  job: Hex;
  round: number;
  closing: Hex;
}

/** Contracts that ask, by their names in a deployment. */
export const askingJudges = ['data', 'receipts'] as const;
export type AskingJudge = (typeof askingJudges)[number];

export interface RoundQuestion {
  id: Hex;
  /** Where it was asked; questions of before there were others do not say it, and are about data. */
  judge?: AskingJudge;
  subject: Hex;
  round: RoundName;
  /** Who waits for the answer; null when it is answered or ended. */
  challenger: Hex | null;
  /** Seconds since 1970 at which the answer is due. */
  until: number;
  asked: { transaction: Hex; block: number };
  /** The call that answered it; null as long as there is none, and after chunks, which leave nothing to ask. */
  answer: { name: string; args: Result } | null;
  answered: boolean;
}

const abi = AbiCoder.defaultAbiCoder();

/** What a question is about, as the contract names it. */
export function subjectHash(subject: Subject): Hex {
  switch (subject.of) {
    case 'root':
    case 'opening':
      return encodeBytes32String(subject.of) as Hex;
    case 'node':
    case 'leaf':
      return pointHash(subject.of, subject.turns, subject.child);
    case 'chunk':
    case 'step':
      return pointHash(subject.of, subject.turns, subject.chunk);
    case 'nodes': {
      const { turns, tree, height, index } = subject;
      const inner = [innerTrees[tree], height, index];
      return keccak256(
        abi.encode(['string', 'uint8[]', 'tuple(uint8,uint8,uint32)'], ['nodes', turns, inner]),
      ) as Hex;
    }
  }
}

function pointHash(of: string, turns: readonly number[], which: number): Hex {
  return keccak256(
    abi.encode(['bytes32', 'uint8[]', 'uint32'], [encodeBytes32String(of), turns, which]),
  ) as Hex;
}

export function questionId({ job, round, closing }: RoundName, subject: Hex): Hex {
  return keccak256(
    abi.encode(['bytes32', 'bytes32', 'uint32', 'bytes32'], [closing, job, round, subject]),
  ) as Hex;
}

/** All that was ever asked about what a round committed to, by question; of one that was asked again the last time counts. */
export async function questionsOf(
  chain: Chain,
  round: RoundName,
  from?: number,
): Promise<Map<Hex, RoundQuestion>> {
  const all = await readQuestions(chain, 'data', { job: round.job, round: round.round, from });
  return new Map(
    all
      .filter(({ id, subject }) => questionId(round, subject) === id)
      .map((question) => [question.id, { ...question, round }]),
  );
}

/** Questions that wait for an answer, of every job and every judge. @param from the first block that counts */
export async function openQuestions(chain: Chain, from?: number): Promise<RoundQuestion[]> {
  const all = await Promise.all(askingJudges.map((judge) => readQuestions(chain, judge, { from })));
  return all.flat().filter(({ challenger }) => challenger !== null);
}

async function readQuestions(
  chain: Chain,
  name: AskingJudge,
  { job, round, from }: { job?: Hex; round?: number; from: number | undefined },
): Promise<RoundQuestion[]> {
  // All of them ask in the same way.
  const judge = typedContract(dataJudgeAbi, chain.deployment.judges[name], chain.provider);
  const logs = logReader(chain.provider, chain.deployment);
  const at = from === undefined ? undefined : { from };
  const indexed = { ...(job && { job }), ...(round !== undefined && { round: BigInt(round) }) };
  const last = new Map(
    (await logs(judge, 'Asked', indexed, at)).map((asked) => [asked.args.question, asked]),
  );
  return Promise.all(
    [...last.values()].map(async ({ args, block, transaction }): Promise<RoundQuestion> => {
      const [challenger, , , , closing] = await judge.read.questions(args.question);
      const waits = BigInt(challenger) !== 0n;
      const answers = waits
        ? []
        : await logs(judge, 'Answered', { question: args.question }, { from: block });
      const answered = answers.at(-1);
      return {
        id: args.question,
        judge: name,
        subject: args.subject,
        round: { job: args.job, round: Number(args.round), closing },
        challenger: waits ? (challenger.toLowerCase() as Hex) : null,
        until: Number(args.until),
        asked: { transaction, block },
        answer: answered ? parsed(answered.args.answer) : null,
        answered: answered !== undefined,
      };
    }),
  );
}

const face = new Interface(dataJudgeAbi as unknown as InterfaceAbi);

/** The call of the judge in a transaction, also where another contract passed it on as it was. */
export async function readCall(
  chain: Pick<Chain, 'provider'>,
  transaction: Hex,
): Promise<{ name: string; args: Result } | null> {
  const data = (await chain.provider.getTransaction(transaction))?.data ?? '0x';
  for (const fragment of face.fragments) {
    if (fragment.type !== 'function') continue;
    const selector = face.getFunction(fragment.format())?.selector.slice(2) ?? '';
    for (let at = data.indexOf(selector, 2); at >= 2; at = data.indexOf(selector, at + 2)) {
      if (at % 2 !== 0) continue;
      const call = parsed(`0x${data.slice(at)}`);
      if (call && /^(ask|answer)/.test(call.name)) return call;
    }
  }
  return null;
}

function parsed(data: string): { name: string; args: Result } | null {
  try {
    return face.parseTransaction({ data });
  } catch {
    // The four bytes were there by chance.
    return null;
  }
}
