/** What a watcher sends to a judge, and what it needs to know of a round to make it. */
import { Interface, type InterfaceAbi } from 'ethers';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { leafJudgeAbi } from '#contracts/generated/LeafJudge.js';
import { rewardJudgeAbi } from '#contracts/generated/RewardJudge.js';
import { robustJudgeAbi } from '#contracts/generated/RobustJudge.js';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import type { ChainCall } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import type { chainCalls } from '#services/chainCalls.js';
import type { Accused, Committed } from './accused.js';
import { questionId, subjectHash, type RoundQuestion, type Subject } from './questions.js';
import type { AuditSources } from './sources.js';

/** A report convicts at once, and must be committed to first; a question convicts when it is not answered. */
export type Accusation =
  | { what: string; kind: 'report'; call: ChainCall }
  /** question: its name on chain. */
  | { what: string; kind: 'question'; call: ChainCall; question: Hex };

export type Judges = ReturnType<typeof chainCalls>['judges'];

/** A round whose commitments are known. */
export interface Known extends Omit<Accused, 'committed'>, Committed {
  sources: AuditSources;
  judges: Judges;
  /** What was asked about it so far. */
  questions: ReadonlyMap<Hex, RoundQuestion>;
}

export function report(what: string, call: ChainCall): Accusation {
  return { what, kind: 'report', call };
}

/** What was answered about a subject; null while nobody asked, or nobody answered. */
export function answerTo(
  { questions, name }: Pick<Known, 'questions' | 'name'>,
  subject: Subject,
): RoundQuestion | null {
  const known = questions.get(questionId(name, subjectHash(subject)));
  return known?.answered ? known : null;
}

export function question(
  { name }: Pick<Known, 'name'>,
  what: string,
  subject: Subject,
  call: ChainCall,
): Accusation {
  return { what, kind: 'question', call, question: questionId(name, subjectHash(subject)) };
}

const judgeAbis = [sumJudgeAbi, robustJudgeAbi, leafJudgeAbi, dataJudgeAbi, rewardJudgeAbi];
const faces = judgeAbis.map((abi) => new Interface(abi as unknown as InterfaceAbi));

/** The judge's function that is called. @example callName(call) // 'wrongStep' */
export function callName({ data }: ChainCall): string {
  const found = faces.map((face) => face.getFunction(data.slice(0, 10))?.name);
  return found.find((name) => name !== undefined) ?? data.slice(0, 10);
}

/** A version as contracts take it. */
export function versionInput(version: { graph: Hex; paramsRoot: Hex; stepsHash: Hex; stateRoot: Hex }) {
  const { graph: graphHash, paramsRoot, stepsHash, stateRoot } = version;
  return { graphHash, paramsRoot, stepsHash, stateRoot };
}
