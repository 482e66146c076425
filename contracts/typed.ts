import type {
  Abi,
  AbiParameterToPrimitiveType,
  AbiParametersToPrimitiveTypes,
  ExtractAbiEvent,
  ExtractAbiEventNames,
  ExtractAbiFunction,
  ExtractAbiFunctionNames,
} from 'abitype';
import { Interface, type ContractRunner, type FunctionFragment, type InterfaceAbi } from 'ethers';
import type { Hex } from '#core/hex.js';
import type { Address } from './deployment.js';

declare module 'abitype' {
  interface Register {
    /** ethers gives a bigint for every integer, however short. */
    intType: bigint;
  }
}

/** What a transaction does: its receiver and its data. */
export interface ChainCall {
  to: Address;
  data: Hex;
}

/** An event with where it happened. */
export interface TypedLog<A extends Abi, N extends ExtractAbiEventNames<A>> {
  args: EventArguments<A, N>;
  block: number;
  transaction: Hex;
}

/** A contract whose functions and events have the types that its ABI (`as const`) says. */
export interface TypedContract<A extends Abi> {
  address: Address;
  /** Views. A single output as itself, several as a tuple. */
  read: { [N in Views<A>]: (...inputs: Inputs<A, N>) => Promise<Output<A, N>> };
  /** Encoded calls of what changes state; whoever has a key sends them. */
  call: { [N in Changes<A>]: (...inputs: Inputs<A, N>) => ChainCall };
  /** Topics that find one event, for the indexed arguments that are given. */
  topics: <N extends ExtractAbiEventNames<A>>(
    name: N,
    indexed: Partial<EventArguments<A, N>>,
  ) => (string | string[] | null)[];
  parse: <N extends ExtractAbiEventNames<A>>(name: N, log: RawLog) => TypedLog<A, N>;
}

interface RawLog {
  topics: readonly string[];
  data: string;
  blockNumber: number;
  transactionHash: string;
}

/**
 * @param runner answers `read`; contracts that are only encoded for need none.
 * @throws what the runner throws (ethers' CALL_EXCEPTION carries the revert's data)
 * @example await typedContract(jobsAbi, address, provider).read.openings(job, 1n)
 */
export function typedContract<const A extends Abi>(
  abi: A,
  address: Address,
  runner?: ContractRunner,
): TypedContract<A> {
  const face = faceOf(abi);
  const read: Record<string, (...inputs: unknown[]) => Promise<unknown>> = {};
  const call: Record<string, (...inputs: unknown[]) => ChainCall> = {};
  face.forEachFunction((fragment) => {
    const encode = (...inputs: unknown[]): ChainCall => ({
      to: address,
      data: face.encodeFunctionData(fragment, inputs) as Hex,
    });
    if (fragment.constant)
      read[fragment.name] = async (...inputs) => {
        if (runner?.call === undefined) throw new TypeError(`No runner to read ${fragment.name} with.`);
        return output(face, fragment, await runner.call(encode(...inputs)));
      };
    else call[fragment.name] = encode;
  });
  return {
    address,
    read: read as TypedContract<A>['read'],
    call: call as TypedContract<A>['call'],
    topics: (name, indexed) => {
      const fragment = eventOf(face, name);
      const values = fragment.inputs.map((input) => (indexed as Record<string, unknown>)[input.name] ?? null);
      return face.encodeFilterTopics(fragment, values);
    },
    parse: (name, log) => {
      const fragment = eventOf(face, name);
      const args = face.decodeEventLog(fragment, log.data, log.topics).toObject();
      return {
        args: args as EventArguments<A, typeof name>,
        block: log.blockNumber,
        transaction: log.transactionHash as Hex,
      };
    },
  };
}

/** Making one costs milliseconds, and its contract may be at many addresses. */
function faceOf(abi: Abi): Interface {
  const known = faces.get(abi);
  if (known) return known;
  const face = new Interface(abi as unknown as InterfaceAbi);
  faces.set(abi, face);
  return face;
}

const faces = new WeakMap<Abi, Interface>();

function output(face: Interface, fragment: FunctionFragment, data: string): unknown {
  const result = face.decodeFunctionResult(fragment, data);
  return fragment.outputs.length === 1 ? result[0] : result.toArray();
}

function eventOf(face: Interface, name: string) {
  const fragment = face.getEvent(name);
  if (fragment === null) throw new TypeError(`The ABI has no event ${name}.`);
  return fragment;
}

type Views<A extends Abi> = ExtractAbiFunctionNames<A, 'view' | 'pure'>;
type Changes<A extends Abi> = ExtractAbiFunctionNames<A, 'nonpayable' | 'payable'>;
type Inputs<A extends Abi, N extends ExtractAbiFunctionNames<A>> = AbiParametersToPrimitiveTypes<
  ExtractAbiFunction<A, N>['inputs'],
  'inputs'
>;
type Outputs<A extends Abi, N extends ExtractAbiFunctionNames<A>> = AbiParametersToPrimitiveTypes<
  ExtractAbiFunction<A, N>['outputs'],
  'outputs'
>;
type Output<A extends Abi, N extends ExtractAbiFunctionNames<A>> =
  Outputs<A, N> extends readonly [infer Single] ? Single : Outputs<A, N>;
export type EventArguments<A extends Abi, N extends ExtractAbiEventNames<A>> = {
  [Input in ExtractAbiEvent<A, N>['inputs'][number] as Input['name'] & string]: AbiParameterToPrimitiveType<
    Input,
    'outputs'
  >;
};
