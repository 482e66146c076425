import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { cacheControl, contentType, pageHeaders } from '#services/pageFiles.js';
import type { Settings, StageRules } from '../settings.js';

/**
 * The page: the built files in a bucket that only CloudFront reads, with the API behind the same address, so that no
 * other origin is called for the stack's own facts.
 */
export function createSite(parts: {
  settings: Settings;
  rules: StageRules;
  api: sst.aws.ApiGatewayV2;
}): aws.cloudfront.Distribution {
  const { settings, rules, api } = parts;
  const bucket = new sst.aws.Bucket('Page', {
    enforceHttps: true,
    cors: false,
    access: 'cloudfront',
    transform: { bucket: { forceDestroy: rules.kind !== 'production' } },
  });
  const encryption = { applyServerSideEncryptionByDefault: { sseAlgorithm: 'AES256' } };
  new aws.s3.BucketServerSideEncryptionConfiguration('PageEncryption', {
    bucket: bucket.name,
    rules: [encryption],
  });
  uploadPage(bucket, settings);

  const access = new aws.cloudfront.OriginAccessControl('PageAccess', {
    name: `roundtable-${$app.stage}-page`,
    originAccessControlOriginType: 's3',
    signingBehavior: 'always',
    signingProtocol: 'sigv4',
  });
  const headers = new aws.cloudfront.ResponseHeadersPolicy('PageHeaders', {
    name: `roundtable-${$app.stage}-page`,
    securityHeadersConfig: {
      contentSecurityPolicy: {
        contentSecurityPolicy: pageHeaders['content-security-policy'],
        override: true,
      },
      contentTypeOptions: { override: true },
      referrerPolicy: { referrerPolicy: pageHeaders['referrer-policy'], override: true },
      strictTransportSecurity: { accessControlMaxAgeSec: 31_536_000, override: true },
    },
  });
  return new aws.cloudfront.Distribution('PageSite', {
    comment: `Roundtable ${$app.stage}: the page`,
    enabled: true,
    httpVersion: 'http2and3',
    isIpv6Enabled: true,
    priceClass: 'PriceClass_100',
    defaultRootObject: 'index.html',
    origins: [
      { originId: 'page', domainName: bucket.domain, originAccessControlId: access.id },
      {
        originId: 'api',
        domainName: api.url.apply((url) => new URL(url).host),
        customOriginConfig: {
          httpPort: 80,
          httpsPort: 443,
          originProtocolPolicy: 'https-only',
          originSslProtocols: ['TLSv1.2'],
        },
      },
    ],
    defaultCacheBehavior: {
      targetOriginId: 'page',
      viewerProtocolPolicy: 'redirect-to-https',
      allowedMethods: ['GET', 'HEAD'],
      cachedMethods: ['GET', 'HEAD'],
      compress: true,
      cachePolicyId: managed.cachingOptimized,
      responseHeadersPolicyId: headers.id,
    },
    orderedCacheBehaviors: ['/v1/*', '/health'].map((pathPattern) => ({
      pathPattern,
      targetOriginId: 'api',
      viewerProtocolPolicy: 'https-only',
      allowedMethods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'POST', 'PATCH', 'DELETE'],
      cachedMethods: ['GET', 'HEAD'],
      compress: true,
      cachePolicyId: managed.cachingDisabled,
      originRequestPolicyId: managed.allViewerExceptHost,
    })),
    restrictions: { geoRestriction: { restrictionType: 'none' } },
    viewerCertificate: { cloudfrontDefaultCertificate: true },
  });
}

function uploadPage(bucket: sst.aws.Bucket, settings: Settings): void {
  const folder = resolve('dist/web');
  for (const name of readdirSync(folder)) {
    const type = contentType(name);
    if (type !== undefined)
      new aws.s3.BucketObjectv2(`Page-${name}`, {
        bucket: bucket.name,
        key: name,
        source: new $util.asset.FileAsset(`${folder}/${name}`),
        contentType: type,
        cacheControl: cacheControl(name),
      });
  }
  // The form is PageConfig of functions/page.ts.
  const config = {
    api: '.',
    stack: settings.coordinator,
    deployment: settings.deployment,
    rpcUrls: [],
    gateways: settings.arweaveGateways,
    temporalUi: null,
  };
  new aws.s3.BucketObjectv2('Page-config.json', {
    bucket: bucket.name,
    key: 'config.json',
    content: JSON.stringify(config),
    contentType: 'application/json',
    cacheControl: 'no-cache',
  });
}

/** https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html */
const managed = {
  cachingOptimized: '658327ea-f89d-4fab-a63d-7e88639e58f6',
  cachingDisabled: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
  allViewerExceptHost: 'b689b0a8-53d0-40ab-baf2-98738e2966ac',
} as const;
