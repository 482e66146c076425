import type { StageRules } from '../settings.js';

/** Artifacts by content hash, uploads not yet checked, and updates: versioned, encrypted, closed to the public, TLS only. */
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
        // Versions are read in their round and seldom later; S3 charges nothing to move them by use.
        transitions: [{ days: 30, storageClass: 'INTELLIGENT_TIERING' }],
      },
      {
        // The worker deletes them when their window has passed; no version of them stays behind.
        id: 'forget-updates',
        status: 'Enabled',
        filter: { prefix: 'updates/' },
        noncurrentVersionExpiration: { noncurrentDays: 1 },
        expiration: { expiredObjectDeleteMarker: true },
      },
      {
        // What nobody has read since it was uploaded belongs to no job.
        id: 'forget-unused-uploads',
        status: 'Enabled',
        filter: { prefix: 'incoming/' },
        expiration: { days: 2 },
        noncurrentVersionExpiration: { noncurrentDays: 1 },
      },
    ],
  });
  return bucket;
}
