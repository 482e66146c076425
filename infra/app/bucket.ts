import type { StageRules } from '../settings.js';

/** Artifacts by content hash: versioned, encrypted, closed to the public, TLS only. */
export function createBucket(rules: StageRules) {
  const bucket = new sst.aws.Bucket('Artifacts', {
    versioning: true,
    enforceHttps: true,
    // Runners and the command line upload; no browser does.
    cors: false,
    transform: { bucket: { forceDestroy: rules.kind === 'personal' } },
  });
  new aws.s3.BucketServerSideEncryptionConfiguration('ArtifactsEncryption', {
    bucket: bucket.name,
    rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: 'AES256' } }],
  });
  // Not SST's own rules: those know neither old versions nor uploads that were given up.
  new aws.s3.BucketLifecycleConfiguration('ArtifactsLifecycle', {
    bucket: bucket.name,
    rules: [
      {
        id: 'forget-old-versions',
        status: 'Enabled',
        filter: { prefix: '' },
        // Content never changes under its hash, so an old version is a deletion or a repeated upload.
        noncurrentVersionExpiration: { noncurrentDays: 30 },
        abortIncompleteMultipartUpload: { daysAfterInitiation: 2 },
      },
      {
        id: 'cool-down',
        status: 'Enabled',
        filter: { prefix: 'sha256/' },
        // Updates are read in their round and by auditors soon after; S3 charges nothing to move them by use.
        transitions: [{ days: 30, storageClass: 'INTELLIGENT_TIERING' }],
      },
    ],
  });
  return bucket;
}
