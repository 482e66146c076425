import { beforeAll, expect, test } from '@jest/globals';
import { readAppPlane, statementsOf, type ReadPlane } from './appPlane.js';

let production: ReadPlane;
/** The first run may install SST's platform. */
beforeAll(async () => {
  production = await readAppPlane('production');
}, 6 * 60_000);

test('the page lies in a closed bucket that only CloudFront reads, over TLS, with a policy that runs nothing else', () => {
  for (const { inputs } of production.of('aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock'))
    expect(inputs).toMatchObject({ blockPublicPolicy: true, restrictPublicBuckets: true });
  const statements = statementsOf(
    String(production.one('aws:s3/bucketPolicy:BucketPolicy', 'PagePolicy')['policy']),
  );
  const allowed = statements.filter(({ effect }) => effect !== 'Deny');
  expect(allowed.map(({ principals, actions }) => [principals?.[0]?.identifiers, actions])).toEqual([
    [['cloudfront.amazonaws.com'], ['s3:GetObject']],
  ]);
  const headers = production.one('aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy');
  expect(JSON.stringify(headers)).toContain("default-src 'none'");
  const site = production.one('aws:cloudfront/distribution:Distribution');
  expect(site['defaultCacheBehavior']).toMatchObject({
    viewerProtocolPolicy: 'redirect-to-https',
    responseHeadersPolicyId: 'PageHeaders-id',
  });
  const objects = production.of('aws:s3/bucketObjectv2:BucketObjectv2').map(({ inputs }) => inputs['key']);
  expect(objects).toEqual(expect.arrayContaining(['index.html', 'config.json']));
  const config = production.one('aws:s3/bucketObjectv2:BucketObjectv2', 'Page-config.json');
  expect(JSON.parse(String(config['content']))).toMatchObject({
    api: '.',
    stack: expect.stringMatching(/^0x/),
  });
});

test('one dashboard shows the API, every function, both queues, the table and the gatekeepers', () => {
  const body = String(production.one('aws:cloudwatch/dashboard:Dashboard')['dashboardBody']);
  const { widgets } = JSON.parse(body) as { widgets: { properties: { metrics: string[][] } }[] };
  const shown = new Set(widgets.flatMap(({ properties }) => properties.metrics.map((metric) => metric[3])));
  for (const { inputs, name } of production.of('aws:lambda/function:Function'))
    expect([...shown]).toContain(inputs['name'] ?? name);
  expect(new Set(widgets.flatMap(({ properties }) => properties.metrics.map(([space]) => space)))).toEqual(
    new Set(['AWS/ApiGateway', 'AWS/SQS', 'AWS/Lambda', 'AWS/DynamoDB', 'Roundtable/production']),
  );
});
