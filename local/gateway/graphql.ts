import { GraphQLError, buildSchema, execute, parse, validate, type ExecutionResult } from 'graphql';
import { z } from 'zod';
import type { Block } from './chain.js';
import type { Accepted, Weave } from './weave.js';

export interface GraphqlAnswer {
  status: 200 | 400;
  body: ExecutionResult;
}

/** Answers POST /graphql in the schema that the network's public gateways share (its part for transactions). */
export async function answerGraphql(weave: Weave, request: unknown): Promise<GraphqlAnswer> {
  const parsed = requestSchema.safeParse(request);
  if (!parsed.success)
    return refused(new GraphQLError('Expected a JSON object with "query" and perhaps "variables".'));
  const { query, variables, operationName } = parsed.data;
  try {
    const document = parse(query, { maxTokens: 2000 });
    const errors = validate(schema, document);
    if (errors.length > 0) return refused(...errors);
    const body = await execute({
      schema,
      document,
      rootValue: resolvers(weave),
      variableValues: variables,
      operationName,
    });
    return { status: 200, body };
  } catch (error) {
    if (error instanceof GraphQLError) return refused(error);
    throw error;
  }
}

const schema = buildSchema(/* GraphQL */ `
  type Query {
    transaction(id: ID!): Transaction
    transactions(
      ids: [ID!]
      owners: [String!]
      recipients: [String!]
      tags: [TagFilter!]
      block: BlockFilter
      first: Int = 10
      after: String
      sort: SortOrder = HEIGHT_DESC
    ): TransactionConnection!
  }
  input TagFilter {
    name: String!
    values: [String!]!
    op: TagOperator = EQ
  }
  enum TagOperator {
    EQ
    NEQ
  }
  input BlockFilter {
    min: Int
    max: Int
  }
  enum SortOrder {
    HEIGHT_ASC
    HEIGHT_DESC
  }
  type TransactionConnection {
    pageInfo: PageInfo!
    edges: [TransactionEdge!]!
  }
  type PageInfo {
    hasNextPage: Boolean!
  }
  type TransactionEdge {
    cursor: String!
    node: Transaction!
  }
  type Transaction {
    id: ID!
    anchor: String!
    signature: String!
    recipient: String!
    owner: Owner!
    fee: Amount!
    quantity: Amount!
    data: MetaData!
    tags: [Tag!]!
    block: Block
  }
  type Owner {
    address: String!
    key: String!
  }
  type Amount {
    winston: String!
    ar: String!
  }
  type MetaData {
    size: String!
    type: String
  }
  type Tag {
    name: String!
    value: String!
  }
  type Block {
    id: ID!
    timestamp: Int!
    height: Int!
    previous: ID!
  }
`);

interface TransactionsArguments {
  ids?: string[] | null;
  owners?: string[] | null;
  recipients?: string[] | null;
  tags?: { name: string; values: string[]; op: 'EQ' | 'NEQ' }[] | null;
  block?: { min?: number | null; max?: number | null } | null;
  first?: number | null;
  after?: string | null;
  sort?: 'HEIGHT_ASC' | 'HEIGHT_DESC' | null;
}

/** The most that public gateways give in one page. */
const MAX_PAGE = 100;

function resolvers(weave: Weave) {
  return {
    transaction: ({ id }: { id: string }) => {
      const found = weave.get(id);
      return found ? node(found) : null;
    },
    transactions: (wanted: TransactionsArguments) => {
      const first = wanted.first ?? 10;
      if (first < 1) throw new GraphQLError(`"first" must be at least 1, got ${first}.`);
      const page = Math.min(first, MAX_PAGE);
      const direction = wanted.sort === 'HEIGHT_ASC' ? 1 : -1;
      const after = wanted.after ? parseCursor(wanted.after) : undefined;
      const found = [...weave.all()]
        .filter((entry) => matches(entry, wanted))
        .map((entry) => ({ entry, place: placeOf(entry) }))
        .filter(({ place }) => !after || direction * compare(place, after) > 0)
        .sort((a, b) => direction * compare(a.place, b.place));
      return {
        pageInfo: { hasNextPage: found.length > page },
        edges: found.slice(0, page).map(({ entry, place }) => ({ cursor: cursor(place), node: node(entry) })),
      };
    },
  };
}

/** Different arguments must all hold; within one, any of the values will do. */
function matches({ header, address, tags, block }: Accepted, wanted: TransactionsArguments): boolean {
  const height = block?.height;
  const min = wanted.block?.min ?? undefined;
  const max = wanted.block?.max ?? undefined;
  return (
    (!wanted.ids || wanted.ids.includes(header.id)) &&
    (!wanted.owners || wanted.owners.includes(address)) &&
    (!wanted.recipients || wanted.recipients.includes(header.target)) &&
    (min === undefined || (height !== undefined && height >= min)) &&
    (max === undefined || (height !== undefined && height <= max)) &&
    (wanted.tags ?? []).every(({ name, values, op }) => {
      const has = tags.some((tag) => tag.name === name && values.includes(tag.value));
      return op === 'EQ' ? has : !has;
    })
  );
}

function node({ header, address, tags, block }: Accepted) {
  return {
    id: header.id,
    anchor: header.last_tx,
    signature: header.signature,
    recipient: header.target,
    owner: { address, key: header.owner },
    fee: amount(header.reward),
    quantity: amount(header.quantity),
    data: { size: header.data_size, type: tags.find(({ name }) => name === 'Content-Type')?.value ?? null },
    tags,
    block: block ? blockNode(block) : null,
  };
}

function blockNode({ indep_hash, timestamp, height, previous_block }: Block) {
  return { id: indep_hash, timestamp, height, previous: previous_block };
}

function amount(winston: string) {
  const digits = winston.padStart(13, '0');
  return { winston, ar: `${digits.slice(0, -12)}.${digits.slice(-12)}` };
}

/** Where an entry stands in the order: pending ones count as the newest. */
interface Place {
  height: number;
  id: string;
}

function placeOf({ header, block }: Accepted): Place {
  return { height: block?.height ?? Number.MAX_SAFE_INTEGER, id: header.id };
}

function compare(a: Place, b: Place): number {
  if (a.height !== b.height) return a.height - b.height;
  return a.id < b.id ? -1 : Number(a.id > b.id);
}

function cursor({ height, id }: Place): string {
  return Buffer.from(`${height}/${id}`).toString('base64url');
}

function parseCursor(text: string): Place {
  const [, height, id] =
    /^([0-9]{1,16})\/([A-Za-z0-9_-]{43})$/.exec(Buffer.from(text, 'base64url').toString()) ?? [];
  if (height === undefined || id === undefined)
    throw new GraphQLError('"after" is not a cursor that was given by this gateway.');
  return { height: Number(height), id };
}

const requestSchema = z.object({
  query: z.string(),
  variables: z.record(z.string(), z.unknown()).nullish(),
  operationName: z.string().nullish(),
});

function refused(...errors: readonly GraphQLError[]): GraphqlAnswer {
  return { status: 400, body: { errors } };
}
