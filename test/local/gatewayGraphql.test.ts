import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { archiveAddress } from '#services/archiveKey.js';
import { ArweaveClient } from './arweaveClient.js';
import { endGateways, startGateway, temporaryFolder } from './gatewayProcess.js';

interface Page {
  data: {
    transactions: {
      pageInfo: { hasNextPage: boolean };
      edges: { cursor: string; node: { id: string } }[];
    };
  };
}

let client: ArweaveClient;
/** Seven transactions, oldest first. */
const ids: string[] = [];
const group = randomBytes(8).toString('hex');

beforeAll(async () => {
  const gateway = await startGateway(await temporaryFolder());
  client = await ArweaveClient.open(gateway.port);
  for (let i = 0; i < 7; i++) {
    const tags = { Group: group, Parity: i % 2 ? 'odd' : 'even', 'Content-Type': 'text/plain' };
    ids.push((await client.post(`number ${i}`, tags)).id);
  }
});
afterAll(endGateways);

const PAGE = `query ($tags: [TagFilter!], $owners: [String!], $ids: [ID!], $block: BlockFilter,
    $first: Int, $after: String, $sort: SortOrder) {
  transactions(tags: $tags, owners: $owners, ids: $ids, block: $block, first: $first, after: $after, sort: $sort) {
    pageInfo { hasNextPage } edges { cursor node { id } }
  }
}`;
const tags = [{ name: 'Group', values: [group] }];

async function page(variables: object): Promise<Page['data']['transactions']> {
  return (await client.graphql<Page>(PAGE, variables)).data.transactions;
}

async function count(variables: object): Promise<number> {
  return (await page({ first: 100, ...variables })).edges.length;
}

async function pageThrough(sort: string): Promise<string[]> {
  const seen: string[] = [];
  let after: string | undefined;
  for (;;) {
    const { edges, pageInfo } = await page({ tags, first: 3, after, sort });
    expect(edges.length).toBe(pageInfo.hasNextPage ? 3 : 1);
    for (const { node } of edges) seen.push(node.id);
    if (!pageInfo.hasNextPage) return seen;
    after = edges.at(-1)?.cursor;
  }
}

test('GraphQL pages through everything once, in either order', async () => {
  expect(await pageThrough('HEIGHT_ASC')).toEqual(ids);
  expect(await pageThrough('HEIGHT_DESC')).toEqual(ids.toReversed());
});

test('a page goes on where it was although new transactions came meanwhile', async () => {
  const all = [{ name: 'Group', values: [group, `${group}-late`] }];
  const first = await page({ tags: all, first: 4 });
  await client.post('late', { Group: `${group}-late` });
  const rest = await page({ tags: all, first: 4, after: first.edges.at(-1)?.cursor });
  expect([...first.edges, ...rest.edges].map(({ node }) => node.id)).toEqual(ids.toReversed());
});

test('filters by several tags, any of several values, owners, ids and blocks', async () => {
  expect(await count({ tags: [...tags, { name: 'Parity', values: ['odd'] }] })).toBe(3);
  expect(await count({ tags: [...tags, { name: 'Parity', values: ['odd', 'even'] }] })).toBe(7);
  expect(await count({ tags: [...tags, { name: 'Parity', values: ['odd'], op: 'NEQ' }] })).toBe(4);
  expect(await count({ tags, owners: [archiveAddress(client.key)] })).toBe(7);
  expect(await count({ tags, owners: [randomBytes(32).toString('base64url')] })).toBe(0);
  expect(await count({ ids: ids.slice(2, 4) })).toBe(2);
  expect(await count({ tags, block: { min: 2, max: 4 } })).toBe(3);
});

test('gives all fields of a transaction', async () => {
  const { arweave } = client;
  const { data } = await client.graphql<{ data: { transaction: object } }>(
    `query ($id: ID!) { transaction(id: $id) {
      id anchor signature recipient owner { address key } fee { winston ar } quantity { winston ar }
      data { size type } tags { name value } } }`,
    { id: ids[1] },
  );
  const header = await arweave.transactions.get(ids[1] ?? '');
  expect(data.transaction).toEqual({
    id: ids[1],
    anchor: header.last_tx,
    signature: header.signature,
    recipient: '',
    owner: { address: archiveAddress(client.key), key: client.key.n },
    fee: { winston: header.reward, ar: arweave.ar.winstonToAr(header.reward) },
    quantity: { winston: '0', ar: '0.000000000000' },
    data: { size: '8', type: 'text/plain' },
    tags: [
      { name: 'Group', value: group },
      { name: 'Parity', value: 'odd' },
      { name: 'Content-Type', value: 'text/plain' },
    ],
  });
});

test('an unknown transaction is null', async () => {
  const answer = await client.graphql('query ($id: ID!) { transaction(id: $id) { id } }', {
    id: randomBytes(32).toString('base64url'),
  });
  expect(answer).toEqual({ data: { transaction: null } });
});

test('lists a transaction that waits for its chunks first, without a block', async () => {
  const transaction = await client.sign(randomBytes(400_000));
  const uploader = await client.arweave.transactions.getUploader(transaction);
  await uploader.uploadChunk();
  expect(
    await client.graphql('{ transactions(first: 1) { edges { node { id block { height } } } } }'),
  ).toEqual({
    data: { transactions: { edges: [{ node: { id: transaction.id, block: null } }] } },
  });
  expect((await client.arweave.api.get<string[]>('tx/pending')).data).toEqual([transaction.id]);
});

test('answers mistakes with errors', async () => {
  const queries = [
    '{',
    '{ nothing }',
    '{ transactions(first: -1) { edges { cursor } } }',
    '{ transactions(after: "x") { edges { cursor } } }',
    '{ a '.repeat(5000),
  ];
  for (const query of queries)
    expect(await client.graphql(query)).toMatchObject({ errors: [{ message: expect.any(String) }] });
});
